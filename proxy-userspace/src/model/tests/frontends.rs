//! Tests which frontends a Service has, and which lists they use for which clients.

use FrontendKind::{ClusterIp, ExternalIp, LoadBalancer, NodePort};
use List::{Cluster, Local};

use super::*;
use crate::desired::BackendList;

/// The frontends and the lists of Service `a`.
#[expect(clippy::needless_pass_by_value, reason = "callers make the values on the spot")]
fn served(spec: Value, ingress: Value) -> (Vec<Row>, Vec<List>) {
    let spec = merged(json!({ "clusterIP": "10.96.0.1", "ports": [{ "port": 80, "nodePort": 30080 }] }), spec);
    let metadata = json!({ "name": "a", "namespace": "default" });
    let service = service_with(metadata, spec, json!({ "loadBalancer": { "ingress": ingress } }));
    let service = World::new().apply(service).service("a");
    let lists = service.ports.values().next().map(|port| port.lists.keys().copied().collect());
    (dialled(&service), lists.unwrap_or_default())
}

fn row(address: &str, port: u16, kind: FrontendKind, internal: List, external: List) -> Row {
    (address.to_owned(), port, kind, internal, external)
}

#[test]
fn s14_internal_policy_is_for_cluster_ips_only() {
    let (frontends, lists) = served(json!({ "type": "NodePort", "internalTrafficPolicy": "Local" }), json!([]));
    let expected = [row("0.0.0.0", 30080, NodePort, Cluster, Cluster), row("10.96.0.1", 80, ClusterIp, Local, Local)];
    assert_eq!(frontends, expected);
    assert_eq!(lists, [Cluster, Local]);
    assert_eq!(served(json!({ "internalTrafficPolicy": "Local" }), json!([])).1, [Local]);
}

#[test]
fn s14_external_policy_counts_only_where_something_is_external() {
    let local = || json!({ "externalTrafficPolicy": "Local" });
    assert_eq!(served(local(), json!([])), (vec![row("10.96.0.1", 80, ClusterIp, Cluster, Cluster)], vec![Cluster]));
    let (frontends, lists) = served(merged(local(), json!({ "externalIPs": ["203.0.113.1"] })), json!([]));
    assert_eq!(frontends[1], row("203.0.113.1", 80, ExternalIp, Cluster, Local));
    assert_eq!(lists, [Cluster, Local]);
}

#[test]
fn s17_clients_here_get_the_cluster_list_through_external_frontends() {
    let spec = json!({ "type": "LoadBalancer", "externalTrafficPolicy": "Local", "externalIPs": ["203.0.113.2"] });
    let (frontends, _) = served(spec, json!([{ "ip": "203.0.113.1" }]));
    let expected = [
        row("0.0.0.0", 30080, NodePort, Cluster, Local),
        row("10.96.0.1", 80, ClusterIp, Cluster, Cluster),
        row("203.0.113.1", 80, LoadBalancer, Cluster, Local),
        row("203.0.113.2", 80, ExternalIp, Cluster, Local),
    ];
    assert_eq!(frontends, expected);
}

#[test]
fn s16_usable_backends_elsewhere_are_distinguished_from_none() {
    let mut world = World::new();
    world.apply(service_a(json!({ "internalTrafficPolicy": "Local" })));
    let state = |world: &mut World| {
        let port = world.service("a").ports.into_values().next().unwrap();
        (port.usable, port.lists)
    };
    assert_eq!(state(&mut world), (false, [(Local, BackendList::default())].into()));
    world.apply(slice("x", json!([{ "addresses": ["10.0.0.1"], "nodeName": "there" }])));
    assert_eq!(state(&mut world), (true, [(Local, BackendList::default())].into()));
}

#[test]
fn s18_load_balancer_ips_are_served_by_mode() {
    let ingress = || {
        json!([
            { "ip": "203.0.113.1" },
            { "ip": "203.0.113.2", "ipMode": "VIP" },
            { "ip": "203.0.113.3", "ipMode": "Proxy" },
            { "hostname": "example.org" },
            { "ip": "" },
            { "ip": "fd00::1" },
        ])
    };
    let addresses = |spec| served(spec, ingress()).0.into_iter().map(|(address, ..)| address).collect::<Vec<_>>();
    let balanced = addresses(json!({ "type": "LoadBalancer" }));
    assert_eq!(balanced, ["0.0.0.0", "10.96.0.1", "203.0.113.1", "203.0.113.2"]);
    assert_eq!(addresses(json!({ "type": "ClusterIP" })), ["10.96.0.1"]);
}

#[test]
fn s18_an_address_given_twice_is_a_load_balancer_ip() {
    let spec = json!({ "type": "LoadBalancer", "externalIPs": ["203.0.113.1"], "ports": [{ "port": 80 }] });
    let (frontends, _) = served(spec, json!([{ "ip": "203.0.113.1" }]));
    assert_eq!(frontends[1], row("203.0.113.1", 80, LoadBalancer, Cluster, Cluster));
    assert_eq!(frontends.len(), 2);
}

#[test]
fn s19_node_ports_are_served_in_the_families_of_the_service_only() {
    let (frontends, _) = served(json!({ "type": "NodePort", "clusterIP": "fd00::1" }), json!([]));
    let expected = [row("::", 30080, NodePort, Cluster, Cluster), row("fd00::1", 80, ClusterIp, Cluster, Cluster)];
    assert_eq!(frontends, expected);
    let without =
        json!({ "type": "LoadBalancer", "ports": [{ "port": 80, "nodePort": 0 }, { "port": 81, "name": "b" }] });
    assert_eq!(served(without, json!([])).0.len(), 2);
    assert_eq!(served(json!({ "type": "ClusterIP" }), json!([])).0.len(), 1);
}

#[test]
fn s20_only_cluster_ips_are_a_services_alone_also_without_ports() {
    let owned = |world: &mut World| {
        let owned = world.service("a").owned.into_iter();
        owned.map(|(address, owner)| (address.to_string(), owner.kind, owner.usable)).collect::<Vec<_>>()
    };
    let cluster = |usable| ("10.96.0.1".to_owned(), OwnerKind::ClusterIp, usable);
    let external = |address: &str, usable| (address.to_owned(), OwnerKind::External, usable);
    let mut world = World::new();
    let metadata = || json!({ "name": "a", "namespace": "default" });
    let spec = json!({ "clusterIP": "10.96.0.1", "type": "LoadBalancer", "externalIPs": ["203.0.113.1"] });
    let status = || json!({ "loadBalancer": { "ingress": [{ "ip": "203.0.113.2" }] } });
    world.apply(service_with(metadata(), spec.clone(), status()));
    assert_eq!(owned(&mut world), [cluster(false)], "without ports no client is served at the external addresses");
    world.apply(service_with(metadata(), merged(spec, json!({ "ports": [{ "port": 80 }] })), status()));
    let both = |usable| [cluster(usable), external("203.0.113.1", usable), external("203.0.113.2", usable)];
    assert_eq!(owned(&mut world), both(false));
    world.apply(slice("x", json!([endpoint("10.0.0.1")])));
    assert_eq!(owned(&mut world), both(true));
    // The node itself answers at its own addresses, so no Service owns them.
    let own = LocalAddresses { all: ["203.0.113.1".parse().unwrap()].into(), ..LocalAddresses::default() };
    world.model.set_node_addresses(own);
    assert_eq!(owned(&mut world), [cluster(true), external("203.0.113.2", true)]);
    world.model.set_node_addresses(LocalAddresses::default());
    assert_eq!(owned(&mut world), both(true));
}

#[test]
fn s21_source_ranges_are_for_load_balancer_ips_and_follow_the_node() {
    let of = |spec: Value| {
        let spec = merged(json!({ "clusterIP": "10.96.0.1", "ports": [{ "port": 80 }], "type": "LoadBalancer" }), spec);
        let status = json!({ "loadBalancer": { "ingress": [{ "ip": "203.0.113.1" }, { "ip": "203.0.113.2" }] } });
        service_with(json!({ "name": "a", "namespace": "default" }), spec, status)
    };
    let found = |world: &mut World| {
        let port = world.service("a").ports.into_values().next().unwrap();
        port.sources.map(|found| {
            (found.nets.iter().map(ToString::to_string).collect::<Vec<_>>().join(" "), found.node, found.pods)
        })
    };
    let mut world = World::new();
    let ranges = json!({ "loadBalancerSourceRanges": ["192.0.2.0/24", "fd00::/8"] });
    let only = || Some(("192.0.2.0/24".to_owned(), false, false));
    assert_eq!(found(world.apply(of(json!({})))), None);
    assert_eq!(found(world.apply(of(ranges.clone()))), only());
    world.model.set_node_addresses(local(&["192.0.2.1"], &["192.0.2.1"]));
    let with_own = "192.0.2.0/24 203.0.113.1/32 203.0.113.2/32".to_owned();
    assert_eq!(found(&mut world), Some((with_own.clone(), true, false)));
    let object = json!({ "metadata": { "name": NODE }, "spec": { "podCIDRs": ["192.0.2.128/25"] } });
    world.apply(Object::Node(serde_json::from_value(object).unwrap()));
    assert_eq!(found(&mut world), Some((with_own, true, true)));
    world.model.set_node_addresses(LocalAddresses::default());
    world.delete(&node(None, &[]));
    assert_eq!(found(&mut world), only());
    let other = json!({ "loadBalancerSourceRanges": ["fd00::/8"] });
    assert_eq!(found(world.apply(of(other))), None, "no range of this family is for everybody");
    assert_eq!(found(world.apply(of(merged(ranges, json!({ "type": "NodePort" }))))), None);
}
