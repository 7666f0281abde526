//! The figures as rows: what was measured, with how many Services, and the bar.

use std::time::Duration;

use serde_json::{Map, Value};

use super::Size;
use crate::{figures::rounded, stats::quantile};

/// The largest allowed ratio of the longest to the shortest processor time of a change.
pub const ALLOWED_RATIO: f64 = 1.2;

/// The mean processor time of a change in a block of changes, and in the block of the reference that followed it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Costs {
    /// Of the agent that is measured.
    pub own: Duration,
    /// Of the agent with few Services.
    pub reference: Duration,
}

/// The measurements while other slices changed.
#[derive(Clone, Debug)]
pub struct Churn {
    /// Times from a change until a new connection obeyed it.
    pub times: Vec<Duration>,
    /// The part of one processor that the agent used.
    pub busy: f64,
    /// Other changes per second.
    pub rate: f64,
}

/// Everything that was measured.
#[derive(Clone, Debug, Default)]
pub struct ScaleFigures {
    /// Times from a change until a new connection obeyed it, while nothing else changed.
    pub quiet: Vec<Duration>,
    /// The measurements while other slices changed.
    pub churn: Option<Churn>,
    /// The processor time of a change, by size.
    pub costs: Vec<(Size, Vec<Costs>)>,
    /// The agent's start until it served, and what a plain client needed for the lists.
    pub start: Option<(Duration, Duration)>,
    /// Anonymous memory in bytes, by size.
    pub memory: Vec<(Size, u64)>,
    /// How much memory reading all lists again adds at its peak, as a part of the anonymous memory.
    pub relist: Option<f64>,
    /// The part of one processor that an agent at rest uses, with many Services.
    pub rest: Option<f64>,
    /// The part of one processor that an agent at rest uses, with few Services.
    pub idle_rest: Option<f64>,
    /// Memory of an idle node's maps in bytes.
    pub idle_maps: Option<u64>,
}

/// A figure in the table and in the numbers.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// The figure in the table, with its unit.
    pub title: &'static str,
    /// The number of Services; `None` where it is about several.
    pub services: Option<u32>,
    /// Its key among the numbers.
    pub key: String,
    /// The figure.
    pub value: f64,
    /// The upper limit.
    pub bar: Option<f64>,
}

impl Row {
    fn new(title: &'static str, key: &str, value: f64) -> Self {
        Self { title, services: None, key: format!("scale_{key}"), value, bar: None }
    }

    const fn of(mut self, size: Size) -> Self {
        self.services = Some(size.services);
        self
    }

    const fn at_most(mut self, bar: f64) -> Self {
        self.bar = Some(bar);
        self
    }
}

impl ScaleFigures {
    /// All figures. `idle`, `small` and `large`: the sizes that bars are about.
    pub fn rows(&self, [idle, small, large]: [Size; 3]) -> Vec<Row> {
        let mut rows = self.effects(large);
        rows.extend(self.change_costs());
        rows.extend(self.starts(large));
        rows.extend(self.memories(small, large));
        let relist = self.relist.map(|part| part * 100.0);
        let relisted = |value| Row::new("  peak of a relist, % more", "relist_percent", value).of(large).at_most(20.0);
        rows.extend(relist.map(relisted));
        let rest = |key, value: Option<f64>, size| {
            value.map(|value| Row::new("at rest, % of a processor", key, value * 100.0).of(size).at_most(0.1))
        };
        rows.extend(rest("rest_percent_idle", self.idle_rest, idle));
        rows.extend(rest("rest_percent", self.rest, large));
        let maps = self.idle_maps.map(mebibytes);
        rows.extend(maps.map(|value| Row::new("idle node's maps, MiB", "idle_maps_mib", value).of(idle).at_most(24.0)));
        rows
    }

    fn effects(&self, large: Size) -> Vec<Row> {
        let row = |title, key, times: &[Duration], q, bar| {
            let row = Row::new(title, key, quantile(&milliseconds(times), q)).of(large);
            if bar > 0.0 { row.at_most(bar) } else { row }
        };
        let mut rows = Vec::new();
        if !self.quiet.is_empty() {
            rows.extend([
                row("change → effect, ms: p50", "effect_ms_p50", &self.quiet, 0.5, 1.0),
                row("change → effect, ms: p99", "effect_ms_p99", &self.quiet, 0.99, 3.0),
                row("change → effect, ms: longest", "effect_ms_longest", &self.quiet, 1.0, 0.0),
            ]);
        }
        if let Some(churn) = &self.churn {
            rows.extend([
                row("while others change, ms: p50", "churn_effect_ms_p50", &churn.times, 0.5, 5.0),
                row("while others change, ms: p99", "churn_effect_ms_p99", &churn.times, 0.99, 20.0),
                row("while others change, ms: longest", "churn_effect_ms_longest", &churn.times, 1.0, 0.0),
                Row::new("while others change, % of a processor", "churn_percent", churn.busy * 100.0)
                    .of(large)
                    .at_most(35.0),
                Row::new("changes of others/s", "churn_per_second", churn.rate).of(large),
            ]);
        }
        rows
    }

    /// Processor times, each as a multiple of the reference's, and the largest of these ÷ the smallest.
    fn change_costs(&self) -> Vec<Row> {
        let median = |values: Vec<f64>| quantile(&values, 0.5);
        let micros = |blocks: &[Costs]| median(blocks.iter().map(|block| block.own.as_secs_f64() * 1e6).collect());
        let relative = |blocks: &[Costs]| {
            median(blocks.iter().map(|block| block.own.as_secs_f64() / block.reference.as_secs_f64()).collect())
        };
        let rows = |title, key: &str, figure: &dyn Fn(&[Costs]) -> f64| -> Vec<Row> {
            let row =
                |size: Size, blocks| Row::new(title, &format!("{key}_{}", size.services), figure(blocks)).of(size);
            self.costs.iter().map(|(size, blocks)| row(*size, blocks)).collect()
        };
        let relatives = rows("  ÷ that with few Services, in turns", "change_cpu_relative", &relative);
        let values = || relatives.iter().map(|row| row.value);
        let ratio = values().reduce(f64::max).zip(values().reduce(f64::min)).map(|(most, least)| most / least);
        let ratio = ratio.filter(|_| relatives.len() > 1);
        let ratio = ratio.map(|ratio| Row::new("  most ÷ least", "change_cpu_ratio", ratio).at_most(ALLOWED_RATIO));
        let times = rows("a change's processor time, µs", "change_cpu_us", &micros);
        times.into_iter().chain(relatives).chain(ratio).collect()
    }

    fn starts(&self, large: Size) -> Vec<Row> {
        let Some((agent, lists)) = self.start else { return Vec::new() };
        let [agent, lists] = [agent, lists].map(|time| time.as_secs_f64());
        vec![
            Row::new("start until it serves, s", "start_s", agent).of(large),
            Row::new("  a plain client reads the lists, s", "lists_s", lists).of(large),
            Row::new("  beyond the lists, s", "start_beyond_lists_s", agent - lists).of(large).at_most(1.0),
        ]
    }

    fn memories(&self, small: Size, large: Size) -> Vec<Row> {
        let row = |(size, bytes): &(Size, u64)| {
            let key = format!("anonymous_mib_{}", size.services);
            let row = Row::new("anonymous memory, MiB", &key, mebibytes(*bytes)).of(*size);
            match *size {
                size if size == small => row.at_most(12.0),
                size if size == large => row.at_most(40.0),
                _ => row,
            }
        };
        self.memory.iter().map(row).collect()
    }
}

/// All rows as flat numbers.
pub fn flat(rows: &[Row]) -> Map<String, Value> {
    let mut numbers = Map::new();
    for row in rows {
        numbers.insert(row.key.clone(), rounded(row.value));
        if let Some(bar) = row.bar {
            numbers.insert(format!("{}_bar", row.key), rounded(bar));
        }
        if let Some(services) = row.services {
            numbers.insert(format!("{}_services", row.key), services.into());
        }
    }
    numbers
}

fn milliseconds(times: &[Duration]) -> Vec<f64> {
    times.iter().map(|time| time.as_secs_f64() * 1e3).collect()
}

#[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
fn mebibytes(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}

#[cfg(test)]
pub mod tests {
    use super::*;

    /// The sizes that bars are about.
    pub const SIZES: [Size; 3] = [size(10), size(1_000), size(10_000)];

    const fn size(services: u32) -> Size {
        Size { services, endpoints: 10 }
    }

    /// Figures of everything.
    pub fn figures() -> ScaleFigures {
        let ms = Duration::from_millis;
        let costs = |own, reference| Costs { own: ms(own), reference: ms(reference) };
        let [idle, small, large] = SIZES;
        ScaleFigures {
            quiet: vec![ms(1), ms(1), ms(40)],
            churn: Some(Churn { times: vec![ms(4)], busy: 0.36, rate: 499.0 }),
            costs: vec![
                (small, vec![costs(1, 1)]),
                (large, vec![costs(1, 1), costs(2, 1), costs(4, 2)]),
                (idle, vec![costs(3, 1)]),
            ],
            start: Some((ms(2_500), ms(1_600))),
            memory: vec![(small, 13 << 20), (large, 40 << 20)],
            relist: Some(0.19),
            rest: Some(0.0009),
            idle_rest: Some(0.002),
            idle_maps: Some(23 << 20),
        }
    }

    #[test]
    fn every_bar_has_its_figure() {
        let numbers = flat(&figures().rows(SIZES));
        for (key, value, bar) in [
            ("effect_ms_p50", 1.0, 1.0),
            ("effect_ms_p99", 39.22, 3.0),
            ("churn_effect_ms_p50", 4.0, 5.0),
            ("churn_effect_ms_p99", 4.0, 20.0),
            ("churn_percent", 36.0, 35.0),
            ("change_cpu_ratio", 3.0, 1.2),
            ("start_beyond_lists_s", 0.9, 1.0),
            ("anonymous_mib_1000", 13.0, 12.0),
            ("anonymous_mib_10000", 40.0, 40.0),
            ("relist_percent", 19.0, 20.0),
            ("rest_percent_idle", 0.2, 0.1),
            ("rest_percent", 0.09, 0.1),
            ("idle_maps_mib", 23.0, 24.0),
        ] {
            assert_eq!(numbers[&format!("scale_{key}")], value, "{key}");
            assert_eq!(numbers[&format!("scale_{key}_bar")], bar, "{key}");
        }
        assert_eq!(numbers["scale_change_cpu_us_10000"], 2000.0);
        assert_eq!(numbers["scale_change_cpu_relative_10000"], 2.0);
        assert_eq!(numbers.keys().filter(|key| key.ends_with("_bar")).count(), 13);
    }

    #[test]
    fn what_was_not_measured_has_no_row() {
        assert_eq!(ScaleFigures::default().rows(SIZES), []);
    }
}
