//! Restarts, other flags, clean-up, and devices and addresses that are removed and added again.

use super::*;

#[test]
fn a_recreated_device_with_its_old_index_is_served_again() {
    let add = "link add again index 77 address 02:00:00:00:00:77 type veth peer name niaga";
    let address = "address add 198.51.100.1/24 dev again";
    for (flags, count) in [(["--device-mode", "xdp"], 3), (["--device-mode", "tc"], 2)] {
        let scene = Setup::new("dev-again").build();
        let _waggle = scene.agent(&flags);
        ip(&scene, &[add, address]);
        // For a moment the device has no row.
        let links = || {
            let links = rows(&scene).get("again").map(programs).into_iter().flatten();
            links.map(|(_, (_, link))| link).collect::<Vec<_>>()
        };
        until("links", || links().len() == count);
        let before = links();
        ip(&scene, &["link del again", add, address]);
        until("new links", || {
            let now = links();
            now.len() == count && now.iter().all(|link| !before.contains(link))
        });
    }
    let scene = Setup::new("dev-again").build();
    let _waggle = scene.agent(&["--device-mode", "tc", "--tc-attach", "clsact"]);
    ip(&scene, &[add, address]);
    let has_filters = || attached(&scene)["tc"].as_array().unwrap().len() == 4;
    until("filters on both devices", has_filters);
    ip(&scene, &["link del again", add, address]);
    until("filters on the new device, too", has_filters);
}

#[test]
fn s31_a_restart_replaces_programs_on_the_links_that_are_there() {
    for (attach, hooks) in [("tcx", ["tcx_egress", "tcx_ingress"]), ("clsact", ["clsact_egress", "clsact_ingress"])] {
        let scene = Setup::new("dev-again").build();
        let mut waggle = scene.agent(&["--device-mode", "xdp", "--tc-attach", attach]);
        let before = programs(&rows(&scene)["eth0"]);
        waggle.kill().unwrap();
        assert_eq!(programs(&rows(&scene)["eth0"]), before, "the data plane stays");
        waggle.restart().unwrap();
        let after = programs(&rows(&scene)["eth0"]);
        assert_eq!(after.keys().collect::<Vec<_>>(), [hooks[0], hooks[1], "xdp"]);
        for (hook, (program, link)) in &after {
            assert_ne!(*program, before[hook].0, "{hook} has the new program");
            assert_eq!(*link, before[hook].1, "{hook} was never without one");
        }
        let tc = attached(&scene)["tc"].as_array().unwrap().clone();
        let wanted = if attach == "tcx" { 0 } else { 2 };
        assert_eq!(tc.len(), wanted, "this bpftool shows filters only: {tc:?}");
        assert!(tc.iter().all(|filter| after.values().any(|(program, _)| filter["id"] == *program)), "{tc:?}");
    }
}

#[test]
fn s31_a_restart_with_other_flags_leaves_nothing_of_the_old_ones() {
    let scene = Setup::new("dev-flags").build();
    ip(&scene, &["link add extra type veth peer name artxe", "address add 198.51.100.1/24 dev extra"]);
    let mut agents = vec![scene.agent(&["--device-mode", "xdp"])];
    expect(&scene, &[("eth0", "xdp"), ("extra", "xdp")]);
    let steps: [(&[&str], Modes); 7] = [
        (&["--devices", "eth0", "--device-mode", "xdp"], &[("eth0", "xdp")]),
        (&["--device-mode", "auto"], &[("eth0", "tc"), ("extra", "tc")]),
        (&["--devices", "e*", "--device-mode", "xdp-generic"], &[("eth0", "xdp-generic"), ("extra", "xdp-generic")]),
        (&["--device-mode", "xdp"], &[("eth0", "xdp"), ("extra", "xdp")]),
        (&["--device-mode", "tc", "--tc-attach", "clsact"], &[("eth0", "tc"), ("extra", "tc")]),
        (&["--device-mode", "tc"], &[("eth0", "tc"), ("extra", "tc")]),
        (&["--device-mode", "off"], &[]),
    ];
    for (flags, wanted) in steps {
        agents.last_mut().unwrap().kill().unwrap();
        agents.push(scene.agent(flags));
        expect(&scene, wanted);
        let attached = attached(&scene);
        let xdp = wanted.iter().filter(|(_, mode)| *mode != "tc").count();
        assert_eq!(attached["xdp"].as_array().unwrap().len(), xdp, "{flags:?}: {attached}");
        let filters = if flags.contains(&"clsact") { 4 } else { 0 };
        assert_eq!(attached["tc"].as_array().unwrap().len(), filters, "{flags:?}: {attached}");
    }
    assert!(flags(&scene).is_empty());
}

/// Adds a filter of another tool to `shared`'s egress. It has Waggle's program, since this machine has no other of
/// that kind.
fn add_foreign_filter(scene: &Scene, waggle: &Waggle) {
    let rows = rows(scene);
    let programs = rows["shared"]["programs"].as_array().unwrap();
    let egress = programs.iter().find(|cell| text(&cell["hook"]).ends_with("egress")).unwrap();
    let pin = waggle.pins().join("foreign");
    output(scene, &format!("bpftool prog pin id {} {}", egress["program"], pin.display()));
    output(scene, &format!("tc filter add dev shared egress prio 9 bpf da pinned {}", pin.display()));
    std::fs::remove_file(pin).unwrap();
}

#[test]
fn s31_cleanup_leaves_nothing_on_devices_but_what_is_others() {
    for attach in ["tcx", "clsact"] {
        let scene = Setup::new("dev-clean").build();
        ip(&scene, &["link add shared type veth peer name derahs", "address add 198.51.100.1/24 dev shared"]);
        output(&scene, "tc qdisc add dev shared clsact");
        let mut waggle = scene.agent(&["--device-mode", "xdp", "--tc-attach", attach]);
        expect(&scene, &[("eth0", "xdp"), ("shared", "xdp")]);
        add_foreign_filter(&scene, &waggle);
        waggle.stop().unwrap();
        let program = harness::lab::find_program("waggle", "WAGGLE_BIN").unwrap();
        let cleanup = format!("{} cleanup --instance {}", program.display(), scene.node.instance());
        assert!(output(&scene, &cleanup).contains("removed 15 hooks"));
        let is_foreign = |filter: &Value| filter["devname"] == "shared" && filter["kind"] == "clsact/egress";
        let attached = attached(&scene);
        assert_eq!(attached["xdp"], json!([]), "a new agent finds the devices free");
        let filters = attached["tc"].as_array().unwrap();
        assert!(filters.len() == 1 && is_foreign(&filters[0]), "only the other tool's filter: {filters:?}");
        assert!(!output(&scene, "tc qdisc show dev eth0").contains("clsact"));
    }
}

#[test]
fn the_source_of_forwarded_packets_follows_the_node() {
    let scene = Setup::new("dev-own").build();
    let _waggle = scene.agent(&["--device-mode", "auto"]);
    let is = |wanted: [&str; 2]| {
        let bytes = |text: &str| match text.parse().unwrap() {
            std::net::IpAddr::V4(v4) => json!({"bytes": v4.to_ipv6_mapped().octets()}),
            std::net::IpAddr::V6(v6) => json!({"bytes": v6.octets()}),
        };
        let own = scene.dump("node_addresses").into_iter().take(2);
        let found: Vec<_> = own.map(|entry| entry["formatted"]["value"].clone()).collect();
        found == wanted.map(bytes)
    };
    until("the Node object's", || is(["192.168.50.1", "fd00:50::1"]));
    ip(&scene, &["address add 192.168.50.77/23 dev eth0", "address del 192.168.50.1/24 dev eth0"]);
    until("the kernel's", || is(["192.168.50.77", "fd00:50::1"]));
    ip(&scene, &["address add 192.168.50.1/24 dev eth0", "address del fd00:50::1/64 dev eth0"]);
    until("the Node object's again, and none", || is(["192.168.50.1", "::"]));
}

#[test]
fn programs_are_loaded_when_something_needs_them() {
    let scene = Setup::new("dev-late").build();
    let _waggle = scene.agent(&["--devices", "late", "--device-mode", "xdp"]);
    // bpftool prints only those entries of a program array that are set.
    let stages = |map: &str| scene.dump(map).len();
    let tc = stages("tc_stages");
    assert_eq!(stages("xdp_stages"), 0, "no device is served by XDP");
    ip(&scene, &["link add late type veth peer name etal", "address add 198.51.100.1/24 dev late"]);
    expect(&scene, &[("late", "xdp")]);
    assert_eq!(stages("xdp_stages"), 5);
    let service = service("web").cluster_ip("10.96.0.1").named_port("sctp", "SCTP", 80, 9999);
    scene.put(&service.build());
    until("the stages for the node's own SCTP", || stages("tc_stages") == tc + 2);
}
