//! Tests which endpoints a Service gets.

use super::*;

#[test]
fn s3_only_our_slices_count_and_they_may_move() {
    let mut world = World::new();
    world.apply(service_a(json!({})));
    let labelled = |labels: Value| {
        let metadata = json!({ "name": "x", "namespace": "default", "labels": labels });
        slice_with("x", json!({ "metadata": metadata, "endpoints": [endpoint("10.0.0.1")] }))
    };
    let ours = || labelled(json!({ "kubernetes.io/service-name": "a" }));
    assert_eq!(world.apply(ours()).cluster(), ["10.0.0.1:8080"]);
    for others in [
        json!({}),
        json!({ "kubernetes.io/service-name": "" }),
        json!({ "kubernetes.io/service-name": "b" }),
        json!({ "kubernetes.io/service-name": "a", "service.kubernetes.io/headless": "" }),
    ] {
        assert_eq!(world.apply(labelled(others)).cluster(), [""; 0]);
        assert_eq!(world.apply(ours()).cluster(), ["10.0.0.1:8080"]);
    }
    let named = slice_with("x", json!({ "addressType": "FQDN", "endpoints": [endpoint("example.org")] }));
    assert_eq!(world.apply(named).cluster(), [""; 0]);
    assert_eq!(world.fields(), [""; 0]);
    assert_eq!(world.apply(slice_with("x", json!({ "addressType": "IPX" }))).fields(), ["addressType"]);
    assert_eq!(world.delete(&ours()).fields(), [""; 0]);
}

#[test]
fn s4_ports_join_by_name_and_protocol_and_bring_their_own_number() {
    let mut world = World::new();
    let ports = json!([
        { "name": "web", "port": 80, "targetPort": 9 },
        { "name": "dns", "port": 53 },
        { "name": "dns", "port": 53, "protocol": "UDP" },
    ]);
    world.apply(service_a(json!({ "ports": ports })));
    let more = |ports: Value, address| json!({ "ports": ports, "endpoints": [endpoint(address)] });
    let one = json!([{ "name": "web", "port": 1 }, { "name": "dns", "port": 2, "protocol": "UDP" }]);
    world.apply(slice_with("x", more(one, "10.0.0.1")));
    world.apply(slice_with("y", more(json!([{ "name": "web", "port": 3 }, { "port": 4 }]), "10.0.0.2")));
    let backends: Vec<_> = world.service("a").ports.into_iter().collect();
    let list = |number: usize| {
        let (PortKey { name, protocol, .. }, PortEntry { lists, usable, .. }) = backends[number].clone();
        let texts: Vec<_> = lists[&List::Cluster].iter().map(|backend| backend.to_string()).collect();
        (name.to_string(), protocol, texts.join(" "), usable)
    };
    assert_eq!(list(0), ("dns".into(), Protocol::Tcp, String::new(), false));
    assert_eq!(list(1), ("dns".into(), Protocol::Udp, "10.0.0.1:2".into(), true));
    assert_eq!(list(2), ("web".into(), Protocol::Tcp, "10.0.0.1:1 10.0.0.2:3".into(), true));
}

#[test]
fn s5_ports_without_number_and_endpoints_without_address_are_ignored() {
    let mut world = World::new();
    world.apply(service_a(json!({})));
    let endpoints = json!([{ "addresses": [] }, {}, { "addresses": ["10.0.0.1", "10.0.0.2"] }]);
    world.apply(slice_with("x", json!({ "ports": [{}, { "port": 8080 }], "endpoints": endpoints })));
    assert_eq!(world.cluster(), ["10.0.0.1:8080"]);
    assert_eq!(world.fields(), [""; 0]);
    let ports = json!([{ "port": 0 }, { "port": 65536 }, { "port": 1, "protocol": "x" }]);
    assert_eq!(world.apply(slice_with("x", json!({ "ports": ports, "endpoints": endpoints }))).cluster(), [""; 0]);
    assert_eq!(world.fields(), ["ports[0].port", "ports[1].port", "ports[2].protocol"]);
}

#[test]
fn s9_backends_on_this_node_are_marked_whichever_list_they_are_in() {
    let mut world = World::new();
    let here = |address: &str| json!({ "addresses": [address], "nodeName": NODE });
    let there = json!({ "addresses": ["10.0.0.3"], "nodeName": "there" });
    let unready = merged(here("10.0.0.4"), json!({ "conditions": { "ready": false } }));
    let endpoints = json!([here("10.0.0.2"), endpoint("10.0.0.1"), there, unready, endpoint("192.0.2.1")]);
    world.apply(service_a(json!({}))).apply(slice("x", endpoints));
    let marked = |world: &mut World| {
        let ports = world.service("a").ports;
        ports.values().flat_map(|port| port.local.iter()).map(ToString::to_string).collect::<Vec<_>>()
    };
    assert_eq!(marked(&mut world), ["10.0.0.2:8080"]);
    // A hand-made slice names no node, so a copy that names one is preferred.
    world.apply(slice("y", json!([here("10.0.0.1")])));
    assert_eq!(marked(&mut world), ["10.0.0.1:8080", "10.0.0.2:8080"]);
    let own = LocalAddresses { all: ["192.0.2.1".parse().unwrap()].into(), ..LocalAddresses::default() };
    world.model.set_node_addresses(own);
    assert_eq!(marked(&mut world), ["10.0.0.1:8080", "10.0.0.2:8080", "192.0.2.1:8080"]);
    world.model.set_node_addresses(LocalAddresses::default());
    world.apply(slice("x", json!([]))).delete(&slice("y", json!([])));
    assert_eq!(marked(&mut world), [""; 0]);
}

/// Tests an address that now belongs to a pod on another node, while the old pod is still listed.
#[test]
fn w05_a_reused_address_is_where_its_live_copy_is() {
    let copy = |node: &str, live: bool| {
        let conditions = json!({ "ready": live, "serving": live, "terminating": !live });
        json!({ "addresses": ["10.0.0.1"], "nodeName": node, "conditions": conditions })
    };
    let address: SocketAddr = ([10, 0, 0, 1], 8080).into();
    for (old, new, here) in [(NODE, "there", false), ("there", NODE, true)] {
        let (old, new) = (copy(old, false), copy(new, true));
        let one = |first, second| vec![slice("x", json!([first, second]))];
        let two = |first, second| vec![slice("x", json!([first])), slice("y", json!([second]))];
        for slices in [one(&old, &new), one(&new, &old), two(&old, &new), two(&new, &old)] {
            let mut world = World::new();
            world.apply(service_a(json!({ "type": "NodePort", "externalTrafficPolicy": "Local" })));
            for slice in slices {
                world.apply(slice);
            }
            let port = world.service("a").ports.into_values().next().unwrap();
            let local = if here { vec![address] } else { vec![] };
            assert!(port.lists[&List::Cluster].iter().eq([address]));
            assert_eq!(port.local.to_vec(), local, "whose packets go up this node's stack");
        }
    }
}

#[test]
fn s7_addresses_that_cannot_answer_are_noticed_and_skipped() {
    let mut world = World::new();
    world.apply(service_a(json!({})));
    let endpoints: Vec<_> = ["127.0.0.1", "nowhere", "010.0.0.1", "fd00::1", "169.254.0.1"].map(endpoint).into();
    assert_eq!(world.apply(slice("x", json!(endpoints))).cluster(), ["10.0.0.1:8080"]);
    assert_eq!(world.fields(), [0, 1, 3, 4].map(|index| format!("endpoints[{index}].addresses[0]")));
}

#[test]
fn s7_a_cluster_ip_that_comes_and_goes_is_refused_meanwhile() {
    let mut world = World::new();
    world.apply(service_a(json!({}))).apply(slice("x", json!([endpoint("10.0.0.1"), endpoint("10.96.0.2")])));
    assert_eq!(world.cluster(), ["10.0.0.1:8080", "10.96.0.2:8080"]);
    let other = service("b", json!({ "clusterIP": "10.96.0.2" }));
    assert_eq!(world.apply(other.clone()).cluster(), ["10.0.0.1:8080"]);
    assert_eq!(world.fields(), ["endpoints[1].addresses[0]"]);
    assert_eq!(world.delete(&other).cluster(), ["10.0.0.1:8080", "10.96.0.2:8080"]);
    assert_eq!(world.fields(), [""; 0]);
}

#[test]
fn s8_copies_in_two_slices_are_one_backend() {
    let mut world = World::new();
    let leaving = json!({ "ready": false, "serving": true, "terminating": true });
    world.apply(service_a(json!({})));
    world.apply(slice("x", json!([{ "addresses": ["10.0.0.1"], "conditions": leaving }, endpoint("10.0.0.2")])));
    assert_eq!(world.cluster(), ["10.0.0.2:8080"]);
    assert_eq!(world.apply(slice("y", json!([endpoint("10.0.0.1")]))).cluster(), ["10.0.0.1:8080", "10.0.0.2:8080"]);
}

#[test]
fn s8_of_equal_copies_the_first_slice_by_name_counts_whichever_came_first() {
    let hinted = |name, zone: &str| {
        let hints = json!({ "forZones": [{ "name": zone }] });
        slice(name, json!([{ "addresses": ["10.0.0.1"], "hints": hints }]))
    };
    let other = slice("z", json!([{ "addresses": ["10.0.0.2"], "hints": { "forZones": [{ "name": "east" }] } }]));
    for order in [["x", "y"], ["y", "x"]] {
        let mut world = World::new();
        world.apply(service_a(json!({}))).apply(node(Some("west"), &[])).apply(other.clone());
        for name in order {
            world.apply(hinted(name, if name == "x" { "west" } else { "east" }));
        }
        assert_eq!(world.cluster(), ["10.0.0.1:8080"]);
    }
}

#[test]
fn s9_absent_conditions_and_node_have_their_defaults() {
    let mut world = World::new();
    let on = |node: Value, conditions: Value, address| json!({ "addresses": [address], "nodeName": node, "conditions": conditions });
    world.apply(service_a(json!({ "internalTrafficPolicy": "Local" })));
    world.apply(slice(
        "x",
        json!([
            on(json!(NODE), json!(null), "10.0.0.1"),
            on(json!(NODE), json!({ "ready": null }), "10.0.0.2"),
            on(json!("there"), json!({}), "10.0.0.3"),
            on(json!(null), json!({}), "10.0.0.4"),
            on(json!(NODE), json!({ "ready": false, "terminating": true }), "10.0.0.5"),
        ]),
    ));
    let local =
        |world: &mut World| world.lists()[&List::Local].iter().map(|backend| backend.to_string()).collect::<Vec<_>>();
    assert_eq!(local(&mut world), ["10.0.0.1:8080", "10.0.0.2:8080"]);
    // An absent `serving` is true, so the endpoint is usable where none is ready.
    world.apply(slice("x", json!([on(json!(NODE), json!({ "ready": false, "terminating": true }), "10.0.0.5")])));
    assert_eq!(local(&mut world), ["10.0.0.5:8080"]);
}

#[test]
fn s11_each_family_has_its_own_backends() {
    let mut world = World::new();
    world.apply(service_a(json!({ "ipFamilies": ["IPv4", "IPv6"], "clusterIPs": ["10.96.0.1", "fd00::1"] })));
    world.apply(slice("x", json!([endpoint("10.0.0.1")])));
    world.apply(slice_with("y", json!({ "addressType": "IPv6", "endpoints": [endpoint("fd01::1")] })));
    let ports: Vec<_> = world.service("a").ports.into_iter().collect();
    let backends = |number: usize| (ports[number].0.family, ports[number].1.lists[&List::Cluster].clone());
    assert_eq!(backends(0), (Family::Ipv4, ["10.0.0.1:8080".parse().unwrap()].into_iter().collect()));
    assert_eq!(backends(1), (Family::Ipv6, ["[fd01::1]:8080".parse().unwrap()].into_iter().collect()));
}

#[test]
fn s15_hints_are_read_and_follow_the_nodes_zone() {
    let mut world = World::new();
    let hinted = |address, hints: Value| json!({ "addresses": [address], "hints": hints });
    let zones = |names: &[&str]| json!(names.iter().map(|name| json!({ "name": name })).collect::<Vec<_>>());
    world.apply(service_a(json!({}))).apply(service("b", json!({ "clusterIP": "10.96.0.2" })));
    world.apply(slice(
        "x",
        json!([
            hinted("10.0.0.1", json!({ "forZones": zones(&["east"]) })),
            hinted("10.0.0.2", json!({ "forZones": zones(&["west", "east"]) })),
        ]),
    ));
    assert_eq!(world.cluster(), ["10.0.0.1:8080", "10.0.0.2:8080"]);
    world.apply(node(Some("west"), &[]));
    let touched = world.settle();
    assert_eq!(touched.services, [ServiceName::new("default", "a")].into());
    assert_eq!(world.cluster(), ["10.0.0.2:8080"]);
    assert_eq!(world.apply(node(Some("north"), &[])).cluster().len(), 2);
    assert_eq!(world.apply(node(Some("west"), &[])).cluster().len(), 1);
    assert_eq!(world.apply(node(Some(""), &[])).cluster().len(), 2);
    world.apply(slice(
        "x",
        json!([
            hinted("10.0.0.1", json!({ "forNodes": zones(&["there", NODE]) })),
            hinted("10.0.0.2", json!({ "forNodes": zones(&["there"]) })),
        ]),
    ));
    assert_eq!(world.cluster(), ["10.0.0.1:8080"]);
}
