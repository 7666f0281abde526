//! Our own metrics.

use std::{fmt, time::Instant};

use aya::maps::{MapData, PerCpuArray};
use proxy_common::{Counter, Outcome};

use super::Page;
use crate::agent::status::Status;

pub(super) fn write(page: &mut Page<'_>, status: &Status, counters: Option<&PerCpuArray<MapData, u64>>) -> fmt::Result {
    let size = &status.size;
    let build = [("version", env!("CARGO_PKG_VERSION"))];
    page.gauges("waggle_build_info", "1, with the version of the agent", [(build, 1.0)])?;
    page.gauge("waggle_services", "Services in force", count(size.services))?;
    page.gauge("waggle_frontends", "Addresses and ports that lead to Services", count(size.frontends))?;
    page.gauge("waggle_backends", "Backends in force", count(size.backends))?;
    let degraded = status.refused.values().map(|refused| refused.parts).sum();
    page.gauge("waggle_degraded", "Services and networks of which a part is not in force", count(degraded))?;
    page.counter("waggle_plans", "Plans that have been written", status.generation)?;
    let healthy = status.ailments(Instant::now()).is_empty();
    page.gauge("waggle_healthy", "1 if the agent is healthy, else 0", f64::from(u8::from(healthy)))?;
    match counters {
        Some(counters) => programs(page, counters),
        None => Ok(()),
    }
}

/// What the programs count.
fn programs(page: &mut Page<'_>, counters: &PerCpuArray<MapData, u64>) -> fmt::Result {
    let read = |counter: Counter| counters.get(&(counter as u32), 0).map_or(0, |values| values.iter().sum::<u64>());
    let mut of = |outcome: Outcome, name, help| {
        let reasons = Counter::ALL.into_iter().filter(|counter| counter.label().0 == outcome);
        page.counters(name, help, reasons.map(|counter| ([("reason", counter.label().1)], read(counter))))
    };
    of(Outcome::Rejected, "waggle_rejected", "Packets and system calls that were rejected, by reason")?;
    of(Outcome::Dropped, "waggle_dropped", "Packets and system calls that were dropped, by reason")?;
    of(Outcome::Done, "waggle_events", "What the programs have done, by what it is")
}

/// Far below 2^53, so that none is rounded.
#[expect(clippy::cast_precision_loss, reason = "far below 2^53")]
fn count(number: usize) -> f64 {
    number as f64
}
