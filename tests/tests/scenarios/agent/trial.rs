//! `waggle explain` runs a copy of the loaded programs: they do what the other steps say, and nothing of the instance changes.

#![expect(clippy::unwrap_used, reason = "a step that fails fails the test")]

use std::{net::SocketAddr, process::Command};

use harness::{
    lab::{BPFFS, Capability, Dial, Transport, find_program, keep_capabilities},
    scene::{
        BOUND_PORT, Family, NODE_PORT, Outside, Setup, expect, from_outside, from_outside_over_both, over_both, until,
        web, web_node_port, web_slice,
    },
};
use serde_json::{Value, json};

use super::explain::{backend, candidates, connection, dumps, explain, run, verdict};

/// The map that any packet changes, also one of the kernel's own, such as a neighbour solicitation.
const SCRATCH: &str = "scratch";

/// One of two backends is missed so often once in 2³⁰ times.
const DRAWS: usize = 30;

/// The layers of a scene's devices that see an untouched packet.
fn layers(outside: &Outside) -> &'static [&'static str] {
    let device = outside.scene.get("devices");
    let mode = device.as_array().unwrap().iter().find(|row| row["device"] == "eth0").unwrap()["mode"].clone();
    if mode == "xdp" { &["xdp", "tc"] } else { &["tc"] }
}

/// What the programs did, as outcome and reason. They must have run.
pub(super) fn did(explanation: &Value) -> [&str; 2] {
    let part = &explanation["programs"];
    assert_eq!((&part["notRun"], &part["disagreements"]), (&Value::Null, &json!([])), "{explanation:#}");
    ["outcome", "reason"].map(|field| part[field].as_str().unwrap_or_default())
}

/// The packet after translation, as source and destination.
pub(super) fn translated(explanation: &Value) -> [SocketAddr; 2] {
    let part = &explanation["programs"]["translated"];
    ["source", "destination"]
        .map(|field| part[field].as_str().unwrap_or_else(|| panic!("{explanation:#}")).parse().unwrap())
}

#[test]
fn s26_the_programs_send_packets_where_the_other_steps_say() {
    from_outside_over_both("trial-sent", |outside, family| {
        let (scene, client, layers) = (&outside.scene, outside.address(family), layers(outside));
        for host in [scene.pod(1), &outside.remote] {
            outside.serve(family, &outside.web(family), &[host]);
            let is_here = host.name() == "p1";
            for (to, protocol) in outside.frontends(family).into_iter().zip(["tcp", "udp", "tcp", "udp"]) {
                expect(&outside.client, to, &[host.name()]);
                let explanation = explain(scene, &format!("{client} {to} --protocol {protocol}"));
                assert_eq!(did(&explanation), ["served", ""], "{explanation:#}");
                let [source, destination] = translated(&explanation);
                assert_eq!(destination.to_string(), backend(family, host));
                assert_eq!(source.ip(), if is_here { client } else { family.of(&scene.node) }, "{explanation:#}");
                let part = &explanation["programs"];
                assert_eq!((&part["translated"]["toStack"], &part["decidedBy"]), (&json!(is_here), &json!(layers[0])));
                let device = if is_here { Value::Null } else { json!("eth0") };
                assert_eq!(part["translated"]["device"], device, "{explanation:#}");
                let hooks = if is_here { layers } else { &layers[..1] };
                assert_eq!(part["hooks"], json!(hooks), "{explanation:#}");
            }
        }
        scene.delete("Service", "web");
    });
}

#[test]
fn s16_s20_s21_the_programs_refuse_what_the_other_steps_refuse() {
    from_outside_over_both("trial-no", |outside, family| {
        let (scene, client) = (&outside.scene, outside.address(family));
        let others = if family == Family::Ipv4 { "198.51.100.0/24" } else { "2001:db8:9::/48" };
        let limited = outside.web(family).external_local().source_range(others);
        outside.serve(family, &limited, &[&outside.remote]);
        let empty = family.name("empty");
        scene.put(&web(&empty, [family.cluster_ip(11)]).build());
        let [_, node_port, _, balanced] = outside.frontends(family);
        expect(&scene.from_pod, node_port, &["far"]);
        scene.expect(family.frontend(11), &["ECONNREFUSED"]);
        let unserved = SocketAddr::new(family.cluster_ip(11), 81);
        for (to, protocol, wanted, answer) in [
            (family.frontend(11), "tcp", ["rejected", "no_backend"], json!("RST")),
            (family.frontend(11), "udp", ["rejected", "no_backend"], json!("ICMP error")),
            (unserved, "tcp", ["rejected", "unserved_port"], json!("RST")),
            (family.frontend(99), "tcp", ["dropped", "unowned_address"], Value::Null),
            (node_port, "tcp", ["dropped", "no_local_backend"], Value::Null),
            (balanced, "tcp", ["dropped", "source_range"], Value::Null),
            (SocketAddr::new(family.of(&scene.node), 9999), "tcp", ["passes", ""], Value::Null),
        ] {
            let explanation = explain(scene, &format!("{client} {to} --protocol {protocol}"));
            assert_eq!(did(&explanation), wanted, "{to} {protocol}: {explanation:#}");
            assert_eq!(verdict(&explanation)[..2], wanted, "{explanation:#}");
            assert_eq!(explanation["programs"]["answer"], answer, "{explanation:#}");
        }
        scene.delete("Service", "web");
        scene.delete("Service", &empty);
    });
}

#[test]
fn s24_s29_the_programs_keep_flows_and_clients_where_they_are() {
    from_outside_over_both("trial-kept", |outside, family| {
        let (scene, to) = (&outside.scene, outside.node_port(family));
        outside.serve(family, &outside.web(family), &[scene.pod(1), scene.pod(2), &outside.remote]);
        expect(&outside.client, to, &["p1", "p2", "far"]);
        let own = SocketAddr::new(outside.address(family), BOUND_PORT);
        let reply = outside.client.dial(&Dial::new(Transport::UdpUnconnected, to).bind(own)).unwrap();
        let host = match reply.backend() {
            "far" => &outside.remote,
            "p1" => scene.pod(1),
            _ => scene.pod(2),
        };
        let explanation = explain(scene, &format!("{own} {to} --protocol udp"));
        assert_eq!(did(&explanation), ["served", ""]);
        let [source, destination] = translated(&explanation);
        assert_eq!((Some(source), destination.to_string()), (reply.seen_client(), backend(family, host)));

        outside.serve(family, &outside.web(family).client_ip_affinity(None), &[scene.pod(1), scene.pod(2)]);
        until("the client keeps a backend", || {
            outside.client.tcp(to).is_ok() && connection(scene, own.ip(), to)["affinity"]["backend"] != Value::Null
        });
        for _ in 0..4 {
            let explanation = connection(scene, own.ip(), to);
            assert_eq!(did(&explanation), ["served", ""]);
            assert_eq!(candidates(&explanation), [translated(&explanation)[1].to_string()].into(), "{explanation:#}");
        }
        scene.delete("Service", "web");
    });
}

#[test]
fn s23_packets_made_one_after_another_reach_every_backend() {
    let setup = Setup::new("trial-draw");
    from_outside(setup, |outside| {
        let (scene, family) = (&outside.scene, Family::Ipv4);
        outside.serve(family, &outside.web(family), &[scene.pod(1), &outside.remote]);
        expect(&outside.client, outside.node_port(family), &["p1", "far"]);
        let mut left: Vec<_> = [scene.pod(1), &outside.remote].map(|host| backend(family, host)).into();
        for _ in 0..DRAWS {
            let explanation = connection(scene, outside.address(family), outside.node_port(family));
            let drawn = translated(&explanation)[1].to_string();
            left.retain(|backend| *backend != drawn);
            if left.is_empty() {
                return;
            }
        }
        panic!("{DRAWS} packets have never reached {left:?}");
    });
}

/// The node port of each family's Service.
fn node_port(outside: &Outside, family: Family) -> SocketAddr {
    SocketAddr::new(family.of(&outside.scene.node), NODE_PORT + u16::from(family == Family::Ipv6))
}

/// Serves `web` with session affinity by a backend here and one elsewhere, and `empty` by none.
fn serve_both(outside: &Outside, family: Family) {
    let (scene, name) = (&outside.scene, family.name("web"));
    let to = node_port(outside, family);
    let service = web_node_port(&name, [family.cluster_ip(1)], to.port()).client_ip_affinity(None);
    scene.put(&service.build());
    scene.put(&web_slice(&name, family).pod(scene.pod(1)).pod(&outside.remote).build());
    scene.put(&web(&family.name("empty"), [family.cluster_ip(11)]).build());
    until("it is served", || outside.client.tcp(to).is_ok());
}

/// Questions about packets that open flows, renew a client's memory, and are refused.
fn questions(outside: &Outside, family: Family) -> [String; 6] {
    let (client, to) = (outside.address(family), node_port(outside, family));
    let fresh = if family == Family::Ipv4 { "192.0.2.77" } else { "2001:db8:77::1" };
    [
        format!("{client} {to}"),
        format!("{client} {to} --protocol udp"),
        format!("{fresh} {to} --from outside --device eth0"),
        format!("{client} {}", family.frontend(11)),
        format!("{client} {}", family.frontend(99)),
        format!("{client} {}", family.frontend(1)),
    ]
}

#[test]
fn running_the_programs_changes_no_map_and_no_pin() {
    from_outside("trial-still", |outside| {
        over_both(|family| serve_both(outside, family));
        outside.scene.waggle.kill().unwrap();
        let scene = &outside.scene;
        let before = dumps(scene);
        assert!(before.len() > 30, "{:?}", before.keys());
        over_both(|family| {
            for question in questions(outside, family) {
                until("a run during which no packet arrives", || {
                    let scratch = scene.dump(SCRATCH);
                    did(&explain(scene, &question));
                    scene.dump(SCRATCH) == scratch
                });
            }
        });
        let after = dumps(scene);
        let is_changed = |name: &&String| before.get(*name) != after.get(*name) && *name != SCRATCH;
        let changed: Vec<_> = before.keys().filter(is_changed).collect();
        assert!(changed.is_empty() && before.len() == after.len(), "{changed:?}");
    });
}

/// Runs `bpftool`, which must succeed. Returns its output as JSON.
fn bpftool(arguments: &str) -> Value {
    let output = Command::new("bpftool").arg("-j").args(arguments.split(' ')).output().unwrap();
    assert!(output.status.success(), "bpftool {arguments}: {output:?}");
    serde_json::from_slice(&output.stdout).unwrap_or(Value::Null)
}

#[test]
fn other_programs_than_those_of_this_waggle_are_not_run() {
    let scene = Setup::new("trial-other").backends(1).args(["--device-mode", "tc"]).start();
    scene.put(&web("web-4", [Family::Ipv4.cluster_ip(10)]).build());
    scene.put(&web_slice("web-4", Family::Ipv4).pod(scene.pod(1)).build());
    scene.expect(Family::Ipv4.frontend(10), &["p1"]);
    let question = format!("192.0.2.9 {} --from outside --device eth0", Family::Ipv4.frontend(10));
    assert_eq!(did(&explain(&scene, &question)), ["served", ""]);
    let skipped = explain(&scene, &format!("{question} --no-run"));
    assert_eq!((&skipped["programs"], verdict(&skipped)[0]), (&Value::Null, "served"));
    // The program of another stage takes the place of the one that opens flows.
    let array = format!("{BPFFS}/{}/tc_stages", scene.node.instance());
    let other = &bpftool(&format!("map lookup pinned {array} key 2 0 0 0"))["value"];
    let bytes = other.as_array().unwrap().iter().map(|byte| byte.as_str().unwrap().trim_start_matches("0x").to_owned());
    let id = bytes.rev().collect::<String>();
    let id = u32::from_str_radix(&id, 16).unwrap();
    bpftool(&format!("map update pinned {array} key 0 0 0 0 value id {id}"));
    let explanation = explain(&scene, &question);
    let reason = explanation["programs"]["notRun"].as_str().unwrap();
    assert!(reason.starts_with("the attached program tc_open is another than this waggle's (tag "), "{reason}");
    assert_eq!(verdict(&explanation)[0], "served");
    let (code, text, _) = run(&scene, &question);
    assert!(code == 0 && text.contains("programs  not run: the attached program tc_open is another"), "{text}");
}

#[test]
fn what_is_missing_to_run_the_programs_is_said() {
    let scene = Setup::new("trial-caps").backends(1).args(["--device-mode", "tc"]).start();
    let arguments = ["explain", "192.0.2.9", "10.96.0.99:80", "--from", "outside", "--device", "eth0", "-o", "json"];
    let mut command = Command::new(find_program("waggle", "WAGGLE_BIN").unwrap());
    command.args(arguments).args(["--instance", &scene.node.instance()]);
    keep_capabilities(&mut command, &[Capability::CAP_BPF, Capability::CAP_NET_ADMIN].into_iter().collect()).unwrap();
    let output = scene.node.netns().inside(|| command.output()).unwrap().unwrap();
    let explanation: Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{output:?}"));
    let reason = explanation["programs"]["notRun"].as_str().unwrap();
    assert!(reason.starts_with("capabilities are missing: CAP_PERFMON (to load programs with helpers"), "{reason}");
    assert!(reason.contains("CAP_SYS_ADMIN (to open the attached programs by their ids)"), "{reason}");
    assert_eq!((output.status.code(), verdict(&explanation)[1]), (Some(0), "unowned_address"));
}
