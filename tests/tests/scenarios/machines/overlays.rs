//! Pod networks that are tunnels between nodes: the network below does not know the pods' addresses.

use std::net::IpAddr;

use harness::{
    lab::{Dial, Node},
    scene::{Family, Outside, TRANSPORTS, expect, from_outside_by, until},
};

use super::*;

/// The address that a node has in the overlay.
pub(super) fn overlay_address(node: &Node, family: Family) -> IpAddr {
    let number = node.number();
    match family {
        Family::Ipv4 => format!("10.244.{number}.0").parse().unwrap(),
        Family::Ipv6 => format!("fd00:10:244:{number:x}::ffff").parse().unwrap(),
    }
}

/// Joins the nodes by an overlay of this type, over which each reaches the other's pods.
fn join(outside: &Outside, device: &str, kind: &str) {
    reach(&outside.other, &outside.scene.node, device, kind);
    reach(&outside.scene.node, &outside.other, device, kind);
}

fn reach(node: &Node, other: &Node, device: &str, kind: &str) {
    let [here, there] = Family::BOTH.map(|family| (overlay_address(node, family), overlay_address(other, family)));
    let number = other.number();
    ip(
        node.netns(),
        &[
            &format!("link add {device} type {kind} id 1 remote {}", other.v4()),
            &format!("address add {}/32 dev {device}", here.0),
            &format!("address add {}/128 dev {device} nodad", there.0),
            &format!("link set dev {device} up"),
            &format!("route add 10.244.{number}.0/24 via {} dev {device} onlink", here.1),
            &format!("route add {}/128 dev {device}", there.1),
            &format!("route add fd00:10:244:{number:x}::/64 via {} dev {device} onlink", there.1),
        ],
    );
}

/// Keeps packets with a pod's address off the wires between nodes.
fn forbid_pods(outside: &Outside) {
    let rule = "ip saddr 10.244.0.0/16 drop; ip daddr 10.244.0.0/16 drop; \
                ip6 saddr fd00:10:244::/48 drop; ip6 daddr fd00:10:244::/48 drop;";
    let rules = format!("table bridge t {{ chain f {{ type filter hook forward priority 0; {rule} }}\n}}\n");
    outside.scene.lab.fabric().load_rules(&rules).unwrap();
}

/// The address that the backend sees as its client's.
fn expect_client(outside: &Outside, family: Family, wanted: IpAddr) {
    for transport in TRANSPORTS {
        for to in outside.frontends(family) {
            let reply = outside.client.dial(&Dial::new(transport, to)).unwrap();
            assert_eq!(reply.seen_client().unwrap().ip(), wanted, "{transport:?} to {to}");
        }
    }
}

/// Tests backends behind an overlay of these families, which `join` adds while the agent runs.
pub(super) fn behind(device: &str, families: &[Family], bulk: u64, join: impl Fn(&Outside)) {
    from_outside_by("auto", device, |outside| {
        let node = &outside.scene.node;
        for &family in families {
            outside.serve(family, &outside.web(family), &[&outside.remote]);
            expect(&outside.client, outside.node_port(family), &["far"]);
            expect_client(outside, family, family.of(node));
            outside.scene.delete("Service", "web");
        }
        join(outside);
        let served = || device_row(&outside.scene.get("devices"), device).is_some();
        until(device, served);
        for &family in families {
            outside.serve(family, &outside.web(family), &[outside.scene.pod(1), &outside.remote]);
            for to in outside.frontends(family) {
                expect(&outside.client, to, &["p1", "far"]);
            }
            outside.serve_by(family, &[&outside.remote]);
            expect(&outside.client, outside.node_port(family), &["far"]);
            expect_client(outside, family, overlay_address(node, family));
            outside.serve_echo(family, &outside.remote);
            outside.client.bulk(outside.node_port(family), None, bulk).unwrap();
            outside.scene.delete("Service", "web");
        }
    });
}

#[test]
fn w08_backends_behind_an_overlay_see_the_nodes_address_in_it() {
    behind("vxlan0", &Family::BOTH, 10 << 20, |outside| {
        join(outside, "vxlan0", "vxlan dstport 8472 dev eth0");
        forbid_pods(outside);
    });
}

#[test]
#[ignore = "this kernel may have no geneve: cargo xtask vm runs it"]
fn w08_backends_behind_geneve_see_the_nodes_address_in_it() {
    behind("geneve0", &Family::BOTH, 1 << 20, |outside| join(outside, "geneve0", "geneve"));
}
