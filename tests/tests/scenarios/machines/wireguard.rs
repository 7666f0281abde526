//! Nodes and clients joined by WireGuard, whose devices carry no Ethernet frames and accept from a peer only packets
//! from its allowed addresses. wg(8) sets the keys.

use std::process::Command;

use harness::{
    lab::{Host, Netns, Node},
    scene::Family,
};

use super::{
    overlays::{behind, overlay_address},
    tunnels::{FEW, address, raise},
    *,
};

const PORT: u16 = 51820;

/// A host, and the addresses that its peer accepts from it.
type End<'a> = (&'a Host, String);

/// Makes a device at both ends. Each end accepts only the other's addresses.
fn join(device: &str, ends: &[End<'_>; 2]) {
    let keys = [0, 1].map(|end| open(ends[end].0.netns(), device));
    for (near, far) in [(0, 1), (1, 0)] {
        let ((host, _), (peer, allowed)) = (&ends[near], &ends[far]);
        let key = &keys[far];
        let peer = format!("peer {key} endpoint {}:{PORT} allowed-ips {allowed}", peer.v4());
        output(host.netns(), &format!("wg set {device} {peer}"));
    }
}

/// Makes a device with a new private key, and returns its public key.
fn open(netns: &Netns, device: &str) -> String {
    ip(netns, &[&format!("link add name {device} type wireguard")]);
    let set = format!("wg genkey | wg set {device} private-key /proc/self/fd/0 listen-port {PORT}");
    let run = || Command::new("sh").args(["-ec", &set]).output().unwrap();
    let done = netns.inside(run).unwrap();
    assert!(done.status.success(), "{set}: {}", String::from_utf8_lossy(&done.stderr));
    output(netns, &format!("wg show {device} public-key")).trim().to_owned()
}

fn ends(number: u8) -> String {
    let [v4, v6] = Family::BOTH.map(|family| address(family, number));
    format!("{v4}/32,{v6}/128")
}

fn pods(node: &Node) -> String {
    let number = node.number();
    format!("10.244.{number}.0/24,fd00:10:244:{number:x}::/64")
}

/// Sets up WireGuard as Flannel does: one device, with an address among the pods'.
fn reach(node: &Node, other: &Node) {
    let [here, there] = Family::BOTH.map(|family| overlay_address(node, family));
    let number = other.number();
    ip(
        node.netns(),
        &[
            &format!("address add {here}/32 dev flannel-wg"),
            &format!("address add {there}/128 dev flannel-wg nodad"),
            "link set dev flannel-wg up",
            &format!("route add 10.244.{number}.0/24 dev flannel-wg"),
            &format!("route add fd00:10:244:{number:x}::/64 dev flannel-wg"),
        ],
    );
}

#[test]
#[ignore = "this kernel may have no wireguard: cargo xtask vm runs it"]
fn w08_backends_behind_a_wireguard_overlay_see_the_nodes_address_in_it() {
    behind("flannel-wg", &Family::BOTH, FEW, |outside| {
        let (node, other) = (&outside.scene.node, &outside.other);
        join("flannel-wg", &[(node, pods(node)), (other, pods(other))]);
        reach(other, node);
        reach(node, other);
    });
}

/// Joins the node and its client.
pub(super) fn to_client(outside: &Outside) {
    let (node, client) = (&outside.scene.node, &outside.host);
    join("t0", &[(node, ends(1)), (client, ends(2))]);
    raise(client.netns(), 2);
    raise(node.netns(), 1);
}

/// Joins the node and the other node.
pub(super) fn to_other(outside: &Outside) {
    let (node, other) = (&outside.scene.node, &outside.other);
    let from = |node, number| format!("{},{}", ends(number), pods(node));
    join("t0", &[(node, from(node, 1)), (other, from(other, 2))]);
    raise(other.netns(), 2);
    raise(node.netns(), 1);
}
