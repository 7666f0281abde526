//! Waits for conditions: the only place of the harness that polls by time.

use std::{
    env,
    sync::OnceLock,
    thread,
    time::{Duration, Instant},
};

use super::error::{Error, Result};

/// Time between two looks at a condition.
const INTERVAL: Duration = Duration::from_millis(5);

/// The environment variable that says how many times longer this machine needs than the one that the limits were
/// chosen for. Emulated machines have it.
const SLOWDOWN: &str = "WAGGLE_LAB_SLOWDOWN";

/// The limit `usual`, scaled for this machine.
pub(super) fn scaled(usual: Duration) -> Duration {
    static FACTOR: OnceLock<u32> = OnceLock::new();
    let read = || env::var(SLOWDOWN).ok().and_then(|factor| factor.parse().ok()).unwrap_or(1);
    usual * *FACTOR.get_or_init(read)
}

/// Checks `condition` every few milliseconds until it holds. Returns false when `timeout` has passed, which is scaled
/// for this machine. The last check begins after that: one that takes long on a busy machine may have begun before the
/// condition held.
#[must_use]
pub fn eventually(timeout: Duration, mut condition: impl FnMut() -> bool) -> bool {
    let (start, timeout) = (Instant::now(), scaled(timeout));
    loop {
        let is_last = start.elapsed() >= timeout;
        if condition() {
            return true;
        }
        if is_last {
            return false;
        }
        thread::sleep(INTERVAL);
    }
}

/// Waits as [`eventually`] does; the error names what was waited for.
pub fn wait_for(what: &str, timeout: Duration, condition: impl FnMut() -> bool) -> Result<()> {
    if eventually(timeout, condition) {
        return Ok(());
    }
    Err(Error::Timeout { what: what.to_owned(), elapsed: scaled(timeout), context: String::new() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_check_that_began_in_time_and_took_long_is_not_the_last() {
        let mut looks = 0;
        let limit = Duration::from_millis(1);
        let held = eventually(limit, || {
            looks += 1;
            thread::sleep(2 * scaled(limit));
            looks == 2
        });
        assert!(held);
        assert!(!eventually(Duration::ZERO, || false));
    }
}
