//! Caches counts that are slow to take, so that frequent scrapes can't load the machine: counting uses at most a hundredth of one
//! CPU.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
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
pub(in crate::server) struct Counted {
    at: Instant,
    /// How long the count took.
    pub(in crate::server) took: Duration,
    /// Numbers of map entries and flows.
    pub(in crate::server) census: Census,
    /// The backends for which source ports are hardest to find, with their counters.
    pub(in crate::server) backends: Vec<(SocketAddr, BackendCounters)>,
    /// How many other backends have such counters.
    pub(in crate::server) other_backends: usize,
}

impl Counted {
    /// Counts now, with the counters of at most `limit` backends.
    fn now(folder: &PinFolder, limit: usize) -> Result<Self, CensusError> {
        let at = Instant::now();
        let census = Census::take(folder)?;
        let (backends, other_backends) = counters::of_backends(folder, limit)?;
        Ok(Self { at, took: at.elapsed(), census, backends, other_backends })
    }

    /// True if the count may still be used at `now`.
    fn is_fresh(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.at) < PAUSE.max(self.took * REST)
    }
}

/// The last count. Clones share it.
#[derive(Clone, Debug, Default)]
pub(in crate::server) struct LastCount(Arc<Mutex<Option<Counted>>>);

impl LastCount {
    /// Returns the last count, after counting again if it is no longer fresh. `limit` is as in [`Counted::now`].
    pub(in crate::server) fn get(&self, folder: &PinFolder, limit: usize) -> Result<Counted, CensusError> {
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(counted) = last.as_ref().filter(|counted| counted.is_fresh(Instant::now())) {
            return Ok(counted.clone());
        }
        *last = None;
        let counted = Counted::now(folder, limit)?;
        *last = Some(counted.clone());
        Ok(counted)
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
