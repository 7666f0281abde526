//! Waiting for conditions: the only place of the harness that polls by time.

use std::{
    thread,
    time::{Duration, Instant},
};

use super::error::{Error, Result};

/// Time between two looks at a condition.
const INTERVAL: Duration = Duration::from_millis(5);

/// Looks every few milliseconds until `condition` holds; false when `timeout` has passed without.
#[must_use]
pub fn eventually(timeout: Duration, mut condition: impl FnMut() -> bool) -> bool {
    let start = Instant::now();
    loop {
        if condition() {
            return true;
        }
        if start.elapsed() >= timeout {
            return false;
        }
        thread::sleep(INTERVAL);
    }
}

/// Like [`eventually`], as an error that names what was waited for.
pub fn wait_for(what: &str, timeout: Duration, condition: impl FnMut() -> bool) -> Result<()> {
    if eventually(timeout, condition) {
        return Ok(());
    }
    Err(Error::Timeout { what: what.to_owned(), elapsed: timeout, context: String::new() })
}
