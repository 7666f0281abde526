//! docs/maps.md and docs/explain.md show what the commands really print.

#![expect(clippy::unwrap_used, reason = "a scenario that can't go on fails")]

use std::{
    fs,
    path::Path,
    process::{Command, Output},
};

use harness::{
    lab::{
        Lab, find_program,
        typed::{self, Page},
    },
    objects::{ManifestDir, service, slice},
    scene::{Setup, until},
};
use proxy_common::{MAPS, MapKind};
use serde_json::{Value, json};

/// Connections that are made before the maps are dumped.
const CONNECTIONS: usize = 12;

fn repository(path: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("read {}: {error}", path.display()))
}

fn stdout(command: &mut Command) -> String {
    let Output { status, stdout, stderr } = command.output().unwrap();
    assert!(status.success(), "{command:?}: {}", String::from_utf8_lossy(&stderr));
    String::from_utf8(stdout).unwrap()
}

/// The commands of the page that begin with `waggle explain`, each with the output that is shown.
fn explanations(page: &str) -> impl Iterator<Item = (&str, &str)> {
    let blocks = page.split("```\n# waggle explain ").skip(1);
    blocks.map(|block| block.split_once("\n```").unwrap().0.split_once('\n').unwrap())
}

/// An explanation without what the programs did with the packet, since the backend is drawn by chance, and without the time of
/// the last change.
fn without_chance(explanation: &str) -> String {
    let (mut lines, mut is_drawn) = (Vec::new(), false);
    for line in explanation.trim_end().lines() {
        if is_drawn {
            assert!(line.trim_start().starts_with("TC "), "{explanation}");
        } else {
            lines.push(without_time(line));
        }
        is_drawn = line.contains("  programs  a private copy of them was run on ");
    }
    lines.join("\n")
}

/// A line without the time that it names, and how long ago that was.
fn without_time(line: &str) -> String {
    let Some((before, after)) = line.split_once("since: 2").or_else(|| line.split_once("since 2")) else {
        return line.to_owned();
    };
    let rest = after.split_once(" ago)").map_or("", |(_, rest)| rest);
    format!("{before}since TIME{rest}")
}

/// The block of the page that begins with the command whose first words are `prompt`, without that line.
fn transcript<'a>(page: &'a str, prompt: &str) -> &'a str {
    let (_, rest) = page.split_once(&format!("```\n# {prompt}")).unwrap_or_else(|| panic!("{prompt} is not shown"));
    rest.split_once("\n```").unwrap().0.split_once('\n').unwrap().1
}

fn parse(json: &str) -> Value {
    serde_json::from_str(json).unwrap_or_else(|error| panic!("{error} in {json}"))
}

/// A dump's entries, sorted, since the kernel's order is random.
fn entries(dump: &str) -> Vec<Value> {
    let mut entries = parse(dump).as_array().unwrap().clone();
    entries.sort_by_key(ToString::to_string);
    entries
}

/// The result of the page's filter for a dump of SOCKET_CONNECTIONS that has one socket.
fn connection(dump: &str) -> Value {
    let sets = parse(dump);
    let pairs = sets.as_array().unwrap().iter().flat_map(|set| {
        let set = &set["formatted"]["value"];
        let [cookies, connections] = ["cookies", "connections"].map(|field| set[field].as_array().unwrap());
        cookies.iter().zip(connections).filter(|(cookie, _)| **cookie != 0)
    });
    let pairs: Vec<_> = pairs.map(|(cookie, connection)| json!([cookie, connection])).collect();
    let [pair] = <[Value; 1]>::try_from(pairs).unwrap();
    pair
}

/// The connection without what differs each time: the socket's cookie, and the backend that it got.
fn alike(mut connection: Value) -> Value {
    connection[0] = Value::Null;
    connection[1]["backend"]["address"] = Value::Null;
    connection
}

#[test]
fn maps_page_shows_what_the_commands_print() {
    let lab = Lab::new("dump").unwrap();
    let node = lab.node("node-1").unwrap();
    let servers = ["web-1", "web-2"].map(|name| node.pod(name).unwrap().serve(&[8080]).unwrap());
    let other = lab.node("node-2").unwrap().pod("web-3").unwrap().serve(&[8080]).unwrap();
    let folder = ManifestDir::new();
    for file in ["node.yaml", "cluster-ip.yaml"] {
        folder.write(file, &repository(&format!("deploy/examples/{file}")));
    }
    let waggle = node.waggle(&folder.source()).allocating("10.96.0.0/16", folder.allocations()).start().unwrap();
    let client = node.client().unwrap();
    let answered = client.tally("10.96.0.10:80", CONNECTIONS - 1);
    assert_eq!(answered.values().sum::<usize>(), CONNECTIONS - 1);
    let open = client.connect_tcp("10.96.0.10:80").unwrap();

    let page = Page::Maps.text().unwrap();
    let get: [String; 3] = Page::Maps.commands("By Kubernetes names", "waggle get").unwrap();
    for line in &get {
        let mut command = Command::new(find_program("waggle", "WAGGLE_BIN").unwrap());
        let printed = stdout(command.args(line.split(' ').skip(1)).args(["--instance", &node.instance()]));
        assert_eq!(printed.trim_end(), transcript(&page, line));
    }
    for map in ["services", "networks"] {
        let dump = stdout(Command::new("bpftool").args(["map", "dump", "pinned"]).arg(waggle.pins().join(map)));
        let shown = transcript(&page, &format!("bpftool map dump pinned /sys/fs/bpf/waggle/default/{map}"));
        assert_eq!(entries(&dump), entries(shown), "{dump}");
    }
    let map = "socket_connections";
    let dump = stdout(Command::new("bpftool").args(["-j", "map", "dump", "pinned"]).arg(waggle.pins().join(map)));
    let shown = transcript(&page, &format!("bpftool -j map dump pinned /sys/fs/bpf/waggle/default/{map}"));
    assert_eq!(alike(connection(&dump)), alike(parse(shown)));
    drop((open, servers, other));
}

#[test]
fn every_command_that_waggle_bpftool_prints_dumps_something() {
    let scene = Setup::new("dump-all").backends(1).start();
    scene.put(&service("web").cluster_ip("10.96.0.10").port(80, 8080).build());
    scene.put(&slice("web").port(8080).pod(scene.pod(1)).build());
    until("the Service", || scene.from_pod.tcp("10.96.0.10:80").is_ok());
    let (success, text) = scene.cli(&["bpftool"]);
    assert!(success, "{text}");
    let commands: Vec<&str> = text.lines().filter(|line| !line.starts_with('#')).collect();
    let count = |start: &str| commands.iter().filter(|command| command.starts_with(start)).count();
    let can_be_dumped = |kind| !matches!(kind, MapKind::SkStorage | MapKind::RingBuf);
    let maps = MAPS.iter().filter(|map| can_be_dumped(map.kind)).count();
    assert_eq!(count("bpftool map dump ") + count("bpftool -j map dump "), maps, "{text}");
    assert!(text.lines().any(|line| line == "# Program connect4, attached by connect4"), "{text}");
    assert_eq!(count("bpftool prog dump "), commands.len() - maps, "{text}");
    for line in typed::all(Page::Maps.path()).unwrap().into_iter().map(|command| command.line) {
        let own = line.replace("/default/", &format!("/{}/", scene.node.instance()));
        assert!(!own.starts_with("bpftool ") || commands.contains(&own.as_str()), "{line}: {text}");
    }
    for command in commands {
        let dumped = stdout(Command::new("bash").args(["-o", "pipefail", "-c", command]));
        let is_filtered = command.contains("| jq ");
        assert!(is_filtered || !dumped.is_empty(), "{command}");
    }
    for (map, shown) in [("backends", "\"port\":"), ("slots", "\"value\":1"), ("node_addresses", "\"bytes\":")] {
        let command = text.lines().find(|line| line.contains(&format!("/{map} | jq "))).unwrap();
        let dumped = stdout(Command::new("bash").args(["-c", command]));
        assert!(dumped.contains(shown), "{command}: {dumped}");
    }
}

#[test]
fn explain_page_shows_what_the_command_prints() {
    let lab = Lab::new("explained").unwrap();
    let node = lab.node("node-1").unwrap();
    let pods = ["web-1", "web-2", "client"].map(|name| node.pod(name).unwrap());
    let other = lab.node("node-2").unwrap().pod("web-3").unwrap();
    let client = lab.client("ext").unwrap();
    let folder = ManifestDir::new();
    for file in ["node.yaml", "cluster-ip.yaml", "node-port.yaml", "no-endpoints.yaml"] {
        folder.write(file, &repository(&format!("deploy/examples/{file}")));
    }
    let command = node.waggle(&folder.source()).allocating("10.96.0.0/16", folder.allocations());
    let _waggle = command.args(["--device-mode", "auto"]).start().unwrap();
    let page = Page::Explain.text().unwrap();
    let program = find_program("waggle", "WAGGLE_BIN").unwrap();
    let instance = node.instance();
    let print = |arguments: &str| {
        let words = arguments.split(' ').chain(["--instance", instance.as_str()]);
        stdout(Command::new(&program).arg("explain").args(words))
    };
    let shown: Vec<_> = explanations(&page).collect();
    assert!(shown.len() >= 5, "{} explanations are shown", shown.len());
    let printed = |arguments| node.netns().inside(|| print(arguments)).unwrap();
    let wrong = shown.into_iter().map(|(arguments, expected)| (arguments, expected, printed(arguments)));
    let wrong: Vec<String> = wrong
        .filter(|(_, expected, printed)| without_chance(printed) != without_chance(expected))
        .map(|(arguments, _, printed)| format!("# waggle explain {arguments}\n{printed}"))
        .collect();
    assert!(wrong.is_empty(), "the command prints:\n{}", wrong.join("\n"));
    drop((pods, other, client));
}
