//! What takes long to count, remembered so that scrapes can't load the machine: one processor spends at most a hundredth of
//! its time on it, however often somebody scrapes.

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

/// How long a count is good for at least.
const PAUSE: Duration = Duration::from_secs(10);
/// The next one waits this many times as long as the last has taken.
const REST: u32 = 100;

/// A count of everything.
#[derive(Clone, Debug)]
pub(super) struct Counted {
    at: Instant,
    /// How long it took.
    pub(super) took: Duration,
    /// Entries of maps, and flows.
    pub(super) census: Census,
    /// Backends by how hard it is to find source ports for them.
    pub(super) backends: Vec<(SocketAddr, BackendCounters)>,
    /// How many others there are.
    pub(super) other_backends: usize,
}

impl Counted {
    /// Counts now. Of `limit` backends at most.
    pub(super) fn now(folder: &PinFolder, limit: usize) -> Result<Self, CensusError> {
        let at = Instant::now();
        let census = Census::take(folder)?;
        let (backends, other_backends) = counters::of_backends(folder, limit)?;
        Ok(Self { at, took: at.elapsed(), census, backends, other_backends })
    }

    /// Whether it is good enough at `now`.
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
