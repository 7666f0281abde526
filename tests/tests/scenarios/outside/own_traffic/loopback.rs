//! Node ports on loopback (S19), except where a process of the node listens at exactly that address. A socket that is
//! bound to loopback reaches only what listens on loopback.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use harness::{
    lab::{Client, Dial, Mode, Server},
    scene::{Family, NODE_PORT, Scene, Setup, TRANSPORTS, expect, over_both, web_node_port, web_slice},
};

fn loopback(family: Family) -> SocketAddr {
    let address = match family {
        Family::Ipv4 => Ipv4Addr::LOCALHOST.into(),
        Family::Ipv6 => Ipv6Addr::LOCALHOST.into(),
    };
    SocketAddr::new(address, NODE_PORT)
}

/// Tests a node port with a backend in a pod, dialled by a process of the node.
fn on_a_node(name: &str, part: impl Fn(&Scene, &Client, Family)) {
    let scene = Setup::new(name).backends(3).start();
    let node = scene.node.client().unwrap();
    over_both(|family| {
        scene.put(&web_slice("web", family).pod(scene.pod(1)).build());
        scene.put(&web_node_port("web", [family.cluster_ip(1)], NODE_PORT).build());
        expect(&node, loopback(family), &["p1"]);
        part(&scene, &node, family);
        scene.delete("Service", "web");
    });
}

/// Starts a process of the node that answers as `a` at an address.
fn listener(scene: &Scene, address: IpAddr) -> Server {
    scene.node.serve_at(&[SocketAddr::new(address, NODE_PORT)], Mode::Identity).unwrap()
}

#[test]
fn w03_a_listener_on_loopback_goes_before_the_node_port() {
    on_a_node("loopback", |scene, node, family| {
        let to = loopback(family);
        let listens = listener(scene, to.ip());
        expect(node, to, &["a"]);
        drop(listens);
        expect(node, to, &["p1"]);
        // A socket that listens at every address does not take precedence.
        let any = if family == Family::Ipv4 { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
        let _listens = listener(scene, any);
        expect(node, to, &["p1"]);
    });
}

#[test]
fn field_s12_every_loopback_address_leads_to_a_node_port() {
    on_a_node("loopbacks", |scene, node, family| {
        if family == Family::Ipv6 {
            return;
        }
        let to = SocketAddr::from(([127, 0, 0, 2], NODE_PORT));
        expect(node, to, &["p1"]);
        let _listens = listener(scene, to.ip());
        expect(node, to, &["a"]);
        expect(node, loopback(family), &["p1"]);
    });
}

#[test]
fn field_s12_what_is_bound_to_loopback_stays_there() {
    on_a_node("bound", |scene, node, family| {
        let to = loopback(family);
        let bound = SocketAddr::new(to.ip(), 0);
        for transport in TRANSPORTS {
            let failure = node.dial(&Dial::new(transport, to).bind(bound)).expect_err("no backend answers loopback");
            let unconnected = failure.errno == "ETIMEDOUT" && transport == harness::lab::Transport::UdpUnconnected;
            assert!(failure.errno == "ECONNREFUSED" || unconnected, "{transport:?}: {failure}");
        }
        let any = if family == Family::Ipv4 { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
        let _listens = listener(scene, any);
        for transport in TRANSPORTS {
            let reply = node.dial(&Dial::new(transport, to).bind(bound)).unwrap();
            assert_eq!(reply.backend(), "a", "{transport:?}");
        }
    });
}
