//! Metrics of the loaded eBPF programs.

use std::{collections::BTreeMap, fmt};

use super::page::{Page, whole};
use crate::attach::Statistics;

/// The label of each metric.
const LABELS: [&str; 1] = ["program"];

pub(super) fn write(page: &mut Page<'_>, programs: &BTreeMap<String, Statistics>) -> fmt::Result {
    page.gauges(
        "waggle_program_verified_instructions",
        "Instructions that the kernel's verifier processed for the program",
        LABELS,
        programs.iter().map(|(name, statistics)| ([name], whole(statistics.verified))),
    )?;
    // If the kernel has never counted runs, a 0 would be wrong.
    let is_counted = programs.values().any(|statistics| statistics.runs != 0);
    let counted = || programs.iter().filter(|_| is_counted);
    page.counters(
        "waggle_program_runs",
        "Runs of the program while the kernel counted them, which it does while the sysctl kernel.bpf_stats_enabled is 1. There \
         is no series before the first counted run",
        LABELS,
        counted().map(|(name, statistics)| ([name], statistics.runs)),
    )?;
    page.times(
        "waggle_program_run_seconds",
        "Seconds that the counted runs took. The time of a stage is part of the program that continues in it",
        LABELS,
        counted().map(|(name, statistics)| ([name], statistics.took.as_secs_f64())),
    )
}
