//! `waggle validate`: reports what in manifests an agent would refuse, and how much it would serve. It reads them with the
//! code of `waggle run --manifests`, but needs no privileges and changes nothing. What depends on the machine (its addresses,
//! what it has allocated before) is left out.

mod finding;
#[cfg(test)]
mod tests;
mod unused;

use std::{collections::BTreeSet, fmt};

use serde::Serialize;

use self::finding::{Finding, Severity};
use crate::{
    commands::{
        cli::{Format, ValidateArgs},
        show,
    },
    config::ExternalIps,
    desired::Table,
    model::{Model, ModelConfig},
    node::host,
    watch::manifests::once::Listing,
};

/// What an agent would make of manifests.
#[derive(Debug, Serialize)]
struct Report {
    /// Whether there is no error.
    valid: bool,
    services: usize,
    frontends: usize,
    backends: usize,
    findings: Vec<Finding>,
}

/// Not everything in the manifests would be served.
#[derive(Debug, thiserror::Error)]
#[error("validate manifests: not all of them would be served as written (see each line that is not a warning)")]
struct Invalid;

/// Prints what is wrong, and a summary. Fails if there are errors; warnings alone are none.
pub fn validate(args: &ValidateArgs) -> anyhow::Result<()> {
    let node_name = host::node_name(args.node_name.as_deref())?;
    let ranges = (args.service_cidr.clone(), args.service_node_port_range.0.clone());
    let listing = Listing::read(&args.paths, ranges, &node_name)?;
    let report = judge(&listing, node_name, args.external_ip_cidrs.clone().unwrap_or_default());
    let text = match args.output {
        Format::Text => report.to_string(),
        Format::Json => serde_json::to_string_pretty(&report)? + "\n",
    };
    show::print(text.as_bytes())?;
    if report.valid { Ok(()) } else { Err(Invalid.into()) }
}

/// Judges manifests as an agent that starts with them.
fn judge(listing: &Listing, node_name: String, external_ips: ExternalIps) -> Report {
    let mut model = Model::new(ModelConfig { node_name, external_ips, ..ModelConfig::default() });
    listing.events().into_iter().for_each(|event| model.apply(event));
    let projection = model.project(&model.all());
    let diagnostics = projection.diagnostics.values().flatten();
    let mut findings: BTreeSet<Finding> = listing.refusals.iter().map(Finding::refused).collect();
    findings.extend(diagnostics.map(|diagnostic| Finding::skipped(diagnostic, listing)));
    findings.extend(unused::find(listing, &projection.table));
    findings.extend((listing.files == 0).then(Finding::nothing));
    let findings = findings.into_iter().collect();
    Report::new(&projection.table, findings)
}

impl Report {
    fn new(table: &Table, findings: Vec<Finding>) -> Self {
        let ports = table.services.values().flat_map(|service| service.ports.values());
        let lists = ports.flat_map(|port| port.lists.values().chain(port.draining.values()));
        let backends: BTreeSet<_> = lists.flatten().collect();
        Self {
            valid: findings.iter().all(|finding| finding.severity != Severity::Error),
            services: table.services.len(),
            frontends: table.services.values().map(|service| service.frontends.len()).sum(),
            backends: backends.len(),
            findings,
        }
    }

    fn count(&self, severity: Severity) -> usize {
        self.findings.iter().filter(|finding| finding.severity == severity).count()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for finding in &self.findings {
            writeln!(f, "{finding}")?;
        }
        let numbers = [(self.services, "Service"), (self.frontends, "frontend"), (self.backends, "backend")];
        let served = numbers.map(|(number, noun)| count(number, noun)).join(", ");
        let (errors, warnings) = (self.count(Severity::Error), self.count(Severity::Warning));
        let verdict = match (errors, warnings) {
            (0, 0) => "nothing is wrong".to_owned(),
            (0, _) => count(warnings, "warning"),
            (_, 0) => count(errors, "error"),
            _ => format!("{}, {}", count(errors, "error"), count(warnings, "warning")),
        };
        writeln!(f, "{served} would be served; {verdict}")
    }
}

/// Formats a number with its noun.
fn count(number: usize, noun: &str) -> String {
    format!("{number} {noun}{}", if number == 1 { "" } else { "s" })
}
