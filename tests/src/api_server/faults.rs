//! Faults that a test injects. It only remembers what shall go wrong; the places that answer ask it.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

/// A body that trickles.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slow {
    /// Bytes at a time, at least one.
    pub chunk: usize,
    /// Time before each chunk.
    pub pause: Duration,
}

/// What goes wrong at present.
#[derive(Debug, Default)]
pub(super) struct Faults {
    /// Requests with a smaller serial number get not one byte more.
    pub(super) silent_before: u64,
    /// New requests get no answer, ever.
    pub(super) hang: bool,
    /// Plural names of resources whose requests wait until they are no longer here.
    pub(super) held: BTreeSet<String>,
    /// Answers for the next requests: code and `Retry-After`.
    pub(super) failures: Vec<(u16, Option<u32>)>,
    /// Plural names of resources that the client may not see, with the code it gets: 403 or 404.
    pub(super) refused: BTreeMap<String, u16>,
    /// Plural names of resources whose watches end as soon as they begin.
    pub(super) ended: BTreeSet<String>,
    /// How many watches shall begin with changes older than asked for.
    pub(super) rewind: u32,
    /// Whether an expired watch is refused with HTTP 410 instead of an `ERROR` event.
    pub(super) expire_by_status: bool,
    /// Whether watches from a version that is yet to come are silent until then, as those from a watch cache are.
    pub(super) awaits_future: bool,
    pub(super) slow: Option<Slow>,
}

impl Faults {
    /// The failure that the next request shall get.
    pub(super) fn take_failure(&mut self) -> Option<(u16, Option<u32>)> {
        if self.failures.is_empty() { None } else { Some(self.failures.remove(0)) }
    }

    /// Whether this watch shall begin with older changes.
    pub(super) fn take_rewind(&mut self) -> bool {
        let rewind = self.rewind > 0;
        self.rewind = self.rewind.saturating_sub(1);
        rewind
    }
}
