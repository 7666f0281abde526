//! Compares two samples: rates, the sums of them, and what is refused. Pure.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use proxy_common::ServiceCounters;

use super::{chosen::Chosen, sample::Sample};
use crate::commands::get::{DropRow, ServicePort, drops, service_ports};

/// What is counted for a service port, per second.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Rates {
    /// New connections and UDP flows.
    pub connections: f64,
    /// Translated packets. Those of this node's sockets need no translation, and are not counted.
    pub packets: f64,
    /// Bytes of these packets.
    pub bytes: f64,
}

impl Rates {
    const fn plus(self, other: Self) -> Self {
        Self {
            connections: self.connections + other.connections,
            packets: self.packets + other.packets,
            bytes: self.bytes + other.bytes,
        }
    }
}

/// The rates of a service port.
#[derive(Clone, Debug, PartialEq)]
pub struct PortRates {
    /// The port.
    pub port: ServicePort,
    /// Its rates; `None` if its counters have begun between the samples, also if they have begun again.
    pub rates: Option<Rates>,
    /// Connections and UDP flows since the port got its id.
    pub connections: u64,
}

/// How often something is refused for one reason.
#[derive(Clone, Debug, PartialEq)]
pub struct Refusals {
    /// The reason, and how often it has applied since the maps were made.
    pub reason: DropRow,
    /// How often per second; `None` if the counter has begun again between the samples.
    pub rate: Option<f64>,
}

/// What is known from two samples.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Figures {
    /// The time between the samples.
    pub elapsed: Duration,
    /// The ports of the chosen Services, by their names.
    pub ports: Vec<PortRates>,
    /// The sum of their rates.
    pub total: Rates,
    /// The reasons that have applied at least once.
    pub refusals: Vec<Refusals>,
    /// The sum of their rates.
    pub refused: f64,
}

impl Figures {
    /// Compares a sample with an earlier one, for the chosen Services. Refusals belong to no Service: all are among the figures.
    /// Compared with itself, a sample has no rates.
    pub fn compare(before: &Sample, now: &Sample, chosen: &Chosen) -> Self {
        let elapsed = now.at.saturating_duration_since(before.at);
        let ports = ports(before, now, elapsed, chosen);
        let refusals = refusals(before, now, elapsed);
        Self {
            elapsed,
            total: ports.iter().filter_map(|port| port.rates).fold(Rates::default(), Rates::plus),
            // The sum of no floating-point numbers is -0.
            refused: refusals.iter().filter_map(|refusals| refusals.rate).fold(0.0, |sum, rate| sum + rate),
            ports,
            refusals,
        }
    }
}

fn ports(before: &Sample, now: &Sample, elapsed: Duration, chosen: &Chosen) -> Vec<PortRates> {
    let earlier = service_ports(&before.snapshot);
    let shown = service_ports(&now.snapshot).into_iter().filter(|(port, _)| chosen.has(port));
    let rates_of = |(port, ids): (ServicePort, BTreeSet<u32>)| {
        // An id that the port did not have may have been another port's.
        let known = earlier.get(&port);
        let counted = |sample: &Sample, id: &u32| sample.snapshot.counted.get(id).copied().unwrap_or_default();
        let had = ids.iter().filter(|id| known.is_some_and(|known| known.contains(*id)));
        let rates = had.filter_map(|id| difference(counted(before, id), counted(now, id), elapsed));
        let rates = rates.reduce(Rates::plus);
        let connections = ids.iter().map(|id| counted(now, id).connections).sum();
        PortRates { port, rates, connections }
    };
    shown.map(rates_of).collect()
}

/// Returns the rates of counters; `None` if one is lower than before, since then they have begun again.
fn difference(before: ServiceCounters, now: ServiceCounters, elapsed: Duration) -> Option<Rates> {
    Some(Rates {
        connections: per_second(before.connections, now.connections, elapsed)?,
        packets: per_second(before.packets, now.packets, elapsed)?,
        bytes: per_second(before.bytes, now.bytes, elapsed)?,
    })
}

#[expect(clippy::cast_precision_loss, reason = "a rate is shown with few digits")]
fn per_second(before: u64, now: u64, elapsed: Duration) -> Option<f64> {
    let more = now.checked_sub(before)?;
    (!elapsed.is_zero()).then(|| more as f64 / elapsed.as_secs_f64())
}

fn refusals(before: &Sample, now: &Sample, elapsed: Duration) -> Vec<Refusals> {
    let key = |reason: &DropRow| (reason.verdict, reason.reason);
    let earlier: BTreeMap<_, u64> = drops(&before.counters).iter().map(|row| (key(row), row.count)).collect();
    let applied = drops(&now.counters).into_iter().filter(|reason| reason.count != 0);
    let rate_of = |reason: DropRow| {
        let rate = earlier.get(&key(&reason)).and_then(|before| per_second(*before, reason.count, elapsed));
        Refusals { reason, rate }
    };
    applied.map(rate_of).collect()
}
