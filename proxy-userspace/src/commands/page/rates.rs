//! Rates in documents. Pure.

use serde::Serialize;

use crate::commands::top::rates::Rates;

/// What is counted per second, with one digit behind the point.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(super) struct RatesPart {
    /// New connections and UDP flows.
    pub(super) connections: f64,
    /// Translated packets.
    pub(super) packets: f64,
    /// Bytes of these packets.
    pub(super) bytes: f64,
}

impl From<Rates> for RatesPart {
    fn from(rates: Rates) -> Self {
        Self { connections: rounded(rates.connections), packets: rounded(rates.packets), bytes: rounded(rates.bytes) }
    }
}

/// Returns a number with one digit behind the point.
pub(super) fn rounded(value: f64) -> f64 {
    // Adding zero turns a negative zero into zero.
    (value * 10.0).round() / 10.0 + 0.0
}
