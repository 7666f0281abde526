//! Exponential pauses between retries, with jitter so that nodes rarely retry together.

use std::time::Duration;

use backon::{BackoffBuilder as _, ExponentialBackoff, ExponentialBuilder};

/// A series of pauses.
#[derive(Debug)]
pub(super) struct BackOff {
    builder: ExponentialBuilder,
    pauses: ExponentialBackoff,
}

impl BackOff {
    /// Makes a series whose first pause is at most `first` long, and no pause is longer than `longest`.
    pub(super) fn new(first: Duration, longest: Duration) -> Self {
        // backon adds a jitter of up to the delay itself, so its delays are half of ours.
        let delays = ExponentialBuilder::new().with_min_delay(first / 2).with_max_delay(longest / 2);
        let builder = delays.without_max_times().with_jitter();
        Self { builder, pauses: builder.build() }
    }

    /// Restarts the series with the first pause.
    pub(super) fn reset(&mut self) {
        self.pauses = self.builder.build();
    }

    /// Returns the pause after another failure: between half and all of the value in the doubling series.
    pub(super) fn next(&mut self) -> Duration {
        self.pauses.next().expect("the series has no end")
    }
}

/// Returns a random time between three quarters and all of `whole`, so that nodes that started together drift apart.
pub(super) fn jittered(whole: Duration) -> Duration {
    whole.mul_f64(0.75 + fastrand::f64() / 4.0)
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
