//! What a packet costs in the XDP program, by BPF_PROG_TEST_RUN on the program that an agent has attached. Another
//! program first makes each packet; its cost is measured with an empty program behind it, and subtracted.

mod cases;
mod figures;
mod flows;
mod frames;
mod node;
mod programs;
mod table;
#[path = "../../ebpf/src/walk.rs"]
mod walk;

use std::{collections::BTreeMap, time::Duration};

use anyhow::{Context as _, Result};
use proxy_common::sizes::CONNTRACK_MAX;

use self::{
    cases::{Case, cases},
    flows::Flows,
    node::BenchNode,
    programs::{Action, Program, Programs},
};
pub use self::{
    figures::PacketFigures,
    programs::{OBJECT, context},
    table::text,
};
use crate::{client::pin, interrupt::Interrupted, link};

/// Numbers of flows, and the agent's `--max-conntrack` for each: the default while the flows fit, else two entries for each flow
/// and a quarter more.
pub const FLOWS: [(u32, usize); 3] = [(1, CONNTRACK_MAX), (64_000, CONNTRACK_MAX), (1_000_000, 2_500_000)];

/// Nanoseconds per packet, one value for each run: of each case including the making of its packets, of making them alone, and of
/// the empty program alone.
pub type Runs = BTreeMap<String, Vec<f64>>;

/// Measures everything.
pub fn measure(rounds: u32, interrupted: &Interrupted) -> Result<PacketFigures> {
    let mut runs = Runs::new();
    for same_size in FLOWS.chunk_by(|a, b| a.1 == b.1) {
        let node = BenchNode::create(same_size[0].1)?;
        node.node.netns().inside(|| {
            pin(0);
            let mut bench = Bench::prepare(&node, same_size[0].1.try_into()?)?;
            same_size.iter().try_for_each(|(flows, _)| bench.measure(*flows, rounds, &mut runs, interrupted))
        })??;
    }
    Ok(PacketFigures::new(&runs))
}

/// A node that is ready. Make and use it inside its namespace.
struct Bench<'a> {
    node: &'a BenchNode,
    device: [u8; 6],
    programs: Programs,
    flows: Flows,
}

impl<'a> Bench<'a> {
    fn prepare(node: &'a BenchNode, max_conntrack: u32) -> Result<Self> {
        let device = link::address("eth0")?;
        let mut programs = Programs::load(node, max_conntrack)?;
        let mut walk = frames::opening(node.address(), frames::NODE_PORT).walk(device, 1);
        programs.run(Program::Xdp, &mut walk, 1, Action::Transmit)?;
        let flows = Flows::open(node, programs.take_flows()?)?;
        Ok(Self { node, device, programs, flows })
    }

    /// Measures all cases for a number of entered flows, in turns.
    fn measure(&mut self, flows: u32, rounds: u32, runs: &mut Runs, interrupted: &Interrupted) -> Result<()> {
        self.flows.enter(flows, self.node.address())?;
        let mut cases = cases(self.node.address(), self.device, flows);
        for _ in 0..rounds {
            interrupted.check()?;
            note(runs, "empty", self.programs.run_alone()?);
            for case in &mut cases {
                self.run(case, runs).with_context(|| format!("measure {}", case.name))?;
            }
        }
        Ok(())
    }

    /// Measures a case, and the empty program with its packets.
    fn run(&mut self, case: &mut Case, runs: &mut Runs) -> Result<()> {
        let made = self.programs.run(Program::Empty, &mut case.walk.clone(), case.packets, Action::Drop)?;
        let all = self.programs.run(case.program, &mut case.walk, case.packets, case.action)?;
        note(runs, &format!("{}/made", case.name), made);
        note(runs, &format!("{}/all", case.name), all);
        Ok(())
    }
}

#[expect(clippy::cast_precision_loss, reason = "a packet takes far less than 2^52 ns")]
fn note(runs: &mut Runs, name: &str, time: Duration) {
    runs.entry(name.into()).or_default().push(time.as_nanos() as f64);
}
