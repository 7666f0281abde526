//! Tests the kinds of prefixes.

use ipnet::IpNet;

use super::*;

#[test]
fn s20_service_cidrs_count_at_once_and_go_at_once() {
    let mut world = World::new();
    let (one, two) = (service_cidr("one", &["10.96.0.0/16", "fd00::/112"]), service_cidr("two", &[" 010.97.1.1/16"]));
    world.apply(one.clone()).apply(two);
    assert_eq!(nets(&mut world, NetworkKind::ServiceCidr), ["10.96.0.0/16", "10.97.0.0/16", "fd00::/112"]);
    world.delete(&one);
    assert_eq!(nets(&mut world, NetworkKind::ServiceCidr), ["10.97.0.0/16"]);
}

#[test]
fn s20_cidrs_that_are_unreadable_or_cover_this_host_are_skipped() {
    let mut world = World::new();
    world.apply(service_cidr(
        "one",
        &["10.96.0.0", "0.0.0.0/0", "::/0", "127.0.0.0/8", "::fff0:0:0/92", "10.96.0.0/16"],
    ));
    assert_eq!(nets(&mut world, NetworkKind::ServiceCidr), ["10.96.0.0/16"]);
    assert_eq!(world.fields(), [0, 1, 2, 3, 4].map(|index| format!("spec.cidrs[{index}]")));
    assert_eq!(world.delete(&service_cidr("one", &[])).fields(), [""; 0]);
}

#[test]
fn s20_cluster_ips_outside_every_cidr_are_host_prefixes() {
    let mut world = World::new();
    world.apply(service_a(json!({ "ipFamilies": ["IPv4", "IPv6"], "clusterIPs": ["10.96.0.1", "fd00::1"] })));
    assert_eq!(nets(&mut world, NetworkKind::ServiceCidr), ["10.96.0.1/32", "fd00::1/128"]);
    world.apply(service_cidr("one", &["10.96.0.0/16"]));
    assert_eq!(nets(&mut world, NetworkKind::ServiceCidr), ["10.96.0.0/16", "fd00::1/128"]);
    world.delete(&service_a(json!({})));
    assert_eq!(nets(&mut world, NetworkKind::ServiceCidr), ["10.96.0.0/16"]);
}

#[test]
fn s19_primary_addresses_are_the_nodes_own_or_the_fall_back() {
    let mut world = World::new();
    world.model.set_node_addresses(local(&["192.0.2.1", "192.0.2.2", "127.0.0.1", "::1"], &["192.0.2.2", "192.0.2.9"]));
    assert_eq!(nets(&mut world, NetworkKind::Node), ["192.0.2.2/32"]);
    world.apply(node(None, &["192.0.2.1", "198.51.100.1"]));
    assert_eq!(nets(&mut world, NetworkKind::Node), ["192.0.2.1/32"]);
    assert_eq!(nets(&mut world, NetworkKind::Loopback), ["127.0.0.0/8", "::1/128"]);
    // The address appears on the node.
    world.model.set_node_addresses(local(&["192.0.2.1", "198.51.100.1"], &[]));
    assert_eq!(nets(&mut world, NetworkKind::Node), ["192.0.2.1/32", "198.51.100.1/32"]);
    world.apply(node(None, &["nonsense"]));
    assert_eq!(nets(&mut world, NetworkKind::Node), [""; 0]);
    assert_eq!(world.fields(), ["status.addresses[0].address"]);
}

#[test]
fn s19_other_nodes_and_other_kinds_of_addresses_do_not_count() {
    let mut world = World::new();
    world.model.set_node_addresses(local(&["192.0.2.1", "192.0.2.2"], &[]));
    let addresses = json!([{ "type": "Hostname", "address": NODE }, { "type": "ExternalIP", "address": "192.0.2.1" }]);
    let object = json!({ "metadata": { "name": NODE }, "status": { "addresses": addresses } });
    world.apply(Object::Node(serde_json::from_value(object.clone()).unwrap()));
    let other = merged(object, json!({ "metadata": { "name": "there" }, "status": {} }));
    world.apply(Object::Node(serde_json::from_value(other).unwrap()));
    assert_eq!(nets(&mut world, NetworkKind::Node), ["192.0.2.1/32"]);
}

#[test]
fn s26_own_addresses_are_internal_ones_that_are_here_else_the_kernels_choice() {
    let mut world = World::new();
    let own = |world: &World| {
        let (ipv4, ipv6) = world.model.own_addresses();
        (ipv4.map(|ip| ip.to_string()).unwrap_or_default(), ipv6.map(|ip| ip.to_string()).unwrap_or_default())
    };
    assert_eq!(own(&world), (String::new(), String::new()));
    world.model.set_node_addresses(local(&["192.0.2.1", "192.0.2.2", "2001:db8::1"], &["192.0.2.1", "2001:db8::1"]));
    assert_eq!(own(&world), ("192.0.2.1".into(), "2001:db8::1".into()));
    world.apply(node(None, &["203.0.113.9", "192.0.2.2", "192.0.2.1"]));
    assert_eq!(own(&world), ("192.0.2.2".into(), "2001:db8::1".into()));
    world.apply(node(None, &["203.0.113.9"]));
    assert_eq!(own(&world).0, "192.0.2.1");
}

#[test]
fn s19_cidrs_choose_among_the_addresses_that_are_there() {
    let chosen = |cidrs: &str| {
        let mut world = World::unlisted(cidrs.parse().unwrap());
        world.model.set_node_addresses(local(&["192.0.2.1", "10.0.0.1", "127.0.0.1", "::1", "2001:db8::1"], &[]));
        nets(&mut world, NetworkKind::Node)
    };
    assert_eq!(chosen("0.0.0.0/0"), ["10.0.0.1/32", "192.0.2.1/32"]);
    assert_eq!(chosen("::/0,192.0.2.0/24"), ["192.0.2.1/32", "2001:db8::1/128"]);
    assert_eq!(chosen("127.0.0.0/8"), [""; 0]);
}

#[test]
fn an_endpoint_event_touches_one_service_and_no_network() {
    let mut world = World::new();
    world.apply(service_a(json!({}))).apply(service("b", json!({ "clusterIP": "10.96.0.2" })));
    world.settle();
    let same = || slice("x", json!([endpoint("10.0.0.1")]));
    let touched = world.apply(same()).settle();
    assert_eq!((touched.services, touched.networks), ([ServiceName::new("default", "a")].into(), false));
    assert_eq!(world.apply(same()).apply(service_a(json!({}))).settle(), Touched::default(), "nothing has changed");
    let net: IpNet = "10.96.0.1/32".parse().unwrap();
    assert!(world.table.networks.contains_key(&net), "networks stay as they were");
}

#[test]
fn s30_the_end_of_the_first_lists_touches_everything() {
    let mut world = World::unlisted(NodePortAddresses::Primary);
    world.apply(service_a(json!({})));
    world.model.take_touched();
    for kind in Kind::ALL {
        assert!(!world.model.is_listed());
        world.model.apply(Event::Listed(kind));
    }
    assert!(world.model.is_listed());
    let touched = world.settle();
    assert!(touched.networks && touched.services.len() == 1);
    world.model.apply(Event::Listed(Kind::Service));
    assert_eq!(world.settle(), Touched::default(), "a relist that changes nothing costs nothing");
}
