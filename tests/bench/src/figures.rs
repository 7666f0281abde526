//! All outcomes by scenario, the ratios and their bars, and the flat object of numbers.

use serde_json::{Map, Value};

use crate::{
    measure::{Arm, Outcome},
    orders::Work,
    stats::{Spread, median},
};

/// The proxy that translates the connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Proxy {
    /// Waggle's socket hooks.
    Waggle,
    /// The rule set of nftables.
    Nftables,
}

impl Proxy {
    /// The proxy's name in the table.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Waggle => "Waggle",
            Self::Nftables => "nftables",
        }
    }

    /// The end of the proxy's keys.
    const fn suffix(self) -> &'static str {
        match self {
            Self::Waggle => "",
            Self::Nftables => "_nftables",
        }
    }
}

impl Work {
    /// The beginning of the work's keys.
    pub const fn key(self) -> &'static str {
        match self {
            Self::Connect => "connect",
            Self::Turn => "turn",
            Self::Throughput => "throughput",
            Self::UdpConnected => "udp_connected_turn",
            Self::UdpUnconnected => "udp_unconnected_turn",
        }
    }

    /// The work in the table, with its unit.
    pub const fn title(self) -> &'static str {
        match self {
            Self::Connect => "TCP connect, µs",
            Self::Turn => "TCP turns/s",
            Self::Throughput => "TCP bulk, MiB/s",
            Self::UdpConnected => "UDP connected, turns/s",
            Self::UdpUnconnected => "UDP unconnected, turns/s",
        }
    }

    /// The work in the keys of its raw figures.
    const fn unit(self) -> &'static str {
        match self {
            Self::Connect => "us",
            Self::Throughput => "mib_per_second",
            Self::Turn | Self::UdpConnected | Self::UdpUnconnected => "per_second",
        }
    }

    /// Whether `ratio` reaches the work's bar; `None` without a bar.
    pub fn reaches_bar(self, ratio: f64) -> Option<bool> {
        match self {
            Self::Connect => Some(ratio <= 1.01),
            Self::Turn | Self::Throughput => Some(ratio >= 0.99),
            Self::UdpConnected | Self::UdpUnconnected => None,
        }
    }

    /// The bar in words.
    pub const fn bar(self) -> &'static str {
        match self {
            Self::Connect => "≤ 1.01",
            Self::Turn | Self::Throughput => "≥ 0.99",
            Self::UdpConnected | Self::UdpUnconnected => "",
        }
    }
}

/// The measurements of one scenario.
#[derive(Clone, Debug)]
pub struct Measured {
    /// The proxy that translated the connections.
    pub proxy: Proxy,
    /// The number of Services.
    pub services: u32,
    /// The outcomes, one for each kind of work.
    pub outcome: Outcome,
}

/// The outcomes of all scenarios.
#[derive(Clone, Debug, Default)]
pub struct Figures {
    measured: Vec<Measured>,
}

impl Figures {
    /// Adds a scenario.
    pub fn add(&mut self, proxy: Proxy, services: u32, outcomes: Vec<Outcome>) {
        self.measured.extend(outcomes.into_iter().map(|outcome| Measured { proxy, services, outcome }));
    }

    /// The outcomes by kind of work, then in the order in which they were added.
    pub fn rows(&self) -> Vec<&Measured> {
        let mut rows: Vec<_> = self.measured.iter().collect();
        rows.sort_by_key(|row| row.outcome.work);
        rows
    }

    /// Median connect through the ClusterIP with each proxy, µs, in the scenarios with the most Services.
    pub fn connects(&self) -> Option<[f64; 2]> {
        let last = |proxy| {
            let mut rows = self.measured.iter().filter(|row| row.proxy == proxy && row.outcome.work == Work::Connect);
            rows.next_back().map(|row| row.outcome.figure(&row.outcome.through))
        };
        Some([last(Proxy::Waggle)?, last(Proxy::Nftables)?])
    }

    /// All numbers as one flat object. Ratios carry the number of Services; numbers without it are from the last
    /// scenario of their proxy, the one with the most Services.
    pub fn flat(&self) -> Map<String, Value> {
        let mut numbers = Map::new();
        for Measured { proxy, services, outcome } in &self.measured {
            let (key, suffix) = (outcome.work.key(), proxy.suffix());
            let mut put = |name: String, value: f64| numbers.insert(format!("{key}_{name}{suffix}"), rounded(value));
            let Spread { lower, median, upper } = outcome.spread();
            put(format!("ratio_{services}"), median);
            put(format!("ratio_lower_quartile_{services}"), lower);
            put(format!("ratio_upper_quartile_{services}"), upper);
            put(format!("ratio_of_medians_{services}"), outcome.ratio_of_medians());
            if outcome.work != Work::Connect {
                put("ratio".into(), outcome.ratio());
            }
            for (arm, name) in [(&outcome.direct, "direct"), (&outcome.through, "through")] {
                for (figure, value) in raw(outcome, arm) {
                    put(figure.replace("ARM", name) + &format!("_{services}"), value);
                }
            }
        }
        numbers
    }
}

/// Name and value of each raw figure of one side.
fn raw(outcome: &Outcome, arm: &Arm) -> [(String, f64); 3] {
    [
        (format!("median_ARM_{}", outcome.work.unit()), outcome.figure(arm)),
        ("p99_ARM_us".into(), arm.p99()),
        // For transfers the unit is MiB.
        ("ARM_per_second".into(), median(&arm.rates)),
    ]
}

/// Rounds to four digits after the point: more are noise.
pub fn rounded(value: f64) -> Value {
    ((value * 1e4).round() / 1e4).into()
}

#[cfg(test)]
pub mod tests {
    use super::*;
    use crate::measure::tests::outcome;

    /// Two scenarios with two kinds of work.
    pub fn figures() -> Figures {
        let mut figures = Figures::default();
        let outcomes = |factor| {
            vec![
                outcome(Work::Connect, &[10.0, 11.0, 12.0], factor),
                outcome(Work::Turn, &[500.0, 1000.0, 2000.0], 1.0),
            ]
        };
        figures.add(Proxy::Waggle, 1, outcomes(1.02));
        figures.add(Proxy::Nftables, 10_000, outcomes(1.5));
        figures
    }

    #[test]
    fn keys_are_flat_and_named_by_scenario() {
        let flat = figures().flat();
        for (key, value) in [
            ("connect_ratio_1", 1.02),
            ("connect_ratio_10000_nftables", 1.5),
            ("turn_ratio", 1.0),
            ("turn_ratio_nftables", 1.0),
            ("connect_median_direct_us_1", 11.0),
            ("turn_median_through_per_second_1", 1000.0),
        ] {
            assert_eq!(flat[key], value, "{key}");
        }
        assert!(flat.values().all(|value| value.is_number() || value.is_null()));
    }

    #[test]
    fn both_proxies_connects_are_compared() {
        let [waggle, nftables] = figures().connects().unwrap();
        assert!((waggle - 11.22).abs() < 1e-9 && (nftables - 16.5).abs() < 1e-9, "{waggle} {nftables}");
        assert_eq!(Figures::default().connects(), None);
    }

    #[test]
    fn bars_are_those_of_the_design() {
        assert_eq!(Work::Connect.reaches_bar(1.011), Some(false));
        assert_eq!(Work::Connect.reaches_bar(0.99), Some(true));
        assert_eq!(Work::Turn.reaches_bar(0.98), Some(false));
        assert_eq!(Work::UdpConnected.reaches_bar(0.5), None);
    }
}
