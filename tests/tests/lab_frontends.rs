//! Which addresses and ports are Services (S18 to S20). Needs root.

use std::net::{IpAddr, SocketAddr};

use harness::{
    lab::Manner,
    objects::service_cidr,
    scene::{
        Family, Scene, expect, expect_by, from_both, from_both_as, from_both_over_both, hold, over_both, web,
        web_node_port, web_slice,
    },
};
use serde_json::json;

const REFUSED: &[&str] = &["ECONNREFUSED"];
const UNREACHABLE: &[&str] = &["EHOSTUNREACH"];
/// What a dial of nobody's address comes to: the lab's routers swallow it.
const NOBODY: &[&str] = &["ETIMEDOUT"];
const NODE_PORT: u16 = 30080;

#[test]
fn s18_external_ips_are_served_for_any_type() {
    from_both_over_both("s18-ext", |scene, family| {
        let name = family.name("web");
        let external = SocketAddr::new(family.external_ip(1), 80);
        scene.put(&web_slice(&name, family).pod(scene.pod(1)).build());
        for kind in ["ClusterIP", "NodePort", "LoadBalancer"] {
            let service = web(&name, [family.cluster_ip(10)]).kind(kind);
            scene.put(&service.clone().external_ip(&external.ip().to_string()).build());
            scene.expect(external, &["p1"]);
            hold(&scene.from_node, external, &["p1"]);
            scene.put(&service.build());
            expect_by(&scene.from_pod, Manner::Tcp, external, NOBODY);
        }
    });
}

#[test]
fn s18_load_balancer_addresses_are_served_unless_they_are_a_proxys() {
    from_both_over_both("s18-lb", |scene, family| {
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
        expect_by(&scene.from_pod, Manner::Tcp, at(2), NOBODY);
        scene.hold(at(1), &["p1"]);
        scene.put(&web(&name, [family.cluster_ip(10)]).kind("LoadBalancer").build());
        expect_by(&scene.from_pod, Manner::Tcp, at(1), NOBODY);
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
            // From a pod to its node, and from the node to itself.
            scene.expect(node, &["p1", "p2"]);
            hold(&scene.from_node, node, &["p1", "p2"]);
            hold(&scene.from_node, at(family.loopback()), &["p1", "p2"]);
            // A pod's loopback is its own.
            scene.hold(at(family.loopback()), REFUSED);
            // And so are its addresses.
            scene.hold(at(family.of(&scene.client)), REFUSED);
            scene.hold(SocketAddr::new(family.of(&scene.node), NODE_PORT + 1), REFUSED);
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
            scene.hold(at(family.unspecified()), REFUSED);
        });
    });
}

/// Adds an address to the node's `eth0` or removes it.
fn address(scene: &Scene, verb: &str, address: IpAddr) {
    let (length, nodad) = if address.is_ipv4() { (32, "") } else { (128, if verb == "add" { " nodad" } else { "" }) };
    let command = format!("address {verb} {address}/{length} dev eth0{nodad}");
    scene.node.netns().batch(&[command]).unwrap();
}

/// An address in the chosen networks, and one outside.
fn own_addresses(family: Family) -> [IpAddr; 2] {
    let texts = match family {
        Family::Ipv4 => ["198.51.100.7", "198.51.100.200"],
        Family::Ipv6 => ["2001:db8:1::7", "2001:db8:2::7"],
    };
    texts.map(|text| text.parse().unwrap())
}

#[test]
fn s19_chosen_networks_are_followed_address_by_address() {
    let chosen = ["--nodeport-addresses", "198.51.100.0/25,2001:db8:1::/64"];
    from_both_as(
        "s19-cidr",
        |setup| setup.args(chosen),
        |scene| {
            scene.put(&web_node_port("web", Family::BOTH.map(|family| family.cluster_ip(10)), NODE_PORT).build());
            over_both(|family| {
                let at = |address| SocketAddr::new(address, NODE_PORT);
                scene.put(&web_slice("web", family).name(&family.name("web")).pod(scene.pod(1)).build());
                scene.expect(family.frontend(10), &["p1"]);
                let [inside, outside] = own_addresses(family);
                scene.hold(at(family.of(&scene.node)), REFUSED);
                address(scene, "add", outside);
                address(scene, "add", inside);
                scene.expect(at(inside), &["p1"]);
                hold(&scene.from_node, at(inside), &["p1"]);
                scene.hold(at(outside), REFUSED);
                address(scene, "del", inside);
                expect_by(&scene.from_pod, Manner::Tcp, at(inside), NOBODY);
                address(scene, "add", inside);
                scene.expect(at(inside), &["p1"]);
            });
        },
    );
}

#[test]
fn s19_primary_follows_the_node_object() {
    from_both("s19-node", |scene| {
        scene.put(&web_node_port("web", Family::BOTH.map(|family| family.cluster_ip(10)), NODE_PORT).build());
        over_both(|family| {
            let at = |address| SocketAddr::new(address, NODE_PORT);
            let [other, _] = own_addresses(family);
            scene.put(&web_slice("web", family).name(&family.name("web")).pod(scene.pod(1)).build());
            scene.expect(at(family.of(&scene.node)), &["p1"]);
            address(scene, "add", other);
            scene.hold(at(other), REFUSED);
            scene.put(&harness::objects::lab_node(&scene.node).address(other).build());
            scene.expect(at(other), &["p1"]);
            address(scene, "del", other);
            expect_by(&scene.from_pod, Manner::Tcp, at(other), NOBODY);
        });
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
        let nobody = family.frontend(99);
        let filter = format!("host {}", nobody.ip());
        let dial = || {
            scene.hold(nobody, UNREACHABLE);
            hold(&scene.from_node, nobody, UNREACHABLE);
        };
        let ((), packets) = scene.node.capture("eth0", &filter, dial).unwrap();
        assert_eq!(packets, Vec::<String>::new());
    });
}

#[test]
fn s20_a_new_service_cidr_counts_at_once() {
    from_both_over_both("s20-new", |scene, family| {
        let (range, inside): (&str, IpAddr) = match family {
            Family::Ipv4 => ("10.97.0.0/24", "10.97.0.5".parse().unwrap()),
            Family::Ipv6 => ("fd00:97::/112", "fd00:97::5".parse().unwrap()),
        };
        let to = SocketAddr::new(inside, 80);
        expect_by(&scene.from_pod, Manner::Tcp, to, NOBODY);
        scene.put(&service_cidr(&family.name("more"), &[range]));
        scene.expect(to, UNREACHABLE);
        scene.put(&web_slice(&family.name("web"), family).pod(scene.pod(1)).build());
        scene.put(&web(&family.name("web"), [inside]).build());
        scene.expect(to, &["p1"]);
    });
}
