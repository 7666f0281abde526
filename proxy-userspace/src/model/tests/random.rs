//! Random objects over small pools of names and addresses, so that they collide.

use proptest::{
    option,
    prelude::*,
    sample::{select, subsequence},
};

use super::*;

/// An event in a world.
#[derive(Clone, Debug)]
pub(super) enum Step {
    Apply(Object),
    Delete(Object),
    Move(LocalAddresses),
    Settle,
}

pub(super) fn any_step() -> impl Strategy<Value = Step> {
    prop_oneof![
        9 => any_object().prop_map(Step::Apply),
        2 => any_object().prop_map(Step::Delete),
        1 => any_local().prop_map(Step::Move),
        3 => Just(Step::Settle),
    ]
}

fn any_object() -> impl Strategy<Value = Object> {
    prop_oneof![4 => any_service(), 6 => any_slice(), 2 => any_node(), 1 => any_cidr()]
}

fn pick(texts: &'static [&'static str]) -> impl Strategy<Value = &'static str> {
    select(texts)
}

fn some(texts: &'static [&'static str]) -> impl Strategy<Value = Vec<&'static str>> {
    subsequence(texts, 0..=texts.len()).prop_shuffle()
}

fn any_metadata() -> impl Strategy<Value = Value> {
    let created = option::of(pick(&["2020-01-01T00:00:00Z", "2021-01-01T00:00:00Z"]));
    (pick(&["default", "default", "other"]), pick(&["a", "b", "c"]), created, prop::bool::weighted(0.1)).prop_map(
        |(namespace, name, created, delegated)| {
            let labels = if delegated { json!({ "service.kubernetes.io/service-proxy-name": "x" }) } else { json!({}) };
            json!({ "namespace": namespace, "name": name, "creationTimestamp": created, "labels": labels })
        },
    )
}

prop_compose! {
    fn any_cluster_ips()(
        v4 in pick(&["10.96.0.1", "10.96.0.2", "10.97.0.1", "010.96.0.01", "bad"]),
        v6 in pick(&["fd00::1", "fd00::2", "10.96.0.1"]),
        shape in 0..6_u8,
    ) -> Value {
        match shape {
            0 => json!({ "clusterIP": "None" }),
            1 => json!({ "clusterIP": v6 }),
            2 => json!({ "clusterIP": v4, "clusterIPs": [v4, v6], "ipFamilies": ["IPv4", "IPv6"] }),
            3 => json!({ "clusterIP": v6, "clusterIPs": [v6], "ipFamilies": ["IPv6"] }),
            _ => json!({ "clusterIP": v4, "clusterIPs": [v4], "ipFamilies": ["IPv4"] }),
        }
    }
}

prop_compose! {
    fn any_port()(
        name in option::weighted(0.2, pick(&["web", "dns"])),
        port in select(&[80, 80, 80, 81, 0][..]),
        node_port in option::of(select(&[30080, 30081, 70000][..])),
        protocol in option::weighted(0.2, pick(&["TCP", "UDP", "QUIC"])),
    ) -> Value {
        json!({ "name": name, "port": port, "nodePort": node_port, "protocol": protocol })
    }
}

prop_compose! {
    fn any_service()(
        metadata in any_metadata(),
        cluster_ips in any_cluster_ips(),
        kind in pick(&["ClusterIP", "NodePort", "LoadBalancer", "LoadBalancer", "ExternalName", "Odd"]),
        ports in prop::collection::vec(any_port(), 0..4),
        external_ips in some(&["203.0.113.1", "10.96.0.2", "10.0.0.1", "fd00::9", "0.0.0.0"]),
        ingress in some(&["203.0.113.1", "203.0.113.2", "fd00::9"]),
        policies in (pick(&["Cluster", "Local", "Odd"]), pick(&["Cluster", "Local"])),
        affinity in pick(&["None", "ClientIP", "Odd"]),
        ranges in option::of(some(&["192.0.2.0/24", "10.0.0.0/8", "0.0.0.0/0", "fd00::/8", "bad"])),
    ) -> Object {
        let spec = merged(cluster_ips, json!({
            "type": kind, "ports": ports, "externalIPs": external_ips, "sessionAffinity": affinity,
            "loadBalancerSourceRanges": ranges,
            "internalTrafficPolicy": policies.0, "externalTrafficPolicy": policies.1,
        }));
        let ingress: Vec<_> = ingress.into_iter().map(|ip| json!({ "ip": ip })).collect();
        service_with(metadata, spec, json!({ "loadBalancer": { "ingress": ingress } }))
    }
}

/// Hints of one endpoint. Topology needs hints on every endpoint: `shape` is the same for a whole slice.
fn any_hints(shape: u8) -> impl Strategy<Value = Value> {
    (pick(&["east", "west"]), pick(&[NODE, "there"]), 0..6_u8).prop_map(move |(zone, node, other)| {
        let hints = |name: &str| json!([{ "name": name }]);
        match if shape == 3 { other } else { shape } {
            0 => json!({ "forZones": hints(zone) }),
            1 => json!({ "forZones": hints(zone), "forNodes": hints(node) }),
            2 => json!(null),
            _ => json!({ "forZones": [{ "name": "east" }, { "name": "west" }] }),
        }
    })
}

prop_compose! {
    fn any_endpoint(shape: u8)(
        address in pick(&["10.0.0.1", "10.0.0.1", "10.0.0.2", "10.0.0.03", "10.96.0.1", "10.97.0.1", "127.0.0.1", "fd01::1", "fd00::1"]),
        ready in option::weighted(0.3, any::<bool>()),
        serving in option::weighted(0.3, any::<bool>()),
        terminating in option::weighted(0.3, any::<bool>()),
        node in option::of(pick(&[NODE, "there"])),
        hints in any_hints(shape),
    ) -> Value {
        let conditions = json!({ "ready": ready, "serving": serving, "terminating": terminating });
        json!({ "addresses": [address], "conditions": conditions, "nodeName": node, "hints": hints })
    }
}

prop_compose! {
    fn any_slice()(
        namespace in pick(&["default", "default", "default", "other"]),
        name in pick(&["x", "y", "z"]),
        service in pick(&["a", "a", "b", "c", "kubernetes", ""]),
        family in pick(&["IPv4", "IPv4", "IPv4", "IPv4", "IPv6", "FQDN", "Odd"]),
        ports in prop::collection::vec(any_port(), 1..3),
        endpoints in (0..4_u8).prop_flat_map(|shape| prop::collection::vec(any_endpoint(shape), 0..4)),
    ) -> Object {
        let labels = json!({ "kubernetes.io/service-name": service });
        let metadata = json!({ "name": name, "namespace": namespace, "labels": labels });
        slice_with(name, json!({ "metadata": metadata, "addressType": family, "ports": ports, "endpoints": endpoints }))
    }
}

fn any_node() -> impl Strategy<Value = Object> {
    let zone = option::weighted(0.8, pick(&["east", "west"]));
    let pods = some(&["10.0.0.0/24", "fd01::/64", "bad"]);
    (zone, some(&["192.0.2.1", "192.0.2.2", "bad", "10.97.0.1"]), pods).prop_map(|(zone, addresses, pods)| {
        let Object::Node(node) = node(zone, &addresses) else { unreachable!("a Node is built") };
        let pods = json!({ "spec": { "podCIDRs": pods } });
        Object::Node(serde_json::from_value(merged(serde_json::to_value(node).unwrap(), pods)).unwrap())
    })
}

fn any_cidr() -> impl Strategy<Value = Object> {
    (pick(&["one", "two"]), some(&["10.96.0.0/16", "10.97.0.0/16", "10.0.0.0/8", "fd00::/112", "bad", "0.0.0.0/0"]))
        .prop_map(|(name, cidrs)| service_cidr(name, &cidrs))
}

fn any_local() -> impl Strategy<Value = LocalAddresses> {
    let set = |texts: Vec<&str>| texts.into_iter().map(|text| text.parse().unwrap()).collect();
    let addresses = || some(&["192.0.2.1", "192.0.2.2", "127.0.0.1", "10.97.0.1", "fd00::9"]);
    let networks = some(&["10.0.0.0/29", "10.97.0.0/24", "fd00::/64"]);
    (addresses(), addresses(), addresses(), networks).prop_map(move |(all, pods, primary, networks)| LocalAddresses {
        all: set(all),
        pods: set(pods),
        primary: set(primary),
        networks: networks.into_iter().map(|text| text.parse().unwrap()).collect(),
        ..LocalAddresses::default()
    })
}
