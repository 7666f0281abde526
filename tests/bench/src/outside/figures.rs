//! The figures of clients outside, as numbers and as a table.

use serde_json::{Map, Value};

use super::{Flooded, Measured, Way};
use crate::{
    figures::rounded,
    grid::{Grid, number},
    stats::{Spread, median},
};

/// The bar: Waggle by XDP forwards this many times the packets of the rule set.
const BAR: f64 = 3.0;

/// The outcomes of all ways.
#[derive(Clone, Debug)]
pub struct OutsideFigures {
    /// Packets that are dropped on arrival.
    pub dropped: Measured,
    /// Connections to the backend's own address.
    pub direct: Measured,
    /// The outcomes of each way that forwards.
    pub ways: Vec<Measured>,
}

impl Measured {
    pub(super) fn flooded(&self, value: impl Fn(&Flooded) -> f64) -> Spread {
        Spread::of(&self.floods.iter().map(value).collect::<Vec<_>>())
    }

    /// Packets per second ÷ those of another way: the median of the ratios of neighbouring floods.
    fn over(&self, other: &Self) -> Spread {
        let pairs = self.floods.iter().zip(&other.floods);
        Spread::of(&pairs.map(|(one, other)| one.per_second / other.per_second).collect::<Vec<_>>())
    }

    /// The end of the way's keys.
    fn suffix(&self) -> String {
        match self.way {
            Way::Drop => "dropped".into(),
            Way::Xdp => "xdp".into(),
            Way::Tc => "tc".into(),
            Way::Nftables => format!("nftables_{}", self.services),
        }
    }

    /// The way's name in the table.
    pub(super) const fn title(&self) -> &'static str {
        match self.way {
            Way::Drop => "dropped on arrival",
            Way::Xdp => "Waggle, XDP",
            Way::Tc => "Waggle, TC",
            Way::Nftables => "nftables",
        }
    }
}

impl OutsideFigures {
    /// The rule set with the most Services.
    fn rules(&self) -> Option<&Measured> {
        self.ways.iter().rev().find(|measured| measured.way == Way::Nftables)
    }

    /// The time of the node's processor for a packet, beyond receiving and dropping it, ns.
    fn over_arrival(&self, measured: &Measured) -> f64 {
        let median = |measured: &Measured| measured.flooded(|flooded| flooded.cpu_ns).median;
        median(measured) - median(&self.dropped)
    }

    fn ratio(&self, measured: &Measured) -> Option<Spread> {
        self.rules().map(|rules| measured.over(rules))
    }

    /// All numbers as one flat object.
    pub fn flat(&self) -> Map<String, Value> {
        let mut numbers = Map::new();
        let mut put = |key: String, value: f64| numbers.insert(key, rounded(value));
        for measured in self.ways.iter().chain([&self.dropped]) {
            let suffix = measured.suffix();
            let Spread { lower, median, upper } = measured.flooded(|flooded| flooded.per_second);
            put(format!("nodeport_pps_{suffix}"), median);
            put(format!("nodeport_pps_lower_quartile_{suffix}"), lower);
            put(format!("nodeport_pps_upper_quartile_{suffix}"), upper);
            put(format!("nodeport_cpu_ns_per_packet_{suffix}"), measured.flooded(|flooded| flooded.cpu_ns).median);
            put(format!("nodeport_cpu_ns_over_arrival_{suffix}"), self.over_arrival(measured));
            put(format!("nodeport_cpu_busy_{suffix}"), measured.flooded(|flooded| flooded.busy).median);
        }
        let named = self.ways.iter().map(|measured| (measured.suffix(), measured));
        for (suffix, measured) in named.chain([("direct".into(), &self.direct)]) {
            put(format!("outside_connects_per_second_{suffix}"), median(&measured.connects));
            put(format!("outside_mib_per_second_{suffix}"), median(&measured.bulk));
        }
        for (way, end) in [(Way::Xdp, ""), (Way::Tc, "_tc")] {
            let found = self.ways.iter().find(|measured| measured.way == way);
            if let Some(ratio) = found.and_then(|measured| self.ratio(measured)) {
                put(format!("nodeport_pps_ratio_nftables{end}"), ratio.median);
            }
        }
        put("nodeport_pps_ratio_nftables_bar".into(), BAR);
        numbers
    }

    /// The table.
    pub fn table(&self, markdown: bool) -> String {
        let mut grid = Grid::new(&[
            ("node port → remote backend", false),
            ("Services", true),
            ("packets/s", true),
            ("quartiles", true),
            ("CPU ns/packet", true),
            ("over arrival", true),
            ("busy", true),
            ("÷ nftables", true),
            ("bar", false),
            ("connects/s", true),
            ("MiB/s", true),
        ]);
        for measured in [&self.dropped].into_iter().chain(&self.ways) {
            grid.push(self.row(measured));
        }
        let [connects, bulk] = [&self.direct.connects, &self.direct.bulk].map(|values| number(median(values)));
        let none = [const { String::new() }; 8];
        grid.push(["backend's own address".into()].into_iter().chain(none).chain([connects, bulk]));
        grid.text(markdown)
    }

    fn row(&self, measured: &Measured) -> [String; 11] {
        let per_second = measured.flooded(|flooded| flooded.per_second);
        let ratio = self.ratio(measured).filter(|_| measured.way != Way::Drop).map(|ratio| ratio.median);
        let over =
            if measured.way == Way::Drop { String::new() } else { format!("{:.0}", self.over_arrival(measured)) };
        let services = if measured.services == 0 { String::new() } else { measured.services.to_string() };
        [
            measured.title().into(),
            services,
            number(per_second.median),
            format!("{:.0}–{:.0}", per_second.lower, per_second.upper),
            format!("{:.0}", measured.flooded(|flooded| flooded.cpu_ns).median),
            over,
            format!("{:.0} %", measured.flooded(|flooded| flooded.busy).median * 100.0),
            ratio.map_or_else(String::new, |ratio| format!("{ratio:.2}")),
            bar(measured.way, ratio),
            number(median(&measured.connects)),
            number(median(&measured.bulk)),
        ]
    }
}

/// The bar and whether it was reached; only XDP has one.
fn bar(way: Way, ratio: Option<f64>) -> String {
    match (way, ratio) {
        (Way::Xdp, Some(ratio)) => format!("≥ {BAR} {}", if ratio >= BAR { "ok" } else { "missed" }),
        _ => String::new(),
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub fn figures() -> OutsideFigures {
        let measured = |way, services, rates: [f64; 3]| Measured {
            way,
            services,
            floods: rates.map(|per_second| Flooded { per_second, cpu_ns: 1e9 / per_second, busy: 1.0 }).into(),
            connects: vec![10_000.0],
            bulk: vec![500.0],
        };
        OutsideFigures {
            dropped: measured(Way::Drop, 0, [5e6; 3]),
            direct: measured(Way::Xdp, 10, [0.0; 3]),
            ways: vec![
                measured(Way::Xdp, 10, [4e6, 2e6, 3e6]),
                measured(Way::Tc, 10, [1e6; 3]),
                measured(Way::Nftables, 1, [2e6; 3]),
                measured(Way::Nftables, 10, [1e6, 0.4e6, 1e6]),
            ],
        }
    }

    #[test]
    fn ratios_are_of_neighbouring_floods_to_the_larger_rule_set() {
        let flat = figures().flat();
        for (key, value) in [
            ("nodeport_pps_ratio_nftables", 4.0),
            ("nodeport_pps_ratio_nftables_tc", 1.0),
            ("nodeport_pps_ratio_nftables_bar", 3.0),
            ("nodeport_pps_nftables_1", 2e6),
            ("nodeport_cpu_ns_per_packet_dropped", 200.0),
            ("outside_connects_per_second_direct", 10_000.0),
        ] {
            assert_eq!(flat[key], value, "{key}");
        }
    }

    #[test]
    fn without_the_rule_set_nothing_is_compared() {
        let mut figures = figures();
        figures.ways.truncate(2);
        assert!(!figures.flat().contains_key("nodeport_pps_ratio_nftables"));
        assert!(!figures.table(false).contains('≥'));
    }

    #[test]
    fn the_bar_is_of_xdp() {
        let table = figures().table(false);
        let lines: Vec<_> = table.lines().collect();
        assert!(lines[2].contains("4.00  ≥ 3 ok"), "{table}");
        assert!(!lines[3].contains('≥'), "{table}");
    }
}
