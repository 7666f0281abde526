//! When to retry what a full map or the kernel has refused, while no event changes it. Pure: the caller passes the time.

use std::time::Duration;

use tokio::time::Instant;

/// The pause before the first retry, and before the next one after a change.
const FIRST: Duration = Duration::from_secs(1);
/// The longest pause that doubling leads to.
const LAST: Duration = Duration::from_secs(30);
/// A pause is at least this many times as long as the last try took, so that retries of tens of thousands of Services take less
/// than a twentieth of a CPU.
const REST: u32 = 20;

/// The pauses between retries. They double, up to [`LAST`], until something changes.
#[derive(Debug)]
pub(super) struct Retry {
    pause: Duration,
    rest: Duration,
    due: Instant,
}

impl Retry {
    /// Returns the state before the first retry, which is due one second after `now`.
    pub(super) fn new(now: Instant) -> Self {
        Self { pause: FIRST, rest: Duration::ZERO, due: now + FIRST }
    }

    /// Returns when to retry.
    pub(super) const fn due(&self) -> Instant {
        self.due
    }

    /// To be called after a retry of all that was refused. `took` is how long it took.
    pub(super) fn tried(&mut self, now: Instant, took: Duration) {
        self.rest = took * REST;
        self.due = now + self.pause.max(self.rest);
        self.pause = (self.pause * 2).min(LAST);
    }

    /// To be called when something has changed, since maps may have room now. The next retry is never delayed by it.
    pub(super) fn changed(&mut self, now: Instant) {
        self.pause = FIRST;
        self.due = self.due.min(now + FIRST.max(self.rest));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOMENT: Duration = Duration::from_millis(1);

    /// Returns the pauses, in seconds, after `count` retries in a row.
    fn pauses(retry: &mut Retry, took: Duration, count: usize) -> Vec<u64> {
        let pause = |_| {
            let now = retry.due();
            retry.tried(now, took);
            (retry.due() - now).as_secs()
        };
        (0..count).map(pause).collect()
    }

    #[test]
    fn pauses_become_longer_until_something_changes() {
        let mut retry = Retry::new(Instant::now());
        assert_eq!(pauses(&mut retry, MOMENT, 7), [1, 2, 4, 8, 16, 30, 30]);
        let now = retry.due() - Duration::from_secs(25);
        retry.changed(now);
        assert_eq!(retry.due() - now, FIRST);
        assert_eq!(pauses(&mut retry, MOMENT, 2), [1, 2]);
    }

    #[test]
    fn constant_change_does_not_put_a_try_off() {
        let mut retry = Retry::new(Instant::now());
        let due = retry.due();
        for number in 0..900 {
            retry.changed(due - FIRST + MOMENT * number);
        }
        assert_eq!(retry.due(), due);
    }

    #[test]
    fn tries_that_take_long_are_rare() {
        let mut retry = Retry::new(Instant::now());
        let took = Duration::from_millis(500);
        assert_eq!(pauses(&mut retry, took, 6), [10, 10, 10, 10, 16, 30]);
        let now = retry.due() - Duration::from_secs(25);
        retry.changed(now);
        assert_eq!((retry.due() - now).as_secs(), 10);
    }
}
