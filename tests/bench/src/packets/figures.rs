//! The figures of single packets: nanoseconds over an empty program, and their ratios.

use serde_json::{Map, Value};

use super::{FLOWS, Runs};
use crate::{
    figures::rounded,
    stats::{Spread, median},
};

/// The times of packets, ns.
#[derive(Clone, Debug, Default)]
pub struct PacketFigures {
    /// The empty program alone: the cost of the kernel's loop.
    empty: f64,
    /// Over an empty program, by case.
    over_empty: Vec<(String, Spread)>,
}

/// A bar: an upper limit for a figure.
#[derive(Clone, Copy, Debug)]
pub struct Bar {
    /// The bar's key.
    pub key: &'static str,
    /// The figure: the worst one of several cases.
    pub value: f64,
    /// The limit.
    pub most: f64,
    /// The cases that the bar is for.
    pub cases: &'static [&'static str],
}

/// Cases of packets that belong to no Service.
const BYSTANDERS: [&str; 4] = ["bystander_transit", "bystander_ssh", "bystander_kubelet", "bystander_kubelet_data"];

impl PacketFigures {
    /// The figures of all runs' times.
    pub fn new(runs: &Runs) -> Self {
        let over = |name: &str| {
            let (all, made) = (&runs[&format!("{name}/all")], &runs[&format!("{name}/made")]);
            Spread::of(&all.iter().zip(made).map(|(all, made)| all - made).collect::<Vec<_>>())
        };
        let names = runs.keys().filter_map(|key| key.strip_suffix("/all"));
        let over_empty = names.map(|name| (name.to_owned(), over(name))).collect();
        Self { empty: runs.get("empty").map_or(f64::NAN, |values| median(values)), over_empty }
    }

    /// A run of the empty program.
    pub fn empty(&self) -> f64 {
        self.empty
    }

    /// The times of a case beyond those of an empty program, ns.
    pub fn spread(&self, name: &str) -> Option<&Spread> {
        self.over_empty.iter().find(|(known, _)| known == name).map(|(_, spread)| spread)
    }

    /// The median time of a case beyond that of an empty program, ns.
    pub fn over_empty(&self, name: &str) -> f64 {
        self.spread(name).map_or(f64::NAN, |spread| spread.median)
    }

    /// A packet's time ÷ the floor program's, the loop included in both.
    pub fn over_floor(&self, name: &str, flows: u32) -> f64 {
        let time = |name: &str| self.over_empty(name) + self.empty;
        time(&format!("{name}_{flows}")) / time(&format!("floor_{flows}"))
    }

    /// All numbers for the flat object.
    pub fn flat(&self) -> Map<String, Value> {
        let mut numbers = Map::new();
        let mut put = |name: String, value: f64| numbers.insert(format!("xdp_{name}"), rounded(value));
        put("empty_ns".into(), self.empty);
        for (name, spread) in &self.over_empty {
            put(format!("{name}_ns"), spread.median);
            put(format!("{name}_lower_quartile_ns"), spread.lower);
            put(format!("{name}_upper_quartile_ns"), spread.upper);
        }
        for name in ["established", "reply", "new"] {
            for (flows, _) in FLOWS {
                put(format!("{name}_over_floor_{flows}"), self.over_floor(name, flows));
            }
        }
        for bar in self.bars() {
            numbers.insert(bar.key.into(), rounded(bar.value));
            numbers.insert(format!("{}_bar", bar.key), rounded(bar.most));
        }
        numbers
    }

    /// The bars and the figures that they are about.
    pub fn bars(&self) -> Vec<Bar> {
        let worst = BYSTANDERS.map(|name| self.over_empty(name)).into_iter().fold(f64::NAN, f64::max);
        let bar = |key, value, most, cases| Bar { key, value, most, cases };
        // Katran's time over 1,000,000 flows, divided by the floor program's, on one machine (docs/adr/0005).
        let many = |key, flows, cases| bar(key, self.over_floor("established", flows), 0.92, cases);
        vec![
            bar("xdp_established_over_floor", self.over_floor("established", 1), 1.1, &["established_1"]),
            bar("xdp_new_over_floor", self.over_floor("new", 1), 3.5, &["new_1"]),
            bar("xdp_bystander_ns", worst, 12.0, &BYSTANDERS),
            many("xdp_established_over_floor_64000", 64_000, &["established_64000"]),
            many("xdp_established_over_floor_1000000", 1_000_000, &["established_1000000"]),
        ]
    }
}
