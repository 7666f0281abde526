//! Durations by size, as Prometheus counts them.

use std::time::Duration;

/// The upper bounds of kube-proxy's histogram of syncs: from a millisecond on, doubled each time (pkg/proxy/metrics).
const BOUNDS: usize = 15;

/// How many durations there were, by their upper bounds in seconds.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Histogram {
    /// Those up to each bound and above the one before; the last has no bound.
    counts: [u64; BOUNDS + 1],
    /// Their sum in seconds.
    pub sum: f64,
}

impl Histogram {
    /// Counts one.
    pub(super) fn add(&mut self, duration: Duration) {
        let seconds = duration.as_secs_f64();
        let index = (0..BOUNDS).find(|index| seconds <= bound(*index)).unwrap_or(BOUNDS);
        self.counts[index] += 1;
        self.sum += seconds;
    }

    /// The upper bounds, and how many are up to each and above the one before.
    pub fn buckets(&self) -> impl Iterator<Item = (f64, u64)> {
        let bounds = (0..BOUNDS).map(bound).chain([f64::INFINITY]);
        bounds.zip(self.counts)
    }
}

fn bound(index: usize) -> f64 {
    const FIRST: f64 = 0.001;
    FIRST * f64::from(1_u32 << index)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_is_counted_below_the_first_bound_that_it_does_not_pass() {
        let mut histogram = Histogram::default();
        for millis in [0, 1, 2, 3, 16_384, 16_385] {
            histogram.add(Duration::from_millis(millis));
        }
        let counts: Vec<u64> = histogram.buckets().map(|(_, count)| count).collect();
        assert_eq!(counts, [2, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1]);
        assert!((histogram.sum - 32.775).abs() < 1e-9, "{}", histogram.sum);
    }
}
