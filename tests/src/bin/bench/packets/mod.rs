//! What a packet costs in the XDP program: by BPF_PROG_TEST_RUN, on the program that an agent has attached. A program
//! before it makes each packet anew; its cost is measured with an empty program behind it, and subtracted.

mod figures;
mod frames;
mod node;
mod programs;
#[path = "../../../../ebpf/src/walk.rs"]
mod walk;

use std::{collections::BTreeMap, net::Ipv4Addr, time::Duration};

use anyhow::{Context as _, Result};
use aya::maps::{HashMap, Map, MapData, MapError};
use proxy_common::{Conntrack, Tuple};

pub use self::figures::PacketFigures;
use self::{
    frames::{EMPTY_NODE_PORT, NODE_PORT, Packet, entries, from_backend, from_client, opening},
    node::BenchNode,
    programs::{Program, Programs},
    walk::Walk,
};
use crate::{client::pin, interrupt::Interrupted};

/// Numbers of flows.
pub const FLOWS: [u32; 3] = [1, 64_000, 1_000_000];
/// More clients than HALF_OPEN has room for: each packet of such a walk is of a new flow.
const CLIENTS: u32 = 4_000_000;

const XDP_PASS: u32 = 2;
const XDP_TX: u32 = 3;
const XDP_DROP: u32 = 1;

/// One thing that is measured.
struct Case {
    name: String,
    program: Program,
    action: u32,
    walk: Walk,
    /// Packets of a run.
    packets: u32,
}

/// Nanoseconds a packet, a value a round: of each case with the making of the packets, and of their making; and of the
/// empty program alone.
pub type Rounds = BTreeMap<String, Vec<f64>>;

/// Measures everything.
pub fn measure(rounds: u32, interrupted: &Interrupted) -> Result<PacketFigures> {
    let node = BenchNode::create()?;
    let rounds = node.node.netns().inside(|| {
        pin(0);
        inside(&node, rounds, interrupted)
    })??;
    Ok(PacketFigures::new(&rounds))
}

fn inside(node: &BenchNode, rounds: u32, interrupted: &Interrupted) -> Result<Rounds> {
    let mut programs = Programs::load(node)?;
    let device = BenchNode::link_address()?;
    let like = sample(node, &mut programs, device)?;
    let mut conntrack = open(node, "conntrack")?;
    let mut measured = Rounds::new();
    let mut entered = 0;
    for flows in FLOWS {
        for index in entered..flows {
            for (tuple, entry) in entries(index, node.address(), &like, like.expires) {
                conntrack.insert(tuple, entry, 0).context("enter a flow")?;
            }
        }
        entered = flows;
        let mut cases = cases(node.address(), device, flows);
        for _ in 0..rounds {
            interrupted.check()?;
            let alone = programs.run_alone(&from_client(node.address()).frame(device), 100_000)?;
            note(&mut measured, "empty", alone);
            round(&mut programs, &mut cases, &mut measured)?;
        }
    }
    Ok(measured)
}

/// An entry of the Service as the program makes it, but with an end that is far beyond: what puts an end off is not
/// part of a packet's cost.
fn sample(node: &BenchNode, programs: &mut Programs, device: [u8; 6]) -> Result<Conntrack> {
    let mut walk = opening(node.address(), NODE_PORT).walk(device, CLIENTS);
    programs.run(Program::Xdp, &mut walk, 1, XDP_TX)?;
    let half_open = open(node, "half_open")?;
    let (_, entry) = half_open.iter().flatten().next().context("find the flow that was opened")?;
    Ok(Conntrack { expires: entry.expires.wrapping_add(1 << 30), ..entry })
}

fn open(node: &BenchNode, name: &str) -> Result<HashMap<MapData, Tuple, Conntrack>, MapError> {
    MapData::from_pin(node.waggle.pins().join(name)).and_then(Map::from_map_data).and_then(HashMap::try_from)
}

/// What is measured with so many flows entered.
fn cases(node: Ipv4Addr, device: [u8; 6], flows: u32) -> Vec<Case> {
    let packets = if flows == 1 { 100_000 } else { 256_000 };
    let case = |name: &str, program, action, packet: Packet, flows| Case {
        name: name.into(),
        program,
        action,
        walk: packet.walk(device, flows),
        packets,
    };
    let mut cases = vec![
        case(&format!("floor_{flows}"), Program::Floor, XDP_TX, from_client(node), flows),
        case(&format!("established_{flows}"), Program::Xdp, XDP_TX, from_client(node), flows),
        case(&format!("reply_{flows}"), Program::Xdp, XDP_TX, from_backend(node), flows),
        case(&format!("new_{flows}"), Program::Xdp, XDP_TX, opening(node, NODE_PORT), CLIENTS),
    ];
    if flows == 1 {
        let transit = Ipv4Addr::new(203, 0, 113, 7);
        cases.extend([
            case("mac_swap", Program::MacSwap, XDP_TX, from_client(node), 1),
            case("bystander_transit", Program::Xdp, XDP_PASS, opening(transit, 443), 1),
            case("bystander_node_ssh", Program::Xdp, XDP_PASS, opening(node, 22), 1),
            case("bystander_node_kubelet", Program::Xdp, XDP_PASS, opening(node, 10_250), 1),
            case("reject", Program::Xdp, XDP_TX, opening(node, EMPTY_NODE_PORT), 1),
        ]);
    }
    cases
}

/// Each case once, each beside the empty program with the same packets.
fn round(programs: &mut Programs, cases: &mut [Case], measured: &mut Rounds) -> Result<()> {
    for Case { name, program, action, walk, packets } in cases {
        let made = programs.run(Program::Empty, &mut walk.clone(), *packets, XDP_DROP)?;
        let all = programs.run(*program, walk, *packets, *action).with_context(|| format!("measure {name}"))?;
        note(measured, &format!("{name}/made"), made);
        note(measured, &format!("{name}/all"), all);
    }
    Ok(())
}

#[expect(clippy::cast_precision_loss, reason = "a packet takes far less than 2^52 ns")]
fn note(measured: &mut Rounds, name: &str, time: Duration) {
    measured.entry(name.into()).or_default().push(time.as_nanos() as f64);
}
