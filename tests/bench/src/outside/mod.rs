//! Clients outside: packets and connections to a node port, which a node forwards to a backend of another node: by Waggle at XDP,
//! by Waggle at TC, and by the rule set. All labs exist at once and are measured in turns.

mod chart;
mod figures;
mod frame;
mod lane;
mod poller;
#[path = "../../ebpf/src/flood.rs"]
mod shared;
mod wire;

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};

use self::lane::{Flooded, Lane, Way};
pub use self::{chart::draw, figures::OutsideFigures};
use crate::{
    cli::Options,
    interrupt::Interrupted,
    orders::{Block, TRANSFER, Work},
};

/// Connects and transfers of a block, which takes some milliseconds.
const CONNECTS: u64 = 200;
const TRANSFERS: u64 = 8;

/// How long each part is measured in all.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// The number of rounds of floods.
    pub rounds: u32,
    /// The duration of a lab's flood in a round.
    pub flood: Duration,
    /// The duration of connects, for all labs.
    pub connects: Duration,
    /// The duration of bulk, for all labs.
    pub bulk: Duration,
}

/// The measurements of a lab.
#[derive(Clone, Debug)]
pub struct Measured {
    way: Way,
    services: u32,
    floods: Vec<Flooded>,
    /// Connects per second, one value for each block.
    connects: Vec<f64>,
    /// MiB per second, one value for each block.
    bulk: Vec<f64>,
}

impl Measured {
    fn of(lane: &Lane) -> Self {
        let (floods, connects, bulk) = (Vec::new(), Vec::new(), Vec::new());
        Self { way: lane.way, services: lane.services, floods, connects, bulk }
    }
}

/// Measures everything.
pub fn measure(options: &Options, interrupted: &Interrupted) -> Result<OutsideFigures> {
    let mut lanes = start(options, interrupted)?;
    let mut measured: Vec<_> = lanes.iter().map(Measured::of).collect();
    let plan = options.outside_plan();
    for _ in 0..plan.rounds {
        for (lane, measured) in lanes.iter_mut().zip(&mut measured) {
            interrupted.check()?;
            let flooded = lane.flood(plan.flood).with_context(|| format!("flood {:?}", lane.way))?;
            measured.floods.push(flooded);
        }
    }
    lanes.iter().try_for_each(Lane::end_floods)?;
    // A lab that drops packets on arrival has no connections.
    lanes.remove(0);
    let dropped = measured.remove(0);
    let direct = connect(&lanes, &mut measured, &plan, interrupted)?;
    Ok(OutsideFigures { dropped, direct, ways: measured })
}

/// Makes a lab for each way; the first one is the lab that drops.
fn start(options: &Options, interrupted: &Interrupted) -> Result<Vec<Lane>> {
    let many = options.node_port_services();
    let mut wanted = vec![(Way::Drop, 0), (Way::Xdp, many), (Way::Tc, many)];
    if !options.no_nftables {
        wanted.extend([(Way::Nftables, 1), (Way::Nftables, many)]);
    }
    let lanes = wanted.into_iter().map(|(way, services)| {
        interrupted.check()?;
        let begin = Instant::now();
        let lane = Lane::start(way, services, options.endpoints()).with_context(|| format!("start {way:?}"))?;
        eprintln!("  {way:?}, {services} Services: started after {:.1} s", begin.elapsed().as_secs_f64());
        Ok(lane)
    });
    let lanes = lanes.collect::<Result<Vec<_>>>()?;
    let begin = Instant::now();
    lanes.iter().try_for_each(Lane::wait)?;
    eprintln!("  ready after another {:.1} s", begin.elapsed().as_secs_f64());
    Ok(lanes)
}

/// Measures connections of all labs in turns. Returns the figures of connections to the backend's own address, in the
/// first lab.
fn connect(lanes: &[Lane], measured: &mut [Measured], plan: &Plan, interrupted: &Interrupted) -> Result<Measured> {
    let first = lanes.first().context("a lab to connect in")?;
    let mut direct = Measured::of(first);
    for (work, count, duration) in [(Work::Connect, CONNECTS, plan.connects), (Work::Throughput, TRANSFERS, plan.bulk)]
    {
        let end = Instant::now() + duration;
        while Instant::now() < end {
            interrupted.check()?;
            note(&mut direct, work, &first.direct(work, count)?);
            for (lane, measured) in lanes.iter().zip(&mut *measured) {
                let block = lane.through(work, count).with_context(|| format!("connect by {:?}", lane.way))?;
                note(measured, work, &block);
            }
        }
    }
    Ok(direct)
}

#[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
fn note(measured: &mut Measured, work: Work, block: &Block) {
    let rate = block.samples.len() as f64 / (block.elapsed as f64 / 1e9);
    match work {
        Work::Throughput => measured.bulk.push(rate * (TRANSFER as f64 / f64::from(1 << 20))),
        _ => measured.connects.push(rate),
    }
}
