//! Tests which Services are served, and with which parameters.

use super::*;

fn is_served(object: Object) -> bool {
    let mut world = World::new();
    let served = world.apply(object).service("a") != ServiceTable::default();
    assert_eq!(world.fields(), [""; 0]);
    served
}

#[test]
fn s1_headless_external_name_and_delegated_services_are_ignored() {
    assert!(is_served(service_a(json!({}))));
    assert!(!is_served(service_a(json!({ "clusterIP": "None" }))));
    assert!(!is_served(service_a(json!({ "clusterIP": "" }))));
    assert!(!is_served(service_a(json!({ "clusterIP": null }))));
    assert!(!is_served(service_a(json!({ "type": "ExternalName" }))));
    let labels = json!({ "service.kubernetes.io/service-proxy-name": "" });
    let metadata = json!({ "name": "a", "namespace": "default", "labels": labels });
    let spec = json!({ "clusterIP": "10.96.0.1", "ports": [{ "port": 80 }] });
    assert!(!is_served(service_with(metadata, spec, json!({}))));
}

#[test]
fn s1_a_label_hides_and_reveals_a_live_service_with_its_endpoints() {
    let mut world = World::new();
    world.apply(service_a(json!({}))).apply(slice("x", json!([endpoint("10.0.0.1")])));
    assert_eq!(world.cluster(), ["10.0.0.1:8080"]);
    let visible = service_a(json!({}));
    assert_eq!(world.delete(&visible).service("a"), ServiceTable::default());
    assert_eq!(world.apply(visible).cluster(), ["10.0.0.1:8080"]);
}

#[test]
fn s2_cluster_ips_follow_the_families() {
    let owned = |spec| World::new().apply(service_a(spec)).service("a").owned.into_keys().collect::<BTreeSet<IpAddr>>();
    let set = |texts: &[&str]| texts.iter().map(|text| text.parse().unwrap()).collect::<BTreeSet<IpAddr>>();
    // Without families only the single address counts.
    assert_eq!(owned(json!({ "clusterIPs": ["10.96.0.1", "fd00::1"] })), set(&["10.96.0.1"]));
    let both = json!({ "ipFamilies": ["IPv6", "IPv4"], "clusterIPs": ["fd00::1", "10.96.0.2"] });
    assert_eq!(owned(both), set(&["10.96.0.2", "fd00::1"]));
    let one = json!({ "ipFamilies": ["IPv4"], "clusterIPs": ["10.96.0.2", "fd00::1"] });
    assert_eq!(owned(one), set(&["10.96.0.2"]));
    assert_eq!(owned(json!({ "ipFamilies": ["IPv4"] })), set(&["10.96.0.1"]));
    assert_eq!(owned(json!({ "clusterIP": "fd00::2" })), set(&["fd00::2"]));
}

#[test]
fn s6_what_is_wrong_is_noticed_and_the_rest_works() {
    let mut world = World::new();
    let ports = json!([
        { "name": "ok", "port": 80, "nodePort": 30080 },
        { "name": "big", "port": 70000 },
        { "name": "zero", "port": 0 },
        { "name": "odd", "port": 81, "protocol": "QUIC" },
        { "name": "ok", "port": 82 },
        { "name": "twice", "port": 80 },
        { "name": "node", "port": 83, "nodePort": -1 },
        { "name": "same", "port": 84, "nodePort": 30080 },
    ]);
    world.apply(service_a(json!({
        "type": "Fancy", "clusterIP": " 010.096.0.001 ", "externalIPs": ["203.0.113.1", "x", "0.0.0.0", "fd00::9"], "ports": ports,
        "internalTrafficPolicy": "Near", "externalTrafficPolicy": "Far", "sessionAffinity": "Cookie",
    })));
    assert_eq!(
        world.fields(),
        [
            "spec.externalIPs[1]",
            "spec.externalIPs[2]",
            "spec.externalIPs[3]",
            "spec.externalTrafficPolicy",
            "spec.internalTrafficPolicy",
            "spec.ports[1].port",
            "spec.ports[2].port",
            "spec.ports[3].protocol",
            "spec.ports[4].name",
            "spec.ports[5].port",
            "spec.ports[6].nodePort",
            "spec.sessionAffinity",
            "spec.type",
        ]
    );
    let served = dialled(&world.service("a"));
    let served: Vec<_> = served.iter().map(|(address, port, ..)| (address.as_str(), *port)).collect();
    let (own, external) = ("10.96.0.1", "203.0.113.1");
    let expected = [(own, 80), (own, 83), (own, 84), (external, 80), (external, 83), (external, 84)];
    assert_eq!(served, expected);
}

#[test]
fn s6_one_unreadable_cluster_ip_leaves_the_other_frontends() {
    let mut world = World::new();
    world.apply(service_a(json!({
        "type": "NodePort", "ipFamilies": ["IPv4", "IPv6"], "clusterIPs": ["10.96.0.1", "fd00:::"],
        "ports": [{ "port": 80, "nodePort": 30080 }],
    })));
    assert_eq!(world.fields(), ["spec.clusterIPs[1]"]);
    let served: Vec<_> = dialled(&world.service("a")).into_iter().map(|(address, port, ..)| (address, port)).collect();
    let expected = [("::", 30080), ("0.0.0.0", 30080), ("10.96.0.1", 80)];
    assert_eq!(served, expected.map(|(address, port)| (address.to_owned(), port)));
}

#[test]
fn s6_a_repaired_object_takes_its_diagnostics_back() {
    let mut world = World::new();
    assert_eq!(world.apply(service_a(json!({ "type": "Fancy" }))).fields(), ["spec.type"]);
    assert_eq!(world.apply(service_a(json!({ "type": "ClusterIP" }))).fields(), [""; 0]);
    let broken = service_a(json!({ "type": "Fancy" }));
    assert_eq!(world.apply(broken.clone()).fields(), ["spec.type"]);
    assert_eq!(world.delete(&broken).fields(), [""; 0]);
}

#[test]
fn s10_a_number_under_three_protocols_is_three_frontends() {
    let ports: Vec<_> = ["TCP", "UDP", "SCTP"]
        .iter()
        .map(|protocol| json!({ "name": "dns", "port": 53, "protocol": protocol }))
        .collect();
    let served = World::new().apply(service_a(json!({ "ports": ports }))).service("a");
    let protocols: Vec<_> = served.frontends.keys().map(|frontend| frontend.protocol).collect();
    assert_eq!(protocols, [6, 17, 132]);
    assert_eq!(served.ports.len(), 3);
}

#[test]
fn s24_affinity_timeout_has_its_default_and_its_bounds() {
    let timeout = |spec| {
        let mut world = World::new();
        let ports = world.apply(service_a(spec)).service("a").ports;
        let timeout = ports.values().next().unwrap().affinity_timeout;
        (timeout, world.fields().len())
    };
    let config = |seconds: i32| json!({ "sessionAffinity": "ClientIP", "sessionAffinityConfig": { "clientIP": { "timeoutSeconds": seconds } } });
    assert_eq!(timeout(json!({})), (0, 0));
    assert_eq!(timeout(json!({ "sessionAffinity": "None" })), (0, 0));
    assert_eq!(timeout(json!({ "sessionAffinity": "ClientIP" })), (10_800, 0));
    assert_eq!(timeout(config(1)), (1, 0));
    assert_eq!(timeout(config(86_400)), (86_400, 0));
    assert_eq!([timeout(config(0)), timeout(config(-5)), timeout(config(86_401))], [(10_800, 1); 3]);
}
