//! Which devices are served, and how.

use super::*;

#[test]
fn native_xdp_serves_the_nodes_device_and_leaves_pods_alone() {
    let scene = Setup::new("dev-xdp").build();
    let _pods = scene.add_pods(["p1", "p2"]);
    let _waggle = scene.agent(&["--device-mode", "xdp"]);
    let rows = rows(&scene);
    assert_eq!(rows.keys().collect::<Vec<_>>(), ["eth0"], "no loopback, no host end of a pod");
    let row = &rows["eth0"];
    assert_eq!((&row["mode"], &row["fellBack"], &row["pod"]), (&json!("xdp"), &json!(false), &json!(false)));
    let programs = programs(row);
    assert_eq!(programs.keys().collect::<Vec<_>>(), ["tcx_egress", "tcx_ingress", "xdp"]);
    let attached = attached(&scene);
    assert_eq!(attached["xdp"].as_array().unwrap().len(), 1, "{attached}");
    assert_eq!((&attached["xdp"][0]["mode"], &attached["xdp"][0]["id"]), (&json!("driver"), &programs["xdp"].0));
    let (index, bits) = flags(&scene).into_iter().next().unwrap();
    assert_eq!((Some(index), bits & 1), (row["index"].as_u64(), 1), "others may redirect to it");
    assert_eq!(flags(&scene).len(), 1);
}

#[test]
fn native_xdp_works_with_jumbo_frames() {
    let scene = Setup::new("dev-jumbo").build();
    scene.lab.fabric().batch(&["link set to-a mtu 9000".into()]).unwrap();
    ip(&scene, &["link set eth0 mtu 9000"]);
    let _waggle = scene.agent(&["--device-mode", "xdp"]);
    expect(&scene, &[("eth0", "xdp")]);
}

#[test]
fn devices_and_addresses_that_come_later_are_followed() {
    let scene = Setup::new("dev-later").build();
    let _waggle = scene.agent(&["--device-mode", "auto"]);
    ip(&scene, &["link add late type veth peer name later", "link set late up", "link set later up"]);
    ip(&scene, &["link add other type veth peer name another", "address add 198.51.100.1/24 dev other"]);
    // Once the second pair is served, the agent has seen the first pair, too.
    expect(&scene, &[("eth0", "tc"), ("other", "tc")]);
    ip(&scene, &["address add fd00:77::1/64 dev late nodad"]);
    expect(&scene, &[("eth0", "tc"), ("late", "tc"), ("other", "tc")]);
    ip(&scene, &["route add default dev later metric 5000"]);
    expect(&scene, &[("eth0", "tc"), ("late", "tc"), ("later", "tc"), ("other", "tc")]);
    ip(&scene, &["address del 198.51.100.1/24 dev other", "link del late"]);
    expect(&scene, &[("eth0", "tc"), ("other", "tc")]);
    assert_eq!(flags(&scene).len(), 2);
}

#[test]
fn uplinks_with_link_local_addresses_alone_are_found_by_their_gateways() {
    let scene = Setup::new("dev-bgp").build();
    add_pairs(&scene, &["before", "after", "both", "plain"]);
    ip(&scene, &["route add 203.0.113.0/24 via inet6 fe80::1 dev before onlink"]);
    let _waggle = scene.agent(&["--device-mode", "auto"]);
    expect(&scene, &[("before", "tc"), ("eth0", "tc")]);
    // Routes of network plugins are different: routes to pods have no gateway, routes to other nodes have one with a
    // global address.
    ip(&scene, &["route add 10.244.9.9/32 dev plain", "route add 10.244.8.0/24 via 10.244.1.7 dev plain onlink"]);
    ip(&scene, &["route add 2001:db8:1::/48 via fe80::1 dev after"]);
    expect(&scene, &[("after", "tc"), ("before", "tc"), ("eth0", "tc")]);
    ip(
        &scene,
        &[
            "route add 198.51.100.0/24 nexthop via inet6 fe80::1 dev after onlink nexthop via inet6 fe80::2 dev both onlink",
        ],
    );
    expect(&scene, &[("after", "tc"), ("before", "tc"), ("both", "tc"), ("eth0", "tc")]);
    // A neighbour that is gone for a while does not detach programs from its device.
    ip(&scene, &["route del 203.0.113.0/24", "link set plain mtu 1400", "address add 192.0.2.7/24 dev plain"]);
    expect(&scene, &[("after", "tc"), ("before", "tc"), ("both", "tc"), ("eth0", "tc"), ("plain", "tc")]);
}

/// Pairs of devices that are up and have no addresses but link-local ones.
fn add_pairs(scene: &Scene, devices: &[&str]) {
    for device in devices {
        let end: String = device.chars().rev().collect();
        ip(scene, &[&format!("link add {device} type veth peer name {end}")]);
        ip(scene, &[&format!("link set {device} up"), &format!("link set {end} up")]);
    }
}

/// Routes by nexthop objects, as FRR makes them, on a machine whose kernel reports only the object's number with a
/// route.
#[test]
fn uplinks_are_found_behind_nexthop_objects() {
    let scene = Setup::new("dev-nexthop").build();
    output(&scene, "sysctl -w net.ipv4.nexthop_compat_mode=0");
    add_pairs(&scene, &["before", "lead", "shared", "other", "plain", "moved", "unused"]);
    ip(&scene, &["nexthop add id 1 via fe80::1 dev before", "route add 203.0.113.0/24 nhid 1"]);
    let _waggle = scene.agent(&["--device-mode", "auto"]);
    expect(&scene, &[("before", "tc"), ("eth0", "tc")]);
    ip(&scene, &["nexthop add id 2 dev lead", "route add default nhid 2 metric 5000"]);
    expect(&scene, &[("before", "tc"), ("eth0", "tc"), ("lead", "tc")]);
    ip(&scene, &["nexthop add id 3 via fe80::1 dev shared", "nexthop add id 4 group 1/3"]);
    ip(&scene, &["nexthop add id 5 via fe80::1 dev unused", "nexthop add id 6 dev plain"]);
    ip(&scene, &["route add 2001:db8:1::/48 nhid 4", "route add 10.244.9.0/24 nhid 6"]);
    expect(&scene, &[("before", "tc"), ("eth0", "tc"), ("lead", "tc"), ("shared", "tc")]);
    // No route changes, but the objects that routes name do.
    ip(&scene, &["nexthop replace id 3 via fe80::2 dev other", "nexthop replace id 2 dev moved"]);
    expect(
        &scene,
        &[("before", "tc"), ("eth0", "tc"), ("lead", "tc"), ("shared", "tc"), ("moved", "tc"), ("other", "tc")],
    );
}

#[test]
fn devices_without_native_xdp_fall_back_to_tc_and_say_so_once() {
    let scene = Setup::new("dev-tc").build();
    ip(&scene, &["link add br1 type bridge", "address add 198.51.100.1/24 dev br1", "link set br1 up"]);
    let waggle = scene.agent(&["--device-mode", "auto"]);
    expect(&scene, &[("br1", "tc"), ("eth0", "tc")]);
    let rows = rows(&scene);
    assert_eq!(rows["eth0"]["fellBack"], json!(false), "a veth is not even tried");
    let row = &rows["br1"];
    assert_eq!((&row["fellBack"], row["programs"].as_array().unwrap().len()), (&json!(true), 2));
    assert_eq!(flags(&scene)[&row["index"].as_u64().unwrap()], 4, "no program may redirect to it by XDP");
    ip(&scene, &["link add vx1 type vxlan id 5 dstport 4789 dev eth0", "address add 198.51.101.1/24 dev vx1"]);
    // A change of the bridge makes the agent try again, but not log again.
    ip(&scene, &["link set br1 mtu 1400", "link add end type veth", "address add 198.51.102.1/24 dev end"]);
    expect(&scene, &[("br1", "tc"), ("end", "tc"), ("eth0", "tc"), ("vx1", "tc")]);
    for device in ["br1", "vx1"] {
        let about: Vec<_> = waggle.log().since(0).into_iter().filter(is_about(device)).collect();
        assert_eq!(about.len(), 1, "{about:?}");
        let reason = about[0].field("reason").unwrap().as_str().unwrap();
        assert!(about[0].message().contains("native XDP is refused"), "{about:?}");
        assert!(reason.contains(&format!("attach xdp to device {device}: Operation not supported")), "{reason}");
    }
}

#[test]
fn another_xdp_program_is_named_and_left_alone() {
    let scene = Setup::new("dev-busy").build();
    let waggle = scene.agent(&["--device-mode", "xdp"]);
    let id = programs(&rows(&scene)["eth0"])["xdp"].0.clone();
    ip(&scene, &["link add busy type veth peer name ysub"]);
    output(&scene, &format!("bpftool net attach xdp id {id} dev busy"));
    ip(&scene, &["address add 198.51.100.1/24 dev busy"]);
    let line = waggle.wait_log(WAIT_LIMIT, is_about("busy")).unwrap();
    assert!(line.message().contains("not served"), "{line:?}");
    expect(&scene, &[("eth0", "xdp")]);
    let reason = line.field("reason").unwrap().as_str().unwrap();
    assert!(reason.contains(&format!("XDP program {id} (xdp) is there")), "{reason}");
    assert!(reason.contains("ip link set dev busy xdp off"), "{reason}");
    ip(&scene, &["link set dev busy xdp off", "link set dev busy mtu 1400"]);
    expect(&scene, &[("busy", "xdp"), ("eth0", "xdp")]);
}

#[test]
fn an_explicit_mode_that_is_refused_serves_nothing_instead() {
    let scene = Setup::new("dev-strict").build();
    ip(&scene, &["link add br1 type bridge", "address add 198.51.100.1/24 dev br1"]);
    let waggle = scene.agent(&["--device-mode", "xdp"]);
    expect(&scene, &[("eth0", "xdp")]);
    let line = waggle.wait_log(WAIT_LIMIT, is_about("br1")).unwrap();
    assert!(line.message().contains("not served") && line.field("level").is_some_and(|level| level == "ERROR"));
}

#[test]
fn a_named_device_is_waited_for_and_others_are_skipped() {
    let scene = Setup::new("dev-named").build();
    let waggle = scene.agent(&["--devices", "eth0,soon,lo"]);
    expect(&scene, &[("eth0", "tc")]);
    assert!(waggle.wait_log(WAIT_LIMIT, is_about("soon")).unwrap().message().contains("does not exist"));
    assert!(waggle.wait_log(WAIT_LIMIT, is_about("lo")).unwrap().message().contains("neither Ethernet frames"));
    ip(&scene, &["link add soon type veth peer name noos"]);
    expect(&scene, &[("eth0", "tc"), ("soon", "tc")]);
    let said = waggle.log().since(0).into_iter().filter(|line| line.message().contains("does not exist")).count();
    assert_eq!(said, 1);
}

#[test]
fn s17_pod_interfaces_get_tc_and_are_marked() {
    let scene = Setup::new("dev-pods").build();
    let _pods = scene.add_pods(["vm1", "ct1"]);
    let _waggle = scene.agent(&["--pod-interfaces", "pod-vm*"]);
    expect(&scene, &[("eth0", "tc"), ("pod-vm1", "tc")]);
    let _later = scene.add_pods(["vm2"]);
    expect(&scene, &[("eth0", "tc"), ("pod-vm1", "tc"), ("pod-vm2", "tc")]);
    let rows = rows(&scene);
    for device in ["pod-vm1", "pod-vm2"] {
        assert_eq!((&rows[device]["pod"], &rows[device]["fellBack"]), (&json!(true), &json!(false)));
        assert_eq!(flags(&scene)[&rows[device]["index"].as_u64().unwrap()], 2);
    }
}

#[test]
fn forwarding_that_is_off_is_logged() {
    let scene = Setup::new("dev-fwd").build();
    output(&scene, "sysctl -w net.ipv4.ip_forward=0");
    let waggle = scene.agent(&["--device-mode", "auto"]);
    let is_logged =
        |name: &str| waggle.log().since(0).iter().any(|line| line.message().contains(&format!("sysctl -w {name}=1")));
    assert!(is_logged("net.ipv4.ip_forward"));
    assert!(!is_logged("net.ipv6.conf.all.forwarding"));
}
