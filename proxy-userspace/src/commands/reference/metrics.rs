//! The metrics, as a scrape describes them.

use super::text::{marked, row, titles};
use crate::server::metrics::{
    Part,
    tests::{Metric, metrics},
};

/// Returns the tables of docs/metrics.md by the names that they have there.
pub(super) fn tables() -> Vec<(&'static str, String)> {
    let name = |part| match part {
        Part::KubeProxy => "kube-proxy's metrics",
        Part::Agent => "metrics of the agent",
        Part::Services => "metrics of Services",
        Part::Programs => "metrics of programs",
    };
    Part::ALL.into_iter().map(|part| (name(part), table(&metrics(part)))).collect()
}

fn table(metrics: &[Metric]) -> String {
    let rows = metrics.iter().map(|Metric { name, kind, labels, help }| {
        let labels: Vec<_> = labels.iter().map(|label| format!("`{label}`")).collect();
        row([&format!("`{name}`"), kind, &labels.join(", "), &marked(help)])
    });
    titles(["metric", "type", "labels", "meaning"]) + &rows.collect::<String>()
}
