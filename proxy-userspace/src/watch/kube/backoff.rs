//! Pauses between retries: short at first, doubling, never quite the same on two nodes.

use std::time::Duration;

/// Gives the next pause.
#[derive(Debug)]
pub(super) struct BackOff {
    first: Duration,
    longest: Duration,
    failures: u32,
}

impl BackOff {
    pub(super) fn new(first: Duration, longest: Duration) -> Self {
        Self { first, longest, failures: 0 }
    }

    /// Begins again with the first pause.
    pub(super) fn reset(&mut self) {
        self.failures = 0;
    }

    /// The pause after one more failure: between a half and the whole of its place in the doubling series.
    pub(super) fn next(&mut self) -> Duration {
        let doubled = 2_u32.saturating_pow(self.failures.min(31));
        let whole = self.first.saturating_mul(doubled).min(self.longest);
        self.failures = self.failures.saturating_add(1);
        whole.mul_f64(0.5 + fastrand::f64() / 2.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn s30_pauses_double_up_to_the_longest_and_begin_again() {
        let mut backoff = BackOff::new(Duration::from_millis(100), Duration::from_secs(30));
        for failure in 0..100_u32 {
            let whole = Duration::from_millis(100 * 2_u64.pow(failure.min(20))).min(Duration::from_secs(30));
            let pause = backoff.next();
            assert!(pause >= whole / 2 && pause <= whole, "{failure}: {pause:?}");
        }
        backoff.reset();
        assert!(backoff.next() <= Duration::from_millis(100));
    }
}
