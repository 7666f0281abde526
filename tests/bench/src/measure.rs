//! Measures connections to the backend and through the ClusterIP in turns, block by block, so that drift affects both alike.

use std::{
    net::{IpAddr, SocketAddr},
    time::{Duration, Instant},
};

use anyhow::Result;

use crate::{
    cli::Plan,
    interrupt::Interrupted,
    manifests,
    orders::{Block, Order, TRANSFER, Work},
    scenario::Scenario,
    stats::{Spread, median, quantile},
};

/// The measurements of one kind of work in one scenario.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The kind of work.
    pub work: Work,
    /// Connections to the backend's own address.
    pub direct: Arm,
    /// Connections through the ClusterIP.
    pub through: Arm,
}

/// One side of a comparison.
#[derive(Clone, Debug, Default)]
pub struct Arm {
    /// The duration of each connect, turn or transfer, µs.
    pub samples: Vec<f64>,
    /// The median duration of each block, µs.
    pub blocks: Vec<f64>,
    /// The number per second in each block. For connects this includes opening and closing of the sockets.
    pub rates: Vec<f64>,
}

impl Outcome {
    /// Through ÷ direct: the median of the ratios of neighbouring blocks. When a machine's speed changes, the ratio of
    /// the medians of all samples would compare blocks of different times.
    pub fn ratio(&self) -> f64 {
        self.spread().median
    }

    /// The ratios of neighbouring blocks.
    pub fn spread(&self) -> Spread {
        let pairs = self.through.blocks.iter().zip(&self.direct.blocks);
        let ratio = |(through, direct): (&f64, &f64)| self.work.figure(*through) / self.work.figure(*direct);
        Spread::of(&pairs.map(ratio).collect::<Vec<_>>())
    }

    /// Through ÷ direct, by the medians of all samples.
    pub fn ratio_of_medians(&self) -> f64 {
        self.figure(&self.through) / self.figure(&self.direct)
    }

    /// The median duration as it is reported: µs, turns per second or MiB per second.
    pub fn figure(&self, arm: &Arm) -> f64 {
        self.work.figure(median(&arm.samples))
    }
}

impl Work {
    /// Connects are reported as durations, other work as a number per second of which each takes `duration` µs.
    #[expect(clippy::cast_precision_loss, reason = "a transfer is far smaller than 2^52 bytes")]
    fn figure(self, duration: f64) -> f64 {
        match self {
            Self::Connect => duration,
            Self::Turn | Self::UdpConnected | Self::UdpUnconnected => 1e6 / duration,
            Self::Throughput => 1e6 / duration * (TRANSFER as f64 / f64::from(1 << 20)),
        }
    }
}

impl Arm {
    /// The duration that one in a hundred exceeds, µs.
    pub fn p99(&self) -> f64 {
        quantile(&self.samples, 0.99)
    }

    #[expect(clippy::cast_precision_loss, reason = "a block is far shorter than 2^52 ns")]
    fn add(&mut self, block: &Block) {
        let samples: Vec<_> = block.samples.iter().map(|sample| *sample as f64 / 1e3).collect();
        self.rates.push(samples.len() as f64 / (block.elapsed as f64 / 1e9));
        self.blocks.push(median(&samples));
        self.samples.extend(samples);
    }
}

/// Connects, turns or transfers in a block, which takes some milliseconds.
const fn count(work: Work) -> u64 {
    match work {
        Work::Connect | Work::Turn | Work::UdpConnected | Work::UdpUnconnected => 200,
        Work::Throughput => 8,
    }
}

/// Measures all kinds of work, one after the other.
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

/// Measures pairs of blocks until `duration` has passed. Which block of a pair is first alternates.
fn compare(scenario: &Scenario, work: Work, duration: Duration, interrupted: &Interrupted) -> Result<Outcome> {
    let order = |address: IpAddr| Order { work, to: SocketAddr::new(address, work.port()), count: count(work) };
    let (direct, through) = (order(scenario.backend()), order(manifests::cluster_ip(0).into()));
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
            arm.add(&scenario.measure(order)?);
        }
    }
    Ok(outcome)
}

#[cfg(test)]
pub mod tests {
    use super::*;

    /// An outcome with these durations, a block each; `through` has each times `factor`.
    pub fn outcome(work: Work, durations: &[f64], factor: f64) -> Outcome {
        let arm = |factor: f64| {
            let samples: Vec<_> = durations.iter().map(|duration| duration * factor).collect();
            Arm { blocks: samples.clone(), samples, rates: vec![1.0] }
        };
        Outcome { work, direct: arm(1.0), through: arm(factor) }
    }

    #[test]
    fn ratio_is_of_neighbouring_blocks() {
        let mut connects = outcome(Work::Connect, &[10.0, 20.0, 30.0], 2.0);
        connects.through.blocks[0] = 40.0;
        assert!((connects.ratio() - 2.0).abs() < 1e-12);
        assert!((connects.spread().upper - 3.0).abs() < 1e-12);
        connects.through.samples = vec![60.0; 3];
        assert!((connects.ratio_of_medians() - 3.0).abs() < 1e-12);
        let turns = outcome(Work::Turn, &[10.0, 20.0, 30.0], 2.0);
        assert!((turns.ratio() - 0.5).abs() < 1e-12, "twice the duration is half as many");
    }

    #[test]
    fn blocks_become_values_in_their_unit() {
        let mut arm = Arm::default();
        arm.add(&Block { elapsed: 1_000_000, samples: vec![3_000, 1_000, 2_000] });
        assert_eq!((arm.blocks[0], arm.rates[0]), (2.0, 3_000.0));
        for (work, figure) in [(Work::Connect, 2.0), (Work::Turn, 500_000.0), (Work::Throughput, 500_000.0)] {
            let outcome = Outcome { work, direct: arm.clone(), through: arm.clone() };
            assert!((outcome.figure(&arm) - figure).abs() < 1e-6, "{work:?}");
        }
    }
}
