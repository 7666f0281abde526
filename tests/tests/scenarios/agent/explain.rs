//! `waggle explain` says what then happens to real connections, and changes nothing.

#![expect(clippy::unwrap_used, reason = "a step that fails fails the test")]

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    net::{IpAddr, SocketAddr},
    process::{Command, Output},
    time::Duration,
};

use harness::{
    lab::{BPFFS, Client, Dial, Host, Reply, Transport, find_program},
    objects::service,
    scene::{
        BOUND_PORT, Family, NODE_PORT, Outside, PORTS, Scene, Setup, expect, from_outside_over_both, hold, over_both,
        until, web, web_slice,
    },
};
use serde_json::{Value, json};

/// Maps that can't be dumped: a ring buffer, and socket storage, which is kept with the sockets.
const NOT_DUMPED: [&str; 2] = ["events", "socket_peers"];

/// Runs `waggle explain` in the node's network namespace. Returns its exit code, and what it prints: output and errors.
pub(super) fn run(scene: &Scene, arguments: &str) -> (i32, String, String) {
    let program = find_program("waggle", "WAGGLE_BIN").unwrap();
    let instance = scene.node.instance();
    let command = || {
        let words = arguments.split(' ').chain(["--instance", &instance]);
        Command::new(program).arg("explain").args(words).output()
    };
    let Output { status, stdout, stderr } = scene.node.netns().inside(command).unwrap().unwrap();
    (status.code().unwrap(), String::from_utf8(stdout).unwrap(), String::from_utf8(stderr).unwrap())
}

/// What `waggle explain -o json` prints; it must succeed.
pub(super) fn explain(scene: &Scene, arguments: &str) -> Value {
    let (code, out, errors) = run(scene, &format!("{arguments} -o json"));
    assert_eq!((code, errors.as_str()), (0, ""), "{arguments}: {out}");
    serde_json::from_str(&out).unwrap()
}

/// The explanation of a TCP connection between addresses.
pub(super) fn connection(scene: &Scene, client: IpAddr, to: SocketAddr) -> Value {
    explain(scene, &format!("{client} {to}"))
}

/// The addresses of the backends that a connection may get.
pub(super) fn candidates(explanation: &Value) -> BTreeSet<String> {
    let found = explanation["candidates"].as_array().unwrap();
    found.iter().map(|candidate| candidate["backend"].as_str().unwrap().to_owned()).collect()
}

/// The backend of a host.
pub(super) fn backend(family: Family, host: &Host) -> String {
    SocketAddr::new(family.of(host), PORTS[0]).to_string()
}

/// The result, its reason, and the field at fault.
pub(super) fn verdict(explanation: &Value) -> [&str; 3] {
    let part = &explanation["verdict"];
    ["outcome", "reason", "field"].map(|field| part[field].as_str().unwrap_or_default())
}

/// Serves `web` by pods 1 and 2 at its ClusterIP, and `empty` by none.
fn serve(scene: &Scene, family: Family) {
    let (name, empty) = (family.name("web"), family.name("empty"));
    scene.put(&web(&name, [family.cluster_ip(10)]).build());
    scene.put(&web(&empty, [family.cluster_ip(11)]).build());
    scene.put(&web_slice(&name, family).pod(scene.pod(1)).pod(scene.pod(2)).build());
    scene.expect(family.frontend(10), &["p1", "p2"]);
    scene.expect(family.frontend(11), &["ECONNREFUSED"]);
}

#[test]
fn a_pods_connection_to_a_cluster_ip_goes_where_explain_says() {
    let scene = Setup::new("xpl-pod").backends(2).start();
    over_both(|family| {
        serve(&scene, family);
        let clients: [(&str, IpAddr, &Client); 2] =
            [("pod", family.of(&scene.client), &scene.from_pod), ("node", family.of(&scene.node), &scene.from_node)];
        for (from, client, process) in clients {
            let by_name = explain(&scene, &format!("{client} default/{}:tcp", family.name("web")));
            assert_eq!(by_name, connection(&scene, client, family.frontend(10)), "the name means the ClusterIP");
            assert_eq!((&by_name["client"]["from"], &by_name["client"]["hook"]), (&json!(from), &json!("socket")));
            assert_eq!(by_name["frontend"]["service"], json!(family.name("web")));
            let pods = [1, 2].map(|number| backend(family, scene.pod(number)));
            assert_eq!(candidates(&by_name), pods.into(), "{by_name:#}");
            hold(process, family.frontend(10), &["p1", "p2"]);
        }
        // What is no Service's passes, and arrives.
        let direct = SocketAddr::new(family.of(scene.pod(1)), PORTS[0]);
        let passes = connection(&scene, family.of(&scene.client), direct);
        assert_eq!((verdict(&passes)[0], &passes["frontend"]), ("passes", &Value::Null));
        scene.hold(direct, &["p1"]);
    });
}

#[test]
fn s16_s20_refusals_of_sockets_are_those_that_explain_names() {
    let scene = Setup::new("xpl-refused").backends(2).start();
    over_both(|family| {
        serve(&scene, family);
        let client = family.of(&scene.client);
        let unserved = SocketAddr::new(family.cluster_ip(10), 81);
        for (to, wanted, sees) in [
            (family.frontend(11), ["rejected", "no_backend", "endpoints[].conditions.ready"], "ECONNREFUSED"),
            (unserved, ["rejected", "unserved_port", "spec.ports"], "ECONNREFUSED"),
            (family.frontend(99), ["dropped", "unowned_address", "spec.cidrs"], "EHOSTUNREACH"),
        ] {
            let explanation = connection(&scene, client, to);
            assert_eq!(verdict(&explanation), wanted, "{explanation:#}");
            assert!(explanation["verdict"]["clientSees"].as_str().unwrap().contains(sees), "{explanation:#}");
            assert_eq!(scene.from_pod.tcp(to).unwrap_err().errno, sees, "{to}");
        }
        let unserved = connection(&scene, client, unserved);
        assert_eq!(unserved["verdict"]["object"], json!(format!("Service default/{}", family.name("web"))));
    });
}

/// What backends see as the client's address, by the backend's address.
fn seen(outside: &Outside, family: Family, to: SocketAddr) -> BTreeMap<String, String> {
    let hosts = [("p1", backend(family, outside.scene.pod(1))), ("far", backend(family, &outside.remote))];
    let replies = outside.client.dial_all(&Dial::new(Transport::Tcp, to).count(36));
    let replies = replies.into_iter().map(Result::unwrap);
    let pair = |reply: Reply| {
        let (_, at) = hosts.iter().find(|(name, _)| *name == reply.backend()).unwrap();
        (at.clone(), reply.seen_client().unwrap().ip().to_string())
    };
    replies.map(pair).collect()
}

#[test]
fn s19_s26_packets_from_outside_take_the_translation_that_explain_says() {
    from_outside_over_both("xpl-outside", |outside, family| {
        outside.serve(family, &outside.web(family), &[outside.scene.pod(1), &outside.remote]);
        let (client, to) = (outside.address(family), outside.node_port(family));
        expect(&outside.client, to, &["p1", "far"]);
        let explanation = connection(&outside.scene, client, to);
        assert_eq!(explanation["client"]["from"], "outside");
        assert_eq!(explanation["client"]["device"], "eth0");
        assert_eq!((&explanation["frontend"]["type"], verdict(&explanation)[0]), (&json!("NodePort"), "served"));
        let said = explanation["candidates"].as_array().unwrap().iter();
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let said: BTreeMap<_, _> = said.map(|part| (text(&part["backend"]), text(&part["source"]))).collect();
        assert_eq!(said, seen(outside, family, to), "{explanation:#}");
        check_flow(outside, family);
        outside.scene.delete("Service", "web");
    });
}

/// A client's port that has a flow already is explained with its backend.
fn check_flow(outside: &Outside, family: Family) {
    let own = SocketAddr::new(outside.address(family), BOUND_PORT);
    let to = outside.node_port(family);
    let reply = outside.client.dial(&Dial::new(Transport::UdpUnconnected, to).bind(own)).unwrap();
    let host: &Host = if reply.backend() == "far" { &outside.remote } else { outside.scene.pod(1) };
    let explanation = explain(&outside.scene, &format!("{own} {to} --protocol udp"));
    let flow = &explanation["flow"];
    assert_eq!(flow["backend"], json!(backend(family, host)), "{explanation:#}");
    let source: SocketAddr = flow["source"].as_str().unwrap().parse().unwrap();
    assert_eq!(Some(source), reply.seen_client(), "{explanation:#}");
    let other = explain(&outside.scene, &format!("{own} {to}"));
    assert_eq!(other["flow"], Value::Null, "TCP has no flow of this port: {other:#}");
}

#[test]
fn s17_s21_policies_and_source_ranges_decide_as_explain_says() {
    from_outside_over_both("xpl-policy", |outside, family| {
        let others = if family == Family::Ipv4 { "198.51.100.0/24" } else { "2001:db8:9::/48" };
        let limited = outside.web(family).external_local().source_range(others);
        outside.serve(family, &limited, &[&outside.remote]);
        let (scene, [_, node_port, _, balanced]) = (&outside.scene, outside.frontends(family));
        expect(&outside.scene.from_pod, node_port, &["far"]);
        let (client, pod) = (outside.address(family), family.of(&scene.client));
        let silence = |to| {
            let dial = Dial::new(Transport::Tcp, to).timeout(Duration::from_millis(300));
            assert_eq!(outside.client.dial(&dial).unwrap_err().errno, "ETIMEDOUT", "{to}");
        };
        let refused = connection(scene, client, balanced);
        assert_eq!(verdict(&refused), ["dropped", "source_range", "spec.loadBalancerSourceRanges"], "{refused:#}");
        assert_eq!(refused["sourceRanges"]["ranges"], json!([others]));
        silence(balanced);
        let empty = connection(scene, client, node_port);
        assert_eq!(verdict(&empty), ["dropped", "no_local_backend", "spec.externalTrafficPolicy"], "{empty:#}");
        silence(node_port);
        // A pod of this node gets the Cluster list at the node port, and is outside the ranges, too.
        let short = connection(scene, pod, node_port);
        assert_eq!((verdict(&short)[0], &short["policy"]["shortCircuit"]), ("served", &json!(true)), "{short:#}");
        assert_eq!(verdict(&connection(scene, pod, balanced))[1], "source_range");
        assert_eq!(scene.from_pod.tcp(balanced).unwrap_err().errno, "EHOSTUNREACH");
        scene.delete("Service", "web");
    });
}

#[test]
fn s24_s25_the_backend_that_a_client_keeps_is_the_one_that_explain_names() {
    from_outside_over_both("xpl-sticky", |outside, family| {
        let scene = &outside.scene;
        let backends = [scene.pod(1), scene.pod(2)];
        outside.serve(family, &outside.web(family).client_ip_affinity(None), &backends);
        until("it is served", || scene.from_node.tcp(family.frontend(1)).is_ok());
        let clients: [(IpAddr, &Client, SocketAddr); 2] = [
            (family.of(&scene.client), &scene.from_pod, family.frontend(1)),
            (outside.address(family), &outside.client, outside.node_port(family)),
        ];
        for (client, process, to) in clients {
            let fresh = connection(scene, client, to);
            assert_eq!(fresh["affinity"]["backend"], Value::Null, "{fresh:#}");
            assert_eq!((&fresh["affinity"]["known"], candidates(&fresh).len()), (&json!(true), 2));
            let name = process.tcp(to).unwrap().backend().to_owned();
            let kept = backend(family, scene.pod(if name == "p1" { 1 } else { 2 }));
            let explanation = connection(scene, client, to);
            assert_eq!(explanation["affinity"]["backend"], json!(kept), "{explanation:#}");
            assert_eq!(candidates(&explanation), [kept].into());
            let left = explanation["affinity"]["expiresSeconds"].as_u64().unwrap();
            assert!((10_000..=10_800).contains(&left), "{left}");
            // The Service's UDP port is another one, at which the client keeps nothing yet.
            assert_eq!(process.tally(to, 12), [(name, 12)].into());
        }
        scene.delete("Service", "web");
    });
}

/// The dump of each pinned map.
pub(super) fn dumps(scene: &Scene) -> BTreeMap<String, Vec<u8>> {
    let folder = format!("{BPFFS}/{}", scene.node.instance());
    let pins = fs::read_dir(&folder).unwrap().map(Result::unwrap).filter(|pin| pin.file_type().unwrap().is_file());
    let names = pins.map(|pin| pin.file_name().into_string().unwrap());
    let dump = |name: String| {
        let output = Command::new("bpftool").args(["map", "dump", "pinned", &format!("{folder}/{name}")]).output();
        let output = output.unwrap();
        assert!(output.status.success() || NOT_DUMPED.contains(&name.as_str()), "{name}: {output:?}");
        (name, output.stdout)
    };
    names.map(dump).collect()
}

#[test]
fn explain_changes_no_map_and_needs_no_agent() {
    let mut scene = Setup::new("xpl-still").backends(2).start();
    serve(&scene, Family::Ipv4);
    scene.put(&service("sticky").cluster_ip("10.96.0.12").port(80, PORTS[0]).client_ip_affinity(None).build());
    scene.put(&web_slice("sticky", Family::Ipv4).named_port("", "TCP", PORTS[0]).pod(scene.pod(1)).build());
    until("it is served", || scene.from_pod.tcp("10.96.0.12:80").is_ok());
    scene.waggle.kill().unwrap();
    let (client, node) = (scene.client.v4(), scene.node.v4());
    let before = dumps(&scene);
    assert!(before.len() > 30, "{:?}", before.keys());
    for question in [
        format!("{client} svc/web-4:tcp"),
        format!("{client} svc/web-4:udp --protocol udp"),
        format!("{client} svc/sticky"),
        format!("{node} 10.96.0.10:80"),
        format!("{node} 10.96.0.99:80"),
        format!("192.0.2.9:{BOUND_PORT} {node}:{NODE_PORT} --from outside --device eth0"),
        "--object svc/web-4".to_owned(),
        "--drop no_backend".to_owned(),
    ] {
        for form in ["text", "json", "yaml"] {
            let (code, out, errors) = run(&scene, &format!("{question} -o {form}"));
            assert_eq!((code, errors.as_str()), (0, ""), "{question}: {out}");
            assert!(!out.is_empty() && !out.contains('\x1b'), "{question}: {out}");
        }
    }
    let after = dumps(&scene);
    let changed: Vec<_> = before.keys().filter(|name| before.get(*name) != after.get(*name)).collect();
    assert!(changed.is_empty() && before.len() == after.len(), "{changed:?}");
}

#[test]
fn what_can_not_be_explained_is_an_error_and_a_refusal_is_none() {
    let scene = Setup::new("xpl-errors").backends(2).start();
    serve(&scene, Family::Ipv4);
    for (question, error) in [
        ("10.244.1.1 svc/absent:80", "find Service default/absent: nothing of it is in the maps"),
        ("10.244.1.1 svc/web-4:http", "find the port of default/web-4: \"http\" is not one; it has tcp (80)"),
        ("web 10.96.0.10:80", "read client \"web\": it is no IP address"),
        ("10.244.1.1 web", "read destination \"web\": give ADDRESS[:PORT], svc/NAME[:PORT]"),
        ("fd00::1 10.96.0.10:80", "explain fd00::1 to 10.96.0.10: one is IPv4, the other IPv6"),
        ("192.0.2.9 10.96.0.10:80 --device absent0", "find device \"absent0\""),
        ("--object svc/absent", "find Service default/absent"),
        ("--drop absent", "explain reason \"absent\": there is none of this name"),
    ] {
        let (code, out, errors) = run(&scene, question);
        assert_eq!((code, out.as_str()), (1, ""), "{question}: {errors}");
        assert!(errors.starts_with(&format!("waggle: {error}")), "{question}: {errors}");
    }
    assert_eq!(run(&scene, "10.244.1.1").0, 2, "a client alone is no question");
    let (code, out, _) = run(&scene, "10.244.1.1 svc/empty-4:tcp");
    assert!(code == 0 && out.contains("verdict") && out.contains("rejected, no_backend"), "{out}");
    let object = explain(&scene, "--object svc/empty-4");
    let since = &explain(&scene, "10.244.1.1 svc/empty-4:tcp")["verdict"]["since"];
    assert!(since.is_string() && *since == object["frontends"][0]["changed"], "{since} {object}");
    let tcp = object["frontends"].as_array().unwrap().iter().find(|part| part["protocol"] == "TCP").unwrap();
    assert_eq!((&tcp["clientsHere"]["refusal"], &tcp["address"]), (&json!("no_backend"), &json!("10.96.0.11:80")));
}
