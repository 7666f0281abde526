//! Caches counts that are slow to take, so that frequent scrapes can't load the machine: counting uses at most a hundredth of one
//! CPU.

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use proxy_common::BackendCounters;

use crate::maps::{
    PinFolder,
    census::{Census, CensusError},
    counters,
};

/// The least time that a count is reused.
const PAUSE: Duration = Duration::from_secs(10);
/// A count is reused for at least this many times as long as it took.
const REST: u32 = 100;

/// The results of one count.
#[derive(Clone, Debug)]
pub(super) struct Counted {
    at: Instant,
    /// How long the count took.
    pub(super) took: Duration,
    /// Numbers of map entries and flows.
    pub(super) census: Census,
    /// The backends for which source ports are hardest to find, with their counters.
    pub(super) backends: Vec<(SocketAddr, BackendCounters)>,
    /// How many other backends have such counters.
    pub(super) other_backends: usize,
}

impl Counted {
    /// Counts now, with the counters of at most `limit` backends.
    pub(super) fn now(folder: &PinFolder, limit: usize) -> Result<Self, CensusError> {
        let at = Instant::now();
        let census = Census::take(folder)?;
        let (backends, other_backends) = counters::of_backends(folder, limit)?;
        Ok(Self { at, took: at.elapsed(), census, backends, other_backends })
    }

    /// True if the count may still be used at `now`.
    pub(super) fn is_fresh(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.at) < PAUSE.max(self.took * REST)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counting_takes_a_hundredth_of_the_time_at_most() {
        let at = Instant::now();
        let counted = |millis| {
            let (took, census) = (Duration::from_millis(millis), Census::default());
            Counted { at, took, census, backends: Vec::new(), other_backends: 0 }
        };
        let after = |seconds| at + Duration::from_secs(seconds);
        assert!(counted(5).is_fresh(after(9)) && !counted(5).is_fresh(after(10)));
        assert!(counted(400).is_fresh(after(39)) && !counted(400).is_fresh(after(40)));
    }
}
