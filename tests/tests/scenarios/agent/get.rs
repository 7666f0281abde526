//! `waggle get` beside a running agent and without it: what is asked for, in which form, and what is said of what isn't there.

#![expect(clippy::unwrap_used, reason = "a step that fails fails the test")]

use std::{
    net::SocketAddr,
    ops::Range,
    process::{Command, Output},
    thread::sleep,
    time::{Duration, Instant},
};

use harness::{
    lab::{find_program, typed::Page},
    objects::service,
    scene::{Family, Outside, PORTS, Scene, Setup, expect, from_outside_by, web, web_slice},
};
use serde_json::{Value, json};

fn waggle() -> Command {
    Command::new(find_program("waggle", "WAGGLE_BIN").unwrap())
}

pub(super) fn get_command(scene: &Scene, arguments: &str) -> Command {
    let mut command = waggle();
    command.arg("get").args(arguments.split(' ')).args(["--instance", &scene.node.instance()]);
    command
}

/// The exit code of `waggle get`, and what it prints: output and errors.
fn get(scene: &Scene, arguments: &str) -> (i32, String, String) {
    let Output { status, stdout, stderr } = get_command(scene, arguments).output().unwrap();
    (status.code().unwrap(), String::from_utf8(stdout).unwrap(), String::from_utf8(stderr).unwrap())
}

/// What `waggle get` prints; it must succeed.
fn printed(scene: &Scene, arguments: &str) -> String {
    let (code, out, errors) = get(scene, arguments);
    assert_eq!((code, errors.as_str()), (0, ""), "{arguments}: {out}");
    out
}

fn rows(scene: &Scene, arguments: &str) -> Vec<Value> {
    serde_json::from_str(&printed(scene, &format!("{arguments} -o json"))).unwrap()
}

/// The number in a field of the only row.
fn number(scene: &Scene, arguments: &str, field: &str) -> u64 {
    let [row] = <[Value; 1]>::try_from(rows(scene, arguments)).unwrap();
    row[field].as_u64().unwrap_or_else(|| panic!("{field} in {row}"))
}

/// Serves `default/web` by pod 1, and has `default/shop` without backends.
pub(super) fn serve(scene: &Scene) {
    scene.put(&web("web", [Family::Ipv4.cluster_ip(10)]).build());
    scene.put(&service("shop").cluster_ip("10.96.0.11").port(80, 80).build());
    scene.put(&web_slice("web", Family::Ipv4).pod(scene.pod(1)).build());
    expect(&scene.from_pod, Family::Ipv4.frontend(10), &["p1"]);
    expect(&scene.from_pod, Family::Ipv4.frontend(11), &["ECONNREFUSED"]);
}

/// What is printed, in every form.
fn check_forms(scene: &Scene) {
    let lines = |arguments: &str| printed(scene, arguments).lines().map(str::to_owned).collect::<Vec<_>>();
    let table = lines("services web -n default");
    assert_eq!(table.len(), 3, "{table:?}");
    let column = table[0].find("ADDRESS").unwrap();
    assert!(table[1..].iter().all(|line| line[column..].starts_with("10.96.0.10:80 ")), "{table:?}");
    assert_eq!(lines("services web --no-headers").len(), 2);
    assert_eq!(lines("svc/web service/shop -n default").len(), 4);
    assert!(lines("svc web -A -o wide")[0].ends_with("INTERNAL   EXTERNAL   INTERNAL BACKENDS   EXTERNAL BACKENDS"));
    let yaml: Vec<Value> = serde_saphyr::from_str(&printed(scene, "services web -o yaml")).unwrap();
    assert_eq!(yaml, rows(scene, "services web"));
    for kind in ["services", "endpoints", "backends", "flows", "affinity", "drops", "devices", "maps"] {
        let (code, out, _) = get(scene, kind);
        assert!(code == 0 && !out.contains('\x1b'), "{kind}: {out}");
    }
    assert_eq!(
        rows(scene, "services --field-selector port=udp"),
        rows(scene, "services web --field-selector protocol=UDP")
    );
    let ports: Vec<Value> = rows(scene, "services --sort-by port").iter().map(|row| row["port"].clone()).collect();
    assert_eq!(ports, ["tcp", "udp", ""], "what has no value is last");
    let pod = SocketAddr::new(Family::Ipv4.of(scene.pod(1)), PORTS[0]).to_string();
    assert_eq!(rows(scene, &format!("endpoints --field-selector endpoint={pod}")), rows(scene, "endpoints/web"));
    let endpoints = rows(scene, "endpoints web");
    assert!(endpoints.iter().all(|row| row["endpoint"] == pod && row["lists"] == json!(["Cluster"])), "{endpoints:?}");
    assert_eq!(rows(scene, "endpoints shop")[0]["endpoint"], Value::Null);
}

/// What is said of what isn't there.
fn check_absent(scene: &Scene) {
    let nothing = String::new;
    assert_eq!(get(scene, "services x"), (1, nothing(), "waggle: services \"x\" not found\n".to_owned()));
    let elsewhere = "waggle: services \"web\" not found in namespace \"kube-system\"\n".to_owned();
    assert_eq!(get(scene, "services web -n kube-system"), (1, nothing(), elsewhere));
    let (code, out, errors) = get(scene, "services shop x --no-headers");
    assert_eq!((code, errors.as_str()), (1, "waggle: services \"x\" not found\n"));
    assert!(out.contains("shop") && out.lines().count() == 1, "{out}");
    let none = "waggle: no services found in namespace \"kube-system\"\n".to_owned();
    assert_eq!(get(scene, "services -n kube-system"), (0, nothing(), none));
    assert_eq!(rows(scene, "services -n kube-system"), [] as [Value; 0]);
    assert_eq!(get(scene, "services -n a -A").0, 2, "it is either one namespace or all");
    let (code, out, errors) = get(scene, "svc --field-selector colour=red");
    assert!(code == 1 && out.is_empty() && errors.contains("give one of namespace, name, port"), "{errors}");
    let (code, out, errors) = get(scene, "svc --sort-by colour");
    assert!(code == 1 && out.is_empty() && errors.contains("sort services by \"colour\""), "{errors}");
}

#[test]
fn get_selects_and_refuses_as_kubectl_does_with_and_without_the_agent() {
    let mut scene = Setup::new("get-kubectl").backends(1).start();
    serve(&scene);
    for is_running in [true, false] {
        check_forms(&scene);
        check_absent(&scene);
        if is_running {
            scene.waggle.kill().unwrap();
        }
    }
}

#[test]
fn get_drops_and_maps_show_what_is_counted() {
    let scene = Setup::new("get-maps").backends(1).start();
    serve(&scene);
    let before = number(&scene, "drops unserved_port", "count");
    expect(&scene.from_pod, "10.96.0.10:81".parse().unwrap(), &["ECONNREFUSED"]);
    assert!(number(&scene, "drops unserved_port", "count") > before);
    // Two ports of `web`, one of `shop`, and the mark of each address.
    assert_eq!(number(&scene, "maps SERVICES", "entries"), 5);
    assert_eq!(number(&scene, "maps backends", "entries"), 1);
    assert_eq!(number(&scene, "maps service_names", "entries"), 3);
    let open = scene.from_pod.connect_tcp(Family::Ipv4.frontend(10)).unwrap();
    assert_eq!(number(&scene, "maps socket_connections", "entries"), 1);
    drop(open);
    assert_eq!(number(&scene, "maps counters", "capacity"), scene.dump("counters").len() as u64);
}

/// The open flow of the client outside, whose first packet came during `opening`, and the open socket of the pod, in
/// `waggle get flows`.
fn check_flows(outside: &Outside, family: Family, opening: &Range<Instant>) {
    let (scene, least) = (&outside.scene, opening.end.elapsed());
    let backend = SocketAddr::new(family.of(&outside.remote), PORTS[0]).to_string();
    let flows = rows(scene, &format!("flows {}", outside.address(family)));
    let is_open = |row: &&Value| row["protocol"] == "TCP" && row["state"] == "established";
    let open: Vec<_> = flows.iter().filter(is_open).collect();
    let [flow] = open[..] else { panic!("one flow is open: {flows:#?}") };
    assert_eq!((&flow["namespace"], &flow["name"], &flow["port"]), (&json!("default"), &json!("web"), &json!("tcp")));
    assert_eq!(flow["frontend"], outside.node_port(family).to_string());
    assert_eq!(flow["backend"], backend);
    let node = format!("{}:", family.of(&scene.node));
    assert!(flow["source"].as_str().unwrap().starts_with(&node), "{flow:#}");
    let left = flow["expiresSeconds"].as_u64().unwrap();
    assert!((86_000..=86_400).contains(&left), "established flows live a day: {left}");
    let age = Duration::from_secs(flow["ageSeconds"].as_u64().unwrap());
    // Programs and commands read the same clock, but to the second only.
    let slack = Duration::from_secs(2);
    assert!(age + slack >= least && age <= opening.start.elapsed() + slack, "{age:?}, not {least:?}");

    // A UDP flow is established, too, if two of the client's sockets have had the same port.
    let client = outside.address(family);
    let conditions = format!("protocol=TCP,state=established,client={client},backend!=192.0.2.77");
    let selected = rows(scene, &format!("flows web --field-selector {conditions}"));
    assert_eq!(selected.len(), 1, "{selected:#?}");
    let younger = rows(scene, &format!("flows web --field-selector {conditions},ageSeconds<100000"));
    assert_eq!(younger.len(), 1, "{younger:#?}");
    let older = rows(scene, "flows web --field-selector ageSeconds>100000");
    assert_eq!(older, [] as [Value; 0], "nothing is older than a day, and sockets have no age");

    let sockets = rows(scene, "flows web");
    let is_inside = |row: &&Value| row["socket"].is_u64() && row["protocol"] == "TCP";
    let inside: Vec<_> = sockets.iter().filter(is_inside).collect();
    let [socket] = inside[..] else { panic!("one socket is open: {sockets:#?}") };
    assert_eq!(socket["frontend"], family.frontend(1).to_string());
    assert_eq!((&socket["backend"], &socket["state"]), (&json!(backend), &json!("connected")));
}

/// The client outside and the pod, each at both ports, in `waggle get affinity`.
fn check_affinity(outside: &Outside, family: Family) {
    let backend = SocketAddr::new(family.of(&outside.remote), PORTS[0]).to_string();
    let kept = rows(&outside.scene, "affinity web");
    let of = |field: &str| kept.iter().filter(|row| !row[field].is_null()).count();
    assert_eq!((of("client"), of("netns")), (2, 2), "each port has both clients: {kept:#?}");
    assert!(
        kept.iter().all(|row| row["backend"] == backend && row["expiresSeconds"].as_u64() > Some(500)),
        "{kept:#?}"
    );
    assert_eq!(rows(&outside.scene, &format!("affinity {}", outside.address(family))).len(), 2);
}

#[test]
fn get_flows_and_affinity_show_clients_with_and_without_the_agent_and_after_it_has_copied_them() {
    from_outside_by("auto", "get-flows", |outside| {
        let family = Family::Ipv4;
        outside.serve(family, &outside.web(family).client_ip_affinity(Some(600)), &[&outside.remote]);
        expect(&outside.client, outside.node_port(family), &["far"]);
        expect(&outside.scene.from_pod, family.frontend(1), &["far"]);
        let start = Instant::now();
        let _held = outside.client.connect_tcp(outside.node_port(family)).unwrap();
        let opening = start..Instant::now();
        // Older than the clock is inaccurate.
        sleep(Duration::from_secs(4));
        let _inside = outside.scene.from_pod.connect_tcp(family.frontend(1)).unwrap();
        for is_running in [true, false] {
            check_flows(outside, family, &opening);
            check_affinity(outside, family);
            if is_running {
                outside.scene.waggle.kill().unwrap();
            }
        }
        let _larger = outside.scene.agent(&["--max-conntrack", "150000", "--max-affinity", "70000"]);
        check_flows(outside, family, &opening);
        check_affinity(outside, family);
    });
}

#[test]
fn completion_completes_in_bash() {
    let program = find_program("waggle", "WAGGLE_BIN").unwrap();
    let [source] = Page::Reference.commands("`waggle completion`", "source ").unwrap();
    let source = source.replace("waggle ", "\"$0\" ");
    let complete = |words: &str, current: &str| {
        let last = words.rsplit(' ').next().unwrap();
        let script = format!(
            "set -e; {source}\n\
             COMP_WORDS=({words} {current}); COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1))\n\
             _waggle waggle '{current}' '{last}' || true; echo \"${{COMPREPLY[@]}}\""
        );
        let output = Command::new("bash").args(["-c", &script]).arg(&program).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    };
    assert_eq!(complete("waggle", "comp"), "completion");
    assert_eq!(complete("waggle get", "fl"), "flows");
    assert_eq!(complete("waggle get flows", "--no-h"), "--no-headers");
    assert_eq!(complete("waggle get flows", "--output-w"), "--output-watch-events");
    assert_eq!(complete("waggle get services --output", "y"), "yaml");
    for shell in ["zsh", "fish"] {
        let output = waggle().args(["completion", shell]).output().unwrap();
        assert!(output.status.success() && String::from_utf8_lossy(&output.stdout).contains("no-headers"), "{shell}");
    }
}
