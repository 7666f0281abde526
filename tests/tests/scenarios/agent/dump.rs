//! docs/maps.md shows what the commands really print.

#![expect(clippy::unwrap_used, reason = "a scenario that can't go on fails")]

use std::{
    fs,
    path::Path,
    process::{Command, Output},
};

use harness::{
    lab::{Lab, find_program},
    objects::ManifestDir,
};
use serde_json::Value;

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

/// The block of the page that begins with the command whose first words are `prompt`, without that line.
fn transcript<'a>(page: &'a str, prompt: &str) -> &'a str {
    let (_, rest) = page.split_once(&format!("```\n# {prompt}")).unwrap_or_else(|| panic!("{prompt} is not shown"));
    rest.split_once("\n```").unwrap().0.split_once('\n').unwrap().1
}

/// A dump's entries, sorted, since the kernel's order is random, and without values that differ each time: a socket's
/// cookie, and the backend that it got.
fn entries(dump: &str) -> Vec<Value> {
    let mut entries: Vec<Value> = serde_json::from_str(dump).unwrap_or_else(|error| panic!("{error} in {dump}"));
    for entry in entries.iter_mut().filter(|entry| entry["key"].is_u64()) {
        entry["key"] = Value::Null;
        entry["value"]["backend"]["address"] = Value::Null;
    }
    entries.sort_by_key(ToString::to_string);
    entries
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
    let waggle = node.waggle(&folder.source()).args(["--service-cidr", "10.96.0.0/16"]).start().unwrap();
    let client = node.client().unwrap();
    let answered = client.tally("10.96.0.10:80", CONNECTIONS - 1);
    assert_eq!(answered.values().sum::<usize>(), CONNECTIONS - 1);
    let open = client.connect_tcp("10.96.0.10:80").unwrap();

    let page = repository("docs/maps.md");
    let get = |what| {
        let mut command = Command::new(find_program("waggle", "WAGGLE_BIN").unwrap());
        stdout(command.args(["get", what, "--instance", &node.instance()]))
    };
    assert_eq!(get("services").trim_end(), transcript(&page, "waggle get services"));
    assert_eq!(get("backends").trim_end(), transcript(&page, "waggle get backends"));
    for map in ["services", "networks", "socket_connections"] {
        let dump = stdout(Command::new("bpftool").args(["map", "dump", "pinned"]).arg(waggle.pins().join(map)));
        let shown = transcript(&page, &format!("bpftool map dump pinned /sys/fs/bpf/waggle/default/{map}"));
        assert_eq!(entries(&dump), entries(shown), "{dump}");
    }
    drop((open, servers, other));
}
