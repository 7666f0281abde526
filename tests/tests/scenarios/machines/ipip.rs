//! The kernel's own tunnels in IPv4: IPv4 and IPv6 between two hosts (RFC 2003, RFC 4213), and IPv4 to many nodes,
//! where the route's gateway is the tunnel's other end.

use harness::{
    lab::{Host, Node},
    scene::Family,
};

use super::{
    overlays::{behind, overlay_address},
    tunnels::{FEW, raise},
    *,
};

fn join(here: &Host, there: &Host) {
    for (number, near, far) in [(1, here, there), (2, there, here)] {
        let (local, remote) = (near.v4(), far.v4());
        ip(near.netns(), &[&format!("link add name t0 type sit mode any local {local} remote {remote}")]);
        raise(near.netns(), number);
    }
}

/// Sets up tunnels as Calico does: with the device that every network namespace has, without a remote address.
fn reach(node: &Node, other: &Node) {
    ip(
        node.netns(),
        &[
            &format!("address add {}/32 dev tunl0", overlay_address(node, Family::Ipv4)),
            "link set dev tunl0 up",
            &format!("route add 10.244.{}.0/24 via {} dev tunl0 onlink", other.number(), other.v4()),
        ],
    );
}

/// Joins the node and its client.
pub(super) fn to_client(outside: &Outside) {
    join(&outside.scene.node, &outside.host);
}

/// Joins the node and the other node.
pub(super) fn to_other(outside: &Outside) {
    join(&outside.scene.node, &outside.other);
}

#[test]
#[ignore = "this kernel may have no such tunnels: cargo xtask vm runs it"]
fn w08_backends_behind_an_ipip_overlay_see_the_nodes_address_in_it() {
    behind("tunl0", &[Family::Ipv4], FEW, |outside| {
        let (node, other) = (&outside.scene.node, &outside.other);
        reach(other, node);
        reach(node, other);
    });
}
