//! One frame for programs: what `-o json` and `-o yaml` print. Names and meanings of the fields are stable. Pure.

use serde::Serialize;

use super::rates::{Figures, PortRates, Rates, Refusals};
use crate::commands::get::ServicePort;

/// The rates between two looks.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Frame<'a> {
    /// The time between the looks, in seconds.
    elapsed_seconds: f64,
    /// The sums of all services.
    total: RatesPart,
    /// The ports of the chosen Services, by their names.
    services: Vec<ServicePart<'a>>,
    /// How many calls and packets were refused per second, for all reasons.
    refused_per_second: f64,
    /// The reasons that have applied at least once.
    refusals: Vec<RefusalPart>,
}

/// What is counted for all services, per second.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[expect(clippy::struct_field_names, reason = "these are names in JSON, which say the unit")]
struct RatesPart {
    connections_per_second: f64,
    packets_per_second: f64,
    bytes_per_second: f64,
}

/// A service port.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
struct ServicePart<'a> {
    #[serde(flatten)]
    port: &'a ServicePort,
    /// The rates; `None` if the counters have begun between the looks.
    connections_per_second: Option<f64>,
    packets_per_second: Option<f64>,
    bytes_per_second: Option<f64>,
    /// Connections and UDP flows since the port got its id.
    connections: u64,
}

/// A reason to refuse.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
struct RefusalPart {
    verdict: &'static str,
    reason: &'static str,
    /// `None` if its counter has begun again between the looks.
    refused_per_second: Option<f64>,
    /// How often since the maps were made.
    count: u64,
}

impl<'a> From<&'a Figures> for Frame<'a> {
    fn from(figures: &'a Figures) -> Self {
        Self {
            elapsed_seconds: figures.elapsed.as_secs_f64(),
            total: figures.total.into(),
            services: figures.ports.iter().map(ServicePart::from).collect(),
            refused_per_second: figures.refused,
            refusals: figures.refusals.iter().map(RefusalPart::from).collect(),
        }
    }
}

impl From<Rates> for RatesPart {
    fn from(rates: Rates) -> Self {
        Self {
            connections_per_second: rates.connections,
            packets_per_second: rates.packets,
            bytes_per_second: rates.bytes,
        }
    }
}

impl<'a> From<&'a PortRates> for ServicePart<'a> {
    fn from(rates: &'a PortRates) -> Self {
        let PortRates { port, rates, connections } = rates;
        Self {
            port,
            connections_per_second: rates.map(|rates| rates.connections),
            packets_per_second: rates.map(|rates| rates.packets),
            bytes_per_second: rates.map(|rates| rates.bytes),
            connections: *connections,
        }
    }
}

impl From<&Refusals> for RefusalPart {
    fn from(refusals: &Refusals) -> Self {
        let reason = &refusals.reason;
        Self { verdict: reason.verdict, reason: reason.reason, refused_per_second: refusals.rate, count: reason.count }
    }
}
