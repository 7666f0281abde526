//! Pod networks that are tunnels between nodes: the network beneath does not know the pods' addresses.

use std::net::IpAddr;

use harness::{
    lab::{Dial, Node},
    scene::{Family, MANNERS, Outside, expect, from_outside_by, over_both},
    stage::until,
};

use super::*;

const BULK: u64 = 10 << 20;

/// The address that a node has in the overlay.
fn overlay_address(node: &Node, family: Family) -> IpAddr {
    let number = node.number();
    match family {
        Family::Ipv4 => format!("10.244.{number}.0").parse().unwrap(),
        Family::Ipv6 => format!("fd00:10:244:{number:x}::ffff").parse().unwrap(),
    }
}

/// Joins two nodes by a VXLAN, over which each reaches the other's pods.
fn join(node: &Node, other: &Node) {
    let [here, there] = Family::BOTH.map(|family| (overlay_address(node, family), overlay_address(other, family)));
    let number = other.number();
    ip(
        node.netns(),
        &[
            &format!("link add vxlan0 type vxlan id 1 local {} remote {} dstport 8472 dev eth0", node.v4(), other.v4()),
            &format!("address add {}/32 dev vxlan0", here.0),
            &format!("address add {}/128 dev vxlan0 nodad", there.0),
            "link set dev vxlan0 up",
            &format!("route add 10.244.{number}.0/24 via {} dev vxlan0 onlink", here.1),
            &format!("route add {}/128 dev vxlan0", there.1),
            &format!("route add fd00:10:244:{number:x}::/64 via {} dev vxlan0 onlink", there.1),
        ],
    );
}

/// The wires between nodes carry no packet with a pod's address.
fn forbid_pods(outside: &Outside) {
    let rule = "ip saddr 10.244.0.0/16 drop; ip daddr 10.244.0.0/16 drop; \
                ip6 saddr fd00:10:244::/48 drop; ip6 daddr fd00:10:244::/48 drop;";
    let rules = format!("table bridge t {{ chain f {{ type filter hook forward priority 0; {rule} }}\n}}\n");
    outside.scene.lab.fabric().load_rules(&rules).unwrap();
}

/// Whom the backend takes for its client.
fn expect_client(outside: &Outside, family: Family, wanted: IpAddr) {
    for manner in MANNERS {
        for to in outside.frontends(family) {
            let reply = outside.client.dial(&Dial::new(manner, to)).unwrap();
            assert_eq!(reply.seen_client().unwrap().ip(), wanted, "{manner:?} to {to}");
        }
    }
}

#[test]
fn w08_backends_behind_an_overlay_see_the_nodes_address_in_it() {
    from_outside_by(
        "auto",
        "overlay",
        |setup| setup,
        |outside| {
            let (node, other) = (&outside.scene.node, &outside.other);
            over_both(|family| {
                outside.serve(family, &outside.web(family), &[&outside.remote]);
                expect(&outside.client, outside.node_port(family), &["far"]);
                expect_client(outside, family, family.of(node));
                outside.scene.delete("Service", "web");
            });
            // It comes while the agent runs.
            join(other, node);
            join(node, other);
            forbid_pods(outside);
            let served = || device_row(&devices(outside), "vxlan0").is_some();
            until("vxlan0", served);
            over_both(|family| {
                outside.serve(family, &outside.web(family), &[outside.scene.pod(1), &outside.remote]);
                for to in outside.frontends(family) {
                    expect(&outside.client, to, &["p1", "far"]);
                }
                outside.serve_by(family, &[&outside.remote]);
                expect(&outside.client, outside.node_port(family), &["far"]);
                expect_client(outside, family, overlay_address(node, family));
                outside.serve_echo(family, &outside.remote);
                outside.client.bulk(outside.node_port(family), None, BULK).unwrap();
                outside.scene.delete("Service", "web");
            });
        },
    );
}
