//! The document with every reason to refuse something: how often it applies, what it means and what to do. Pure.

use std::collections::BTreeMap;

use serde::Serialize;

use super::{look::Look, rates::rounded, services::milliseconds};
use crate::commands::{
    explain::reasons::{ReasonReport, reason},
    get::drops,
};

/// The document.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct RefusalsDocument {
    /// When the maps were read, in milliseconds of Unix time.
    time: u64,
    /// Refusals per second, for all reasons.
    refused: f64,
    /// Likewise of the last looks, the oldest first.
    history: Vec<f64>,
    /// The reasons, rejects first.
    reasons: Vec<ReasonPart>,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
struct ReasonPart {
    #[serde(flatten)]
    report: ReasonReport,
    /// How often it has applied since the maps were made.
    count: u64,
    /// How often per second; absent if that is not known yet.
    rate: Option<f64>,
}

/// Makes the document.
pub(super) fn document(look: &Look) -> RefusalsDocument {
    let has_rates = !look.figures.elapsed.is_zero();
    let rates: BTreeMap<&str, Option<f64>> =
        look.figures.refusals.iter().map(|refusals| (refusals.reason.reason, refusals.rate)).collect();
    let part = |(report, count): (ReasonReport, u64)| {
        // A reason that never applies has no rate of its own.
        let rate = rates.get(report.reason).copied().unwrap_or(has_rates.then_some(0.0));
        ReasonPart { report, count, rate: rate.map(rounded) }
    };
    let rows = drops(&look.sample.counters);
    let reports = rows.into_iter().filter_map(|row| Some((reason(row.reason).ok()?, row.count)));
    RefusalsDocument {
        time: milliseconds(look),
        refused: rounded(look.figures.refused),
        history: look.history.refused().map(rounded).collect(),
        reasons: reports.map(part).collect(),
    }
}
