//! Metrics of the loaded eBPF programs.

use std::{collections::BTreeMap, fmt};

use super::page::{Page, whole};
use crate::attach::Statistics;

pub(super) fn write(page: &mut Page<'_>, programs: &BTreeMap<String, Statistics>) -> fmt::Result {
    let label = |name: &String| [("program", name.clone())];
    page.gauges(
        "waggle_program_verified_instructions",
        "Instructions that the kernel's verifier processed for the program",
        programs.iter().map(|(name, statistics)| (label(name), whole(statistics.verified))),
    )?;
    // If the kernel has never counted runs, a 0 would be wrong.
    let is_counted = programs.values().any(|statistics| statistics.runs != 0);
    let counted = || programs.iter().filter(|_| is_counted);
    page.counters(
        "waggle_program_runs",
        "Runs of the program while the kernel counted them (sysctl kernel.bpf_stats_enabled)",
        counted().map(|(name, statistics)| (label(name), statistics.runs)),
    )?;
    page.times(
        "waggle_program_run_seconds",
        "Seconds that the counted runs took; the time of a stage is part of the program that it continues",
        counted().map(|(name, statistics)| (label(name), statistics.took.as_secs_f64())),
    )
}
