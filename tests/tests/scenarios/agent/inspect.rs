//! The read side of a running instance: `waggle get`, and `bpftool` on the pinned maps.

#![expect(clippy::unwrap_used, reason = "a step that fails fails the test")]

use std::process::Command;

use harness::{
    objects::service,
    scene::{Family, Origin, PORTS, Scene, Setup, from_both, web, web_node_port, web_slice},
};
use serde_json::{Value, json};

/// Runs a command that must succeed, and returns its stdout.
fn output(command: &mut Command) -> String {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

fn get(scene: &Scene, what: &str) -> Vec<Value> {
    serde_json::from_value(scene.get(what)).unwrap()
}

/// Puts a Service with both families and node ports, and one without backends, and waits until they are in force.
fn serve(scene: &Scene) {
    scene.put(&web_node_port("web", Family::BOTH.map(|family| family.cluster_ip(10)), 30080).build());
    scene.put(&service("none").cluster_ip("10.96.0.11").port(80, 80).build());
    for family in Family::BOTH {
        let slice = web_slice("web", family).name(&family.name("web")).pod(scene.pod(1)).pod(scene.pod(2));
        scene.put(&slice.build());
        scene.expect(family.frontend(10), &["p1", "p2"]);
    }
    scene.expect(Family::Ipv4.frontend(11), &["ECONNREFUSED"]);
}

#[test]
fn get_services_shows_frontends_by_kubernetes_names() {
    from_both("get-svc", |scene| {
        serve(scene);
        let rows = get(scene, "services");
        let find = |address: &str, protocol: &str| {
            let found = rows.iter().find(|row| row["address"] == address && row["protocol"] == protocol);
            found.unwrap_or_else(|| panic!("no {address} in {rows:#?}"))
        };
        let backends = |family: Family| json!([1, 2].map(|number| format!("{}", at(scene, family, number))));
        for (address, family, kind) in [
            ("10.96.0.10:80", Family::Ipv4, "ClusterIP"),
            ("[fd00:96::a]:80", Family::Ipv6, "ClusterIP"),
            ("*:30080", Family::Ipv4, "NodePort"),
            ("[*]:30080", Family::Ipv6, "NodePort"),
        ] {
            for (protocol, port) in [("TCP", "tcp"), ("UDP", "udp")] {
                let row = find(address, protocol);
                let names = (&row["namespace"], &row["name"], &row["port"], &row["type"]);
                assert_eq!(names, (&json!("default"), &json!("web"), &json!(port), &json!(kind)), "{address}");
                assert_eq!(row["internal"]["backends"], backends(family), "{address}");
            }
        }
        assert!(find("10.96.0.10:80", "TCP")["connections"].as_u64() >= Some(24), "each connect is counted");
        assert_eq!(find("10.96.0.11:80", "TCP")["whenEmpty"], "rejects");
        assert_eq!(rows.len(), 9, "{rows:#?}");

        let (success, shown) = scene.cli(&["get", "services", "--output", "table"]);
        assert!(success, "{shown}");
        let line = |address: &str| shown.lines().find(|line| line.contains(address)).unwrap();
        let cells: Vec<_> = line("10.96.0.10:80").split_whitespace().collect();
        assert_eq!(cells[..7], ["default", "web", "tcp", "TCP", "ClusterIP", "10.96.0.10:80", "2"]);
        assert!(line("10.96.0.11:80").contains("none: rejects"), "{shown}");
    });
}

fn at(scene: &Scene, family: Family, pod: usize) -> std::net::SocketAddr {
    (family.of(scene.pod(pod)), PORTS[0]).into()
}

#[test]
fn get_backends_shows_whom_they_answer_for_also_without_the_agent() {
    for origin in Origin::BOTH {
        let mut scene = Setup::new("get-back").origin(origin).backends(3).start();
        serve(&scene);
        let rows = get(&scene, "backends");
        let mut addresses: Vec<_> = rows.iter().map(|row| row["address"].as_str().unwrap().to_owned()).collect();
        let each = |family| [1, 2].map(|number| at(&scene, family, number).to_string());
        let mut wanted: Vec<_> = Family::BOTH.into_iter().flat_map(each).collect();
        addresses.sort();
        wanted.sort();
        assert_eq!(addresses, wanted);
        assert!(rows.iter().all(|row| row["services"] == json!(["default/web:tcp", "default/web:udp"])), "{rows:#?}");
        scene.waggle.kill().unwrap();
        assert_eq!(get(&scene, "backends"), rows);
    }
}

#[test]
fn bpftool_prints_named_fields() {
    // bpftool prints every entry of an array, used or not.
    let small = Setup::new("bpftool").args(["--max-slots", "1024", "--max-backends", "1024"]);
    from_both(small, |scene| {
        scene.put(&web("web", Family::BOTH.map(|family| family.cluster_ip(10))).build());
        scene.put(&web_slice("web", Family::Ipv4).pod(scene.pod(1)).build());
        scene.expect(Family::Ipv4.frontend(10), &["p1"]);
        let bpftool = |verb: &str, map: &str, rest: &[String]| -> Value {
            let mut command = Command::new("bpftool");
            command.args(["--json", "map", verb, "pinned"]).arg(scene.waggle.pins().join(map)).args(rest);
            serde_json::from_str(&output(&mut command)).unwrap()
        };
        let bytes = |address: std::net::Ipv4Addr| json!({"bytes": address.to_ipv6_mapped().octets()});
        let services = bpftool("dump", "services", &[]);
        let services: Vec<&Value> = services.as_array().unwrap().iter().map(|entry| &entry["formatted"]).collect();
        let key = json!({"address": bytes([10, 96, 0, 10].into()), "port": 80, "protocol": 6, "_pad": 0});
        let found = services.iter().find(|entry| entry["key"] == key).unwrap_or_else(|| panic!("{services:#?}"));
        let value = &found["value"];
        assert_eq!((&value["kind"], &value["internal"]["length"]), (&json!(1), &json!(1)), "{value:#}");
        // Dumping a million slots takes a minute, so one is looked up.
        let at = |map: &str, index: &Value| {
            let key = u32::try_from(index.as_u64().unwrap()).unwrap().to_ne_bytes().map(|byte| byte.to_string());
            bpftool("lookup", map, &[vec!["key".to_owned()], key.to_vec()].concat())["formatted"]["value"].clone()
        };
        let backend = at("backends", &at("slots", &value["internal"]["offset"]));
        assert_eq!((&backend["address"], &backend["port"]), (&bytes(scene.pod(1).v4()), &json!(PORTS[0])));
    });
}
