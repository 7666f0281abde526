//! Real addresses inside ServiceCIDRs, and this node's name.

use super::*;

/// Returns this node's Node object with these pod CIDRs.
fn with_pods(pods: &[&str]) -> Object {
    let object = json!({ "metadata": { "name": NODE }, "spec": { "podCIDRs": pods } });
    Object::Node(serde_json::from_value(object).unwrap())
}

#[test]
fn field_s01_a_cluster_ip_that_this_node_has_is_answered_by_the_node() {
    let mut world = World::new();
    let cidr = service_cidr("one", &["10.96.0.0/16"]);
    world
        .apply(cidr.clone())
        .apply(service_a(json!({ "type": "NodePort", "ports": [{ "port": 80, "nodePort": 30080 }] })));
    world.apply(slice("x", json!([endpoint("10.0.0.1")])));
    let found = |world: &mut World| {
        let service = world.service("a");
        let ports: Vec<_> =
            dialled(&service).into_iter().map(|(address, port, ..)| format!("{address} {port}")).collect();
        (ports, service.owned.len(), nets(world, NetworkKind::Direct))
    };
    let strings = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
    let served = (strings(&["0.0.0.0 30080", "10.96.0.1 80"]), 1, vec![]);
    assert_eq!(found(&mut world), served);
    // NodeLocal DNSCache binds it on a dummy device.
    world.model.set_node_addresses(local(&["10.96.0.1"], &[]));
    let left_alone = (strings(&["0.0.0.0 30080"]), 0, strings(&["10.96.0.1/32"]));
    assert_eq!(found(&mut world), left_alone);
    assert_eq!(world.fields(), ["spec.clusterIPs"]);
    world.delete(&cidr);
    assert_eq!(found(&mut world), left_alone);
    assert_eq!(nets(&mut world, NetworkKind::ServiceCidr), [""; 0]);
    world.apply(cidr);
    world.model.set_node_addresses(LocalAddresses::default());
    assert_eq!(found(&mut world), served);
    assert_eq!(world.fields(), [""; 0]);
}

#[test]
fn field_s03_real_addresses_inside_a_service_cidr_are_left_alone() {
    let mut world = World::new();
    world.apply(with_pods(&["10.244.0.0/24"])).apply(service_a(json!({})));
    world.apply(slice("x", json!([endpoint("10.244.1.11"), endpoint("192.0.2.7"), endpoint("10.96.0.1")])));
    let networks = ["10.1.0.0/24", "192.0.2.0/24"].map(|net| net.parse().unwrap()).into();
    world.model.set_node_addresses(LocalAddresses { networks, ..local(&["10.1.0.1", "192.0.2.1"], &[]) });
    assert_eq!(nets(&mut world, NetworkKind::Direct), [""; 0]);
    // The same when addresses appear while the model runs.
    let wide = service_cidr("one", &["10.0.0.0/8"]);
    world.apply(wide.clone());
    let real = ["10.1.0.0/24", "10.1.0.1/32", "10.244.0.0/24", "10.244.1.11/32"];
    assert_eq!(nets(&mut world, NetworkKind::Direct), real);
    assert_eq!(nets(&mut world, NetworkKind::ServiceCidr), ["10.0.0.0/8"]);
    assert!(world.fields().contains(&"spec.cidrs[0]".to_owned()), "and it is said");
    // A ClusterIP inside the pods' prefix is still a Service's, including its unserved ports.
    world.apply(service("b", json!({ "clusterIP": "10.244.0.9", "ports": [{ "port": 80 }] })));
    assert_eq!(nets(&mut world, NetworkKind::ServiceCidr), ["10.0.0.0/8", "10.244.0.9/32"]);
    world.delete(&service("b", json!({})));
    // Endpoints and their Services appear and disappear; several may have one address.
    world.apply(slice("y", json!([endpoint("10.244.1.11"), endpoint("10.244.1.12")])));
    world.apply(slice("x", json!([])));
    assert_eq!(nets(&mut world, NetworkKind::Direct)[3..], ["10.244.1.11/32", "10.244.1.12/32"]);
    world.apply(service("b", json!({ "clusterIP": "10.244.1.12" })));
    assert_eq!(nets(&mut world, NetworkKind::Direct)[3..], ["10.244.1.11/32"]);
    world.delete(&service("b", json!({}))).delete(&slice("y", json!([])));
    assert_eq!(nets(&mut world, NetworkKind::Direct)[2..], ["10.244.0.0/24"]);
    world.delete(&wide);
    assert_eq!(nets(&mut world, NetworkKind::Direct), [""; 0]);
    assert!(!world.fields().contains(&"spec.cidrs[0]".to_owned()));
}

#[test]
fn field_s03_pods_of_this_node_inside_a_service_cidr_are_left_alone() {
    let mut world = World::new();
    world.apply(service_cidr("one", &["10.96.0.0/16"])).apply(service_a(json!({})));
    let with = |pods: &[&str]| LocalAddresses {
        pods: pods.iter().map(|text| text.parse().unwrap()).collect(),
        ..LocalAddresses::default()
    };
    nets(&mut world, NetworkKind::Direct);
    // Endpoints outside of the ServiceCIDR touch nothing.
    world.model.set_node_addresses(with(&["10.244.1.11"]));
    assert!(!world.model.take_touched().networks);
    assert_eq!(world.fields(), [""; 0]);
    // One endpoint has the address of a Service.
    world.model.set_node_addresses(with(&["10.244.1.11", "10.96.5.7", "10.96.0.1"]));
    assert_eq!(nets(&mut world, NetworkKind::Direct), ["10.96.5.7/32"]);
    assert_eq!(world.fields(), ["spec.cidrs[0]"]);
    world.apply(service("b", json!({ "clusterIP": "10.96.5.7" })));
    assert_eq!(nets(&mut world, NetworkKind::Direct), [""; 0]);
    world.delete(&service("b", json!({})));
    assert_eq!(nets(&mut world, NetworkKind::Direct), ["10.96.5.7/32"]);
    world.model.set_node_addresses(with(&["10.244.1.11"]));
    assert_eq!(nets(&mut world, NetworkKind::Direct), [""; 0]);
    assert_eq!(world.fields(), [""; 0]);
}

#[test]
fn field_s03_a_service_cidr_inside_a_range_of_pods_or_of_a_network_stays_whole() {
    let mut world = World::new();
    world.apply(with_pods(&["100.64.0.0/10", "100.64.0.0/13"])).apply(service_cidr("one", &["100.64.0.0/13"]));
    let networks = ["100.64.0.0/10".parse().unwrap()].into();
    world.model.set_node_addresses(LocalAddresses { networks, ..local(&["100.96.0.1"], &[]) });
    assert_eq!(nets(&mut world, NetworkKind::Direct), [""; 0]);
    assert_eq!(nets(&mut world, NetworkKind::ServiceCidr), ["100.64.0.0/13"]);
    assert_eq!(world.fields(), [""; 0]);
}

#[test]
fn field_s04_a_name_without_a_node_object_and_endpoints_is_nowhere() {
    let mut world = World::unlisted(NodePortAddresses::Primary);
    let elsewhere = json!({ "addresses": ["10.0.0.1"], "nodeName": "there" });
    world.apply(slice("x", json!([elsewhere])));
    assert!(!world.model.is_unknown_node(), "not all is known yet");
    world.list_everything();
    assert!(world.model.is_unknown_node());
    world.apply(node(None, &[]));
    assert!(!world.model.is_unknown_node());
    world.delete(&node(None, &[]));
    assert!(world.model.is_unknown_node());
    let here = json!({ "addresses": ["10.0.0.2"], "nodeName": NODE });
    world.apply(slice("y", json!([here])));
    assert!(!world.model.is_unknown_node(), "a folder need not have a Node object");
    assert!(!World::new().model.is_unknown_node(), "nothing would be local anyway");
    let mut unnamed = World::new();
    unnamed.apply(slice("z", json!([{ "addresses": ["10.0.0.3"] }])));
    assert!(!unnamed.model.is_unknown_node(), "endpoints on no node are no sign of another name");
}
