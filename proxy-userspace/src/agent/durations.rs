//! Histograms of durations, as Prometheus defines them.

use std::time::Duration;

use super::reconcile::PhaseTimes;

/// The upper bounds, in seconds, of kube-proxy's `sync_proxy_rules_duration_seconds`: from 0.001, each twice the one before
/// (pkg/proxy/metrics).
const SYNC: [f64; 15] = geometric(0.001, 2.0);
/// The upper bounds, in seconds, of kube-proxy's `network_programming_duration_seconds`: 0, 0.25 and 0.5, then every second up to
/// 60, every 5 s up to 120, every 30 s up to 300.
const PROGRAMMING: [f64; 81] = programming();
/// The upper bounds, in seconds, for phases of a plan: from ten microseconds, each four times the one before.
const PHASES: [f64; 11] = geometric(0.000_01, 4.0);

/// Numbers of durations by their upper bounds in seconds.
#[derive(Clone, Debug, PartialEq)]
pub struct Histogram {
    bounds: &'static [f64],
    /// Not cumulative: durations above the previous bound and up to this one. The last element has no bound.
    counts: Vec<u64>,
    /// The sum of all durations, in seconds.
    pub sum: f64,
}

/// How long plans and changes have taken.
#[derive(Clone, Debug, PartialEq)]
pub struct Durations {
    /// Plans, from when the agent began to reconcile until all was in force.
    pub plans: Histogram,
    /// Changes of endpoints, from their causes until they were in force: IPv4, then IPv6.
    pub changes: [Histogram; 2],
    /// The phases of plans: model, plan (the difference of two tables) and apply.
    pub phases: [Histogram; 3],
}

impl Default for Durations {
    fn default() -> Self {
        Self {
            plans: Histogram::new(&SYNC),
            changes: std::array::from_fn(|_| Histogram::new(&PROGRAMMING)),
            phases: std::array::from_fn(|_| Histogram::new(&PHASES)),
        }
    }
}

impl Durations {
    /// Counts the phases of one plan.
    pub(super) fn note_phases(&mut self, took: PhaseTimes) {
        for (phase, took) in self.phases.iter_mut().zip([took.model, took.plan, took.apply]) {
            phase.add(took);
        }
    }
}

impl Histogram {
    fn new(bounds: &'static [f64]) -> Self {
        Self { bounds, counts: vec![0; bounds.len() + 1], sum: 0.0 }
    }

    /// Counts one duration.
    pub(super) fn add(&mut self, duration: Duration) {
        let seconds = duration.as_secs_f64();
        self.counts[self.bounds.partition_point(|bound| *bound < seconds)] += 1;
        self.sum += seconds;
    }

    /// Returns each upper bound in seconds, and the number of durations up to it and above the previous bound. Not cumulative.
    pub fn buckets(&self) -> impl Iterator<Item = (f64, u64)> {
        let bounds = self.bounds.iter().copied().chain([f64::INFINITY]);
        bounds.zip(self.counts.iter().copied())
    }
}

const fn geometric<const N: usize>(first: f64, factor: f64) -> [f64; N] {
    let mut bounds = [first; N];
    let mut index = 1;
    while index < N {
        bounds[index] = bounds[index - 1] * factor;
        index += 1;
    }
    bounds
}

const fn programming() -> [f64; 81] {
    let steps = [(0.0, 0.25, 3), (1.0, 1.0, 59), (60.0, 5.0, 12), (120.0, 30.0, 7)];
    let mut bounds = [0.0; 81];
    let (mut at, mut part) = (0, 0);
    while part < steps.len() {
        let (mut bound, step, count) = steps[part];
        let end = at + count;
        while at < end {
            bounds[at] = bound;
            bound += step;
            at += 1;
        }
        part += 1;
    }
    bounds
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_is_counted_below_the_first_bound_that_it_does_not_pass() {
        let mut histogram = Histogram::new(&SYNC);
        for millis in [0, 1, 2, 3, 16_384, 16_385] {
            histogram.add(Duration::from_millis(millis));
        }
        let counts: Vec<u64> = histogram.buckets().map(|(_, count)| count).collect();
        assert_eq!(counts, [2, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1]);
        assert!((histogram.sum - 32.775).abs() < 1e-9, "{}", histogram.sum);
    }

    #[test]
    fn bounds_are_those_of_kube_proxy() {
        let bounds: Vec<f64> = Histogram::new(&PROGRAMMING).buckets().map(|(bound, _)| bound).collect();
        assert_eq!(bounds[..5], [0.0, 0.25, 0.5, 1.0, 2.0]);
        assert_eq!(bounds[60..64], [58.0, 59.0, 60.0, 65.0]);
        assert_eq!(bounds[73..], [115.0, 120.0, 150.0, 180.0, 210.0, 240.0, 270.0, 300.0, f64::INFINITY]);
    }
}
