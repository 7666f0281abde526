//! Tests what a Service can't capture by an externalIP or a load-balancer IP (CVE-2020-8554), in both families.

use super::*;
use crate::config::ExternalIps;

const OLD: &str = "2020-01-01T00:00:00Z";
const NEW: &str = "2021-01-01T00:00:00Z";

/// A family's addresses: the ClusterIPs of the Service `greedy` and of another one, this node's address, and the API server's.
struct Addresses {
    family: &'static str,
    greedy: &'static str,
    other: &'static str,
    node: &'static str,
    api: &'static str,
}

const BOTH: [Addresses; 2] = [
    Addresses { family: "IPv4", greedy: "10.96.0.9", other: "10.96.0.10", node: "192.0.2.1", api: "192.0.2.7" },
    Addresses { family: "IPv6", greedy: "fd00::9", other: "fd00::10", node: "2001:db8::1", api: "2001:db8::7" },
];

/// How an address is claimed.
#[derive(Clone, Copy, Debug)]
enum By {
    ExternalIp,
    LoadBalancer,
}

/// Returns the Service `greedy`, which claims these ports of the address `wanted`.
fn greedy(addresses: &Addresses, by: By, wanted: &str, ports: &[u16]) -> Object {
    let ports: Vec<_> = ports.iter().map(|port| json!({ "name": format!("p{port}"), "port": port })).collect();
    let spec = json!({
        "clusterIP": addresses.greedy, "clusterIPs": [addresses.greedy], "ipFamilies": [addresses.family], "ports": ports,
    });
    let metadata = json!({ "name": "greedy", "namespace": "default", "creationTimestamp": OLD });
    match by {
        By::ExternalIp => service_with(metadata, merged(spec, json!({ "externalIPs": [wanted] })), json!({})),
        By::LoadBalancer => {
            let status = json!({ "loadBalancer": { "ingress": [{ "ip": wanted }] } });
            service_with(metadata, merged(spec, json!({ "type": "LoadBalancer" })), status)
        }
    }
}

/// Returns the ports of the address `wanted` that the Service `greedy` has got.
fn got(world: &mut World, wanted: &str) -> Vec<u16> {
    let address = Address::from(wanted.parse::<IpAddr>().unwrap());
    let keys = world.service("greedy").frontends.into_keys();
    keys.filter(|frontend| frontend.address == address).map(|frontend| frontend.port).collect()
}

fn reasons(world: &World) -> Vec<String> {
    world.diagnostics.values().flatten().map(|diagnostic| diagnostic.reason.clone()).collect()
}

/// Runs `case` for each family and each kind of claim.
fn each(case: impl Fn(&Addresses, By)) {
    for addresses in &BOTH {
        for by in [By::ExternalIp, By::LoadBalancer] {
            println!("{} by {by:?}", addresses.family);
            case(addresses, by);
        }
    }
}

#[test]
fn s18_no_service_captures_another_ones_cluster_ip_however_old_it_is() {
    each(|addresses, by| {
        let mut world = World::new();
        world.apply(greedy(addresses, by, addresses.other, &[80, 81]));
        assert_eq!(got(&mut world, addresses.other), [80, 81], "of no Service so far");
        let spec = json!({
            "clusterIP": addresses.other, "clusterIPs": [addresses.other], "ipFamilies": [addresses.family],
            "ports": [{ "port": 80 }],
        });
        let other =
            service_with(json!({ "name": "dns", "namespace": "default", "creationTimestamp": NEW }), spec, json!({}));
        world.apply(other.clone());
        assert_eq!(got(&mut world, addresses.other), [0; 0]);
        assert_eq!(world.service("dns").frontends.len(), 1, "the younger Service has its ClusterIP");
        assert!(reasons(&world).iter().all(|reason| reason.contains("ClusterIP") || reason.contains("default/dns")));
        assert_eq!(reasons(&world).len(), 2, "a diagnostic for each port");
        world.delete(&other);
        assert_eq!(got(&mut world, addresses.other), [80, 81]);
    });
}

#[test]
fn s18_no_service_captures_the_api_servers_endpoints() {
    each(|addresses, by| {
        let mut world = World::new();
        world.apply(greedy(addresses, by, addresses.api, &[6443, 443]));
        assert_eq!(got(&mut world, addresses.api), [443, 6443]);
        let slice = json!({
            "metadata": {
                "name": "kubernetes", "namespace": "default", "labels": { "kubernetes.io/service-name": "kubernetes" },
            },
            "addressType": addresses.family,
            "ports": [{ "name": "https", "port": 6443 }],
            "endpoints": [endpoint(addresses.api)],
        });
        let slice = Object::EndpointSlice(serde_json::from_value(slice).unwrap());
        world.apply(slice.clone());
        assert_eq!(got(&mut world, addresses.api), [443], "another port of that machine is served");
        assert!(reasons(&world)[0].contains("6443 (TCP) is the API server; skipped"), "{:?}", reasons(&world));
        world.delete(&slice);
        assert_eq!(got(&mut world, addresses.api), [443, 6443]);
    });
}

#[test]
fn s18_no_service_captures_the_address_by_which_the_agent_reaches_the_api_server() {
    each(|addresses, by| {
        let api_server = BTreeSet::from([SocketAddr::new(addresses.api.parse().unwrap(), 6443)]);
        let mut world = World::with(ModelConfig { api_server, ..ModelConfig::default() });
        world.list_everything();
        world.apply(greedy(addresses, by, addresses.api, &[6443, 443]));
        assert_eq!(got(&mut world, addresses.api), [443]);
    });
}

#[test]
fn s18_the_nodes_own_address_is_served_but_for_the_ports_of_its_agents() {
    each(|addresses, by| {
        let own_ports = ["[::]:10256", "127.0.0.1:10249"].map(|own| own.parse().unwrap()).to_vec();
        let mut world = World::with(ModelConfig { node_name: NODE.to_owned(), own_ports, ..ModelConfig::default() });
        world.list_everything();
        let wanted = [22, 443, 10249, 10250, 10256];
        world.apply(greedy(addresses, by, addresses.node, &wanted));
        assert_eq!(got(&mut world, addresses.node), wanted, "an address of another owner");
        world.model.set_node_addresses(local(&[addresses.node], &[]));
        assert_eq!(got(&mut world, addresses.node), [22, 443, 10249, 10250]);
        let status = json!({ "daemonEndpoints": { "kubeletEndpoint": { "Port": 10250 } } });
        let node = json!({ "metadata": { "name": NODE }, "status": status });
        world.apply(Object::Node(serde_json::from_value(node).unwrap()));
        assert_eq!(got(&mut world, addresses.node), [22, 443, 10249], "metrics are on loopback only");
        world.model.set_node_addresses(local(&[], &[]));
        assert_eq!(got(&mut world, addresses.node), wanted);
    });
}

#[test]
fn s18_external_ips_outside_of_the_allowed_cidrs_are_refused() {
    for (allowed, expected) in
        [("203.0.113.0/24,2001:db8:1::/64", [80].as_slice()), ("198.51.100.0/24", &[]), ("none", &[])]
    {
        for (addresses, wanted) in BOTH.iter().zip(["203.0.113.7", "2001:db8:1::7"]) {
            let external_ips: ExternalIps = allowed.parse().unwrap();
            let mut world = World::with(ModelConfig { external_ips, ..ModelConfig::default() });
            world.list_everything();
            world.apply(greedy(addresses, By::ExternalIp, wanted, &[80]));
            assert_eq!(got(&mut world, wanted), expected, "{allowed}");
            assert_eq!(world.fields().is_empty(), !expected.is_empty());
            // The load balancer's controller writes load-balancer IPs, not the Service's author.
            world.apply(greedy(addresses, By::LoadBalancer, wanted, &[80]));
            assert_eq!(got(&mut world, wanted), [80], "{allowed}");
        }
    }
}
