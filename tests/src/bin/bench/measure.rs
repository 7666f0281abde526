//! Direct and through the ClusterIP in turns, block by block, so that whatever drifts hits both.

use std::{
    net::{IpAddr, SocketAddr},
    time::{Duration, Instant},
};

use anyhow::Result;

use crate::{
    cli::Plan,
    interrupt::Interrupted,
    orders::{Block, Order, Work},
    scenario::Scenario,
    stats::{Spread, median, quantile},
};

/// All that was measured of one kind of work in one scenario.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// What was done.
    pub work: Work,
    /// To the backend's own address.
    pub direct: Arm,
    /// Through the ClusterIP.
    pub through: Arm,
}

/// One side of a comparison.
#[derive(Clone, Debug, Default)]
pub struct Arm {
    /// A value a block: median connect time in µs, turns per second or MiB per second.
    pub blocks: Vec<f64>,
    /// `Connect`: every duration, µs.
    pub samples: Vec<f64>,
    /// `Connect`: connects (with socket and close) per second, a value a block.
    pub rates: Vec<f64>,
}

impl Outcome {
    /// Through ÷ direct: of the medians of all connects, else of the medians of the blocks.
    pub fn ratio(&self) -> f64 {
        self.through.value() / self.direct.value()
    }

    /// The ratios of neighbouring blocks.
    pub fn spread(&self) -> Spread {
        let pairs = self.through.blocks.iter().zip(&self.direct.blocks);
        Spread::of(&pairs.map(|(through, direct)| through / direct).collect::<Vec<_>>())
    }
}

impl Arm {
    /// The median: µs, turns per second or MiB per second.
    pub fn value(&self) -> f64 {
        median(if self.samples.is_empty() { &self.blocks } else { &self.samples })
    }

    /// `Connect`: the duration that one in a hundred exceeds, µs.
    pub fn p99(&self) -> f64 {
        quantile(&self.samples, 0.99)
    }

    #[expect(clippy::cast_precision_loss, reason = "a block is far shorter than 2^52 ns")]
    fn add(&mut self, order: &Order, block: &Block) {
        let seconds = block.elapsed as f64 / 1e9;
        let count = order.count as f64;
        match order.work {
            Work::Connect => {
                let samples: Vec<_> = block.samples.iter().map(|sample| *sample as f64 / 1e3).collect();
                self.blocks.push(median(&samples));
                self.samples.extend(samples);
                self.rates.push(count / seconds);
            }
            Work::Throughput => self.blocks.push(count / seconds / f64::from(1 << 20)),
            Work::Turn | Work::UdpConnected | Work::UdpUnconnected => self.blocks.push(count / seconds),
        }
    }
}

/// Connects, turns or bytes in a block: some milliseconds.
const fn count(work: Work) -> u64 {
    match work {
        Work::Connect | Work::Turn | Work::UdpConnected | Work::UdpUnconnected => 200,
        Work::Throughput => 16 << 20,
    }
}

/// All kinds of work, one after the other.
pub fn all(scenario: &Scenario, plan: &Plan, interrupted: &Interrupted) -> Result<Vec<Outcome>> {
    let works = [
        (Work::Connect, plan.connect),
        (Work::Turn, plan.turn),
        (Work::Throughput, plan.throughput),
        (Work::UdpConnected, plan.udp),
        (Work::UdpUnconnected, plan.udp),
    ];
    works.into_iter().map(|(work, duration)| compare(scenario, work, duration, interrupted)).collect()
}

/// Pairs of blocks until `duration` has passed; which of a pair comes first alternates.
fn compare(scenario: &Scenario, work: Work, duration: Duration, interrupted: &Interrupted) -> Result<Outcome> {
    let order = |address: IpAddr| Order { work, to: SocketAddr::new(address, work.port()), count: count(work) };
    let (direct, through) = (order(scenario.backend()), order(scenario.cluster_ip()));
    let mut outcome = Outcome { work, direct: Arm::default(), through: Arm::default() };
    for order in [&direct, &through] {
        scenario.measure(order)?;
    }
    let end = Instant::now() + duration;
    while Instant::now() < end {
        interrupted.check()?;
        let (one, other) = if outcome.direct.blocks.len().is_multiple_of(2) {
            ((&direct, &mut outcome.direct), (&through, &mut outcome.through))
        } else {
            ((&through, &mut outcome.through), (&direct, &mut outcome.direct))
        };
        for (order, arm) in [one, other] {
            arm.add(order, &scenario.measure(order)?);
        }
    }
    Ok(outcome)
}

#[cfg(test)]
pub mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    /// An outcome whose blocks are these, `through` each times `factor`.
    pub fn outcome(work: Work, blocks: &[f64], factor: f64) -> Outcome {
        let direct = Arm { blocks: blocks.to_vec(), samples: Vec::new(), rates: vec![1.0] };
        let blocks = blocks.iter().map(|block| block * factor).collect();
        Outcome { work, through: Arm { blocks, ..direct.clone() }, direct }
    }

    #[test]
    fn ratio_is_of_medians_and_spread_of_neighbours() {
        let mut outcome = outcome(Work::Turn, &[10.0, 20.0, 30.0], 2.0);
        outcome.through.blocks[0] = 40.0;
        assert!((outcome.ratio() - 2.0).abs() < 1e-12);
        assert!((outcome.spread().upper - 3.0).abs() < 1e-12);
    }

    #[test]
    fn blocks_become_values_in_their_unit() {
        let to = (Ipv4Addr::LOCALHOST, 1).into();
        let mut connect = Arm::default();
        let block = Block { elapsed: 1_000_000, samples: vec![3_000, 1_000, 2_000] };
        connect.add(&Order { work: Work::Connect, to, count: 3 }, &block);
        assert_eq!((connect.value(), connect.blocks[0], connect.rates[0]), (2.0, 2.0, 3_000.0));
        let mut bulk = Arm::default();
        let block = Block { elapsed: 1_000_000_000, samples: Vec::new() };
        bulk.add(&Order { work: Work::Throughput, to, count: 3 << 20 }, &block);
        assert!((bulk.value() - 3.0).abs() < 1e-12);
    }
}
