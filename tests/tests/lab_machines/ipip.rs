//! Tunnels of the kernel's own in IPv4, which carry IPv4 and IPv6 between two hosts (RFC 2003, RFC 4213).

use harness::lab::Host;

use super::{
    tunnels::{FEW, backends, node_ports, raise},
    *,
};

fn join(here: &Host, there: &Host) {
    for (number, near, far) in [(1, here, there), (2, there, here)] {
        let (local, remote) = (near.v4(), far.v4());
        ip(near.netns(), &[&format!("link add name t0 type sit mode any local {local} remote {remote}")]);
        raise(near.netns(), number);
    }
}

#[test]
#[ignore = "this kernel may have no such tunnels: cargo xtask vm runs it"]
fn w11_node_ports_are_served_over_ipip() {
    node_ports("sit-client", FEW, |outside| join(&outside.scene.node, &outside.host));
}

#[test]
#[ignore = "this kernel may have no such tunnels: cargo xtask vm runs it"]
fn w11_backends_behind_ipip_answer_clients_on_ethernet() {
    backends("sit-backend", FEW, |outside| join(&outside.scene.node, &outside.other));
}
