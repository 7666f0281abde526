//! Which Services are shown and counted in the totals: by names, namespace and labels. Pure.

use http::HeaderValue;

use super::sample::Sample;
use crate::commands::{
    cli::TopArgs,
    fetch_labels::ReportedLabels,
    get::{LabelSelector, ServicePort, service_ports},
    service_filter::{OtherNamespace, ServiceFilter, UnknownService},
};

/// The chosen Services; by default every one.
#[derive(Clone, Debug, Default)]
pub struct Chosen {
    /// By names and namespace.
    filter: Option<ServiceFilter>,
    /// By labels. Both must hold.
    selector: LabelSelector,
    /// The labels that the agent has reported last.
    reported: ReportedLabels,
}

impl Chosen {
    /// Returns what a command line chooses. No labels are known yet.
    pub fn new(args: &TopArgs) -> Result<Self, OtherNamespace> {
        Ok(Self {
            filter: ServiceFilter::new(&args.services, args.namespace.as_deref())?,
            selector: args.selector.clone().unwrap_or_default(),
            reported: ReportedLabels::default(),
        })
    }

    /// Checks that a sample has every Service that is chosen by its name.
    pub fn check(&self, sample: &Sample) -> Result<(), UnknownService> {
        let Some(filter) = &self.filter else { return Ok(()) };
        let ports = service_ports(&sample.snapshot);
        let names: Vec<_> = ports.keys().map(|port| (port.namespace.as_str(), port.name.as_str())).collect();
        filter.check(&names)
    }

    /// Whether labels decide which Services are chosen.
    pub fn needs_labels(&self) -> bool {
        !self.selector.selects_all()
    }

    /// Takes the labels that the agent reports.
    pub fn set_labels(&mut self, reported: ReportedLabels) {
        self.reported = reported;
    }

    /// Returns the agent's tag for the labels that it has reported last.
    pub fn tag(&self) -> Option<HeaderValue> {
        self.reported.tag.clone()
    }

    /// Whether a port's Service is chosen.
    pub fn has(&self, port: &ServicePort) -> bool {
        let is_named = |filter: &ServiceFilter| filter.wants(&port.namespace, &port.name);
        self.filter.as_ref().is_none_or(is_named) && self.reported.known.selects_port(&self.selector, port)
    }
}
