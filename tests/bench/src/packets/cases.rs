//! The cases that are measured: which packets, through which program, and the expected result.

use std::net::Ipv4Addr;

use super::{
    frames::{EMPTY_NODE_PORT, NODE_PORT, Packet, from_backend, from_client, opening},
    programs::{Action, Program},
    walk::Walk,
};

/// More clients than EMBRYONIC has entries: each packet of such a walk opens a flow, and evicts another one.
const CLIENTS: u32 = 4_000_000;

/// A case.
pub struct Case {
    /// The beginning of its keys.
    pub name: String,
    /// The program that its packets pass.
    pub program: Program,
    /// The expected result.
    pub action: Action,
    /// Its packets.
    pub walk: Walk,
    /// The number of packets of a run.
    pub packets: u32,
}

/// The cases for a number of entered flows. The cases of one flow are measured together with those that need none.
pub fn cases(node: Ipv4Addr, device: [u8; 6], flows: u32) -> Vec<Case> {
    let case = |name: &str, program, action, packet: Packet, flows| Case {
        name: name.into(),
        program,
        action,
        walk: packet.walk(device, flows),
        packets: if flows == 1 { 100_000 } else { 256_000 },
    };
    let product = |name: &str, action, packet, flows| case(name, Program::Xdp, action, packet, flows);
    let new = opening(node, NODE_PORT);
    let mut cases = vec![
        case(&format!("floor_{flows}"), Program::Floor, Action::Transmit, from_client(node), flows),
        product(&format!("established_{flows}"), Action::Transmit, from_client(node), flows),
        product(&format!("reply_{flows}"), Action::Transmit, from_backend(node), flows),
    ];
    if flows > 1 {
        cases.push(product(&format!("new_{flows}"), Action::Transmit, new, CLIENTS));
        return cases;
    }
    let mut first = product("new_1", Action::Transmit, new, 1);
    first.walk.forgets = 1;
    cases.push(first);
    cases.extend([
        case("mac_swap", Program::MacSwap, Action::Transmit, from_client(node), 1),
        product("bystander_transit", Action::Pass, opening(Ipv4Addr::new(203, 0, 113, 7), 443), 1),
        product("bystander_ssh", Action::Pass, opening(node, 22), 1),
        product("bystander_kubelet", Action::Pass, opening(node, 10_250), 1),
        product("bystander_kubelet_data", Action::Pass, opening(node, 10_250).acknowledging(), 1),
        product("reject", Action::Transmit, opening(node, EMPTY_NODE_PORT), 1),
    ]);
    cases
}
