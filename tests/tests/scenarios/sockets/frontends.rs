//! Which addresses and ports are Services (S18 to S20).

#![expect(clippy::unwrap_used, reason = "a step that fails fails the test")]

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use harness::{
    lab::{Client, Mode, OutsideClient, Server, Transport},
    objects::{lab_node, service_cidr},
    scene::{
        Family, Scene, Setup, expect, expect_by, from_both, from_both_over_both, hold, over_both, web, web_node_port,
        web_slice,
    },
};
use serde_json::json;

const REFUSED: &[&str] = &["ECONNREFUSED"];
const UNREACHABLE: &[&str] = &["EHOSTUNREACH"];
/// The outcome of a dial that the agent leaves alone.
const OUTSIDE: &[&str] = &["outside"];
const NODE_PORT: u16 = 30080;

/// A host behind the node's default route that has the external addresses, and serves there whatever the agent leaves
/// alone.
fn outside(scene: &Scene) -> (OutsideClient, Server) {
    let host = scene.lab.client("outside").unwrap();
    let plan = Family::BOTH.map(|family| {
        let [inside, outside] = own_addresses(family);
        (family, [family.external_ip(1), family.external_ip(2), inside, outside, more_service_cidr(family).1])
    });
    let each = || plan.iter().flat_map(|(family, addresses)| addresses.map(|address| (*family, address)));
    let own = each().map(|(_, address)| format!("address add {} dev lo nodad", host_prefix(address)));
    let own: Vec<_> =
        own.map(|command| if command.contains("::") { command } else { command.replace(" nodad", "") }).collect();
    host.netns().batch(&own).unwrap();
    let routes = each().map(|(family, address)| format!("route add {} via {}", host_prefix(address), family.of(&host)));
    scene.lab.fabric().batch(&routes.collect::<Vec<_>>()).unwrap();
    let at: Vec<_> = each().flat_map(|(_, address)| [80, NODE_PORT].map(|port| (address, port).into())).collect();
    let server = host.serve_at(&at, Mode::Identity).unwrap();
    (host, server)
}

/// Runs a scenario over both families, in scenes with such a host.
fn beside_outside(setup: impl Into<Setup>, scenario: impl Fn(&Scene, Family)) {
    from_both(setup, |scene| {
        let _outside = outside(scene);
        over_both(|family| scenario(scene, family));
    });
}

fn host_prefix(address: IpAddr) -> String {
    format!("{address}/{}", if address.is_ipv4() { 32 } else { 128 })
}

/// Checks that nothing serves there, which the kernel reports to connected sockets.
fn refused_by_kernel(client: &Client, to: SocketAddr) {
    for transport in [Transport::Tcp, Transport::UdpConnected] {
        expect_by(client, transport, to, REFUSED);
    }
}

#[test]
fn s18_external_ips_are_served_for_any_type() {
    beside_outside("s18-ext", |scene, family| {
        let name = family.name("web");
        let external = SocketAddr::new(family.external_ip(1), 80);
        scene.put(&web_slice(&name, family).pod(scene.pod(1)).build());
        for kind in ["ClusterIP", "NodePort", "LoadBalancer"] {
            let service = web(&name, [family.cluster_ip(10)]).kind(kind);
            scene.put(&service.clone().external_ip(&external.ip().to_string()).build());
            scene.expect(external, &["p1"]);
            hold(&scene.from_node, external, &["p1"]);
            scene.put(&service.build());
            scene.expect(external, OUTSIDE);
        }
    });
}

#[test]
fn s18_load_balancer_addresses_are_served_unless_they_are_a_proxys() {
    beside_outside("s18-lb", |scene, family| {
        let name = family.name("web");
        let at = |number| SocketAddr::new(family.external_ip(number), 80);
        let ip = |number| family.external_ip(number).to_string();
        let service = web(&name, [family.cluster_ip(10)]).kind("LoadBalancer").ingress(json!({"ip": ip(1)}));
        let service = service.ingress(json!({"hostname": "lb.example.com"}));
        scene.put(&web_slice(&name, family).pod(scene.pod(1)).build());
        scene.put(&service.clone().ingress(json!({"ip": ip(2), "ipMode": "VIP"})).build());
        scene.expect(at(1), &["p1"]);
        scene.hold(at(2), &["p1"]);
        scene.put(&service.clone().ingress(json!({"ip": ip(2), "ipMode": "Proxy"})).build());
        scene.expect(at(2), OUTSIDE);
        scene.hold(at(1), &["p1"]);
        scene.put(&web(&name, [family.cluster_ip(10)]).kind("LoadBalancer").build());
        scene.expect(at(1), OUTSIDE);
    });
}

#[test]
fn s19_node_ports_are_served_on_the_nodes_own_addresses() {
    from_both("s19", |scene| {
        scene.put(&web_node_port("web", Family::BOTH.map(|family| family.cluster_ip(10)), NODE_PORT).build());
        over_both(|family| {
            let at = |address| SocketAddr::new(address, NODE_PORT);
            scene.put(&web_slice("web", family).name(&family.name("web")).pod(scene.pod(1)).pod(scene.pod(2)).build());
            let node = at(family.of(&scene.node));
            // A pod dials its node, and the node dials itself.
            scene.expect(node, &["p1", "p2"]);
            hold(&scene.from_node, node, &["p1", "p2"]);
            hold(&scene.from_node, at(family.loopback()), &["p1", "p2"]);
            // A pod's loopback belongs to the pod.
            refused_by_kernel(&scene.from_pod, at(family.loopback()));
            // A pod's own addresses belong to the pod.
            refused_by_kernel(&scene.from_pod, at(family.of(&scene.client)));
            refused_by_kernel(&scene.from_pod, SocketAddr::new(family.of(&scene.node), NODE_PORT + 1));
        });
    });
}

#[test]
fn s19_the_unspecified_address_is_this_hosts_loopback() {
    from_both("s19-any", |scene| {
        scene.put(&web_node_port("web", Family::BOTH.map(|family| family.cluster_ip(10)), NODE_PORT).build());
        over_both(|family| {
            let at = |address| SocketAddr::new(address, NODE_PORT);
            scene.put(&web_slice("web", family).name(&family.name("web")).pod(scene.pod(1)).build());
            expect(&scene.from_node, at(family.loopback()), &["p1"]);
            hold(&scene.from_node, at(family.unspecified()), &["p1"]);
            refused_by_kernel(&scene.from_pod, at(family.unspecified()));
        });
    });
}

/// A range that is no ServiceCIDR at first, and an address in it.
fn more_service_cidr(family: Family) -> (&'static str, IpAddr) {
    match family {
        Family::Ipv4 => ("10.97.0.0/24", Ipv4Addr::new(10, 97, 0, 5).into()),
        Family::Ipv6 => ("fd00:97::/112", Ipv6Addr::new(0xfd00, 0x97, 0, 0, 0, 0, 0, 5).into()),
    }
}

/// Adds an address to the node's `eth0` or removes it.
fn address(scene: &Scene, verb: &str, address: IpAddr) {
    let (length, nodad) = if address.is_ipv4() { (32, "") } else { (128, if verb == "add" { " nodad" } else { "" }) };
    let command = format!("address {verb} {address}/{length} dev eth0{nodad}");
    scene.node.netns().batch(&[command]).unwrap();
}

/// An address in the networks of the flag, and one outside.
fn own_addresses(family: Family) -> [IpAddr; 2] {
    let texts = match family {
        Family::Ipv4 => ["198.51.100.7", "198.51.100.200"],
        Family::Ipv6 => ["2001:db8:1::7", "2001:db8:2::7"],
    };
    texts.map(|text| text.parse().unwrap())
}

/// The Service of the node port in both families, and this family's backend.
fn put_node_port(scene: &Scene, family: Family) {
    scene.put(&web_node_port("web", Family::BOTH.map(|family| family.cluster_ip(10)), NODE_PORT).build());
    scene.put(&web_slice("web", family).name(&family.name("web")).pod(scene.pod(1)).build());
    scene.expect(family.frontend(10), &["p1"]);
}

#[test]
fn s19_chosen_networks_are_followed_address_by_address() {
    let chosen = ["--nodeport-addresses", "198.51.100.0/25,2001:db8:1::/64"];
    beside_outside(Setup::new("s19-cidr").args(chosen), |scene, family| {
        put_node_port(scene, family);
        let at = |address| SocketAddr::new(address, NODE_PORT);
        let [inside, outside] = own_addresses(family);
        refused_by_kernel(&scene.from_pod, at(family.of(&scene.node)));
        address(scene, "add", outside);
        address(scene, "add", inside);
        scene.expect(at(inside), &["p1"]);
        hold(&scene.from_node, at(inside), &["p1"]);
        refused_by_kernel(&scene.from_pod, at(outside));
        address(scene, "del", inside);
        scene.expect(at(inside), OUTSIDE);
        address(scene, "add", inside);
        scene.expect(at(inside), &["p1"]);
    });
}

#[test]
fn s19_primary_follows_the_node_object() {
    beside_outside("s19-node", |scene, family| {
        put_node_port(scene, family);
        let at = |address| SocketAddr::new(address, NODE_PORT);
        let [other, _] = own_addresses(family);
        scene.expect(at(family.of(&scene.node)), &["p1"]);
        address(scene, "add", other);
        refused_by_kernel(&scene.from_pod, at(other));
        scene.put(&lab_node(&scene.node).address(other).build());
        scene.expect(at(other), &["p1"]);
        address(scene, "del", other);
        scene.expect(at(other), OUTSIDE);
        scene.put(&lab_node(&scene.node).build());
    });
}

#[test]
fn s20_unserved_ports_of_a_cluster_ip_are_refused() {
    from_both_over_both("s20-port", |scene, family| {
        let name = family.name("web");
        scene.put(&web_slice(&name, family).pod(scene.pod(1)).build());
        scene.put(&web(&name, [family.cluster_ip(10)]).build());
        scene.expect(family.frontend(10), &["p1"]);
        let unserved = SocketAddr::new(family.cluster_ip(10), 81);
        scene.hold(unserved, REFUSED);
        hold(&scene.from_node, unserved, REFUSED);
        scene.delete("Service", &name);
        scene.expect(unserved, UNREACHABLE);
    });
}

#[test]
fn s20_an_unowned_service_address_never_leaves_the_node() {
    from_both_over_both("s20-cidr", |scene, family| {
        let unused = family.frontend(99);
        let filter = format!("host {}", unused.ip());
        let dial = || {
            scene.hold(unused, UNREACHABLE);
            hold(&scene.from_node, unused, UNREACHABLE);
        };
        let ((), packets) = scene.node.capture("eth0", &filter, dial).unwrap();
        assert_eq!(packets, Vec::<String>::new());
    });
}

#[test]
fn s20_a_new_service_cidr_counts_at_once() {
    beside_outside("s20-new", |scene, family| {
        let (range, inside) = more_service_cidr(family);
        let to = SocketAddr::new(inside, 80);
        scene.expect(to, OUTSIDE);
        scene.put(&service_cidr(&family.name("more"), &[range]));
        scene.expect(to, UNREACHABLE);
        scene.put(&web_slice(&family.name("web"), family).pod(scene.pod(1)).build());
        scene.put(&web(&family.name("web"), [inside]).build());
        scene.expect(to, &["p1"]);
    });
}
