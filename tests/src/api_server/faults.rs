//! Faults that a test injects. Only remembers what should go wrong: the code that answers requests looks here.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

/// A response body that is sent slowly.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slow {
    /// Bytes at a time, at least one.
    pub chunk: usize,
    /// Time before each chunk.
    pub pause: Duration,
}

/// The way in which lists are given.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Lists {
    #[default]
    Streamed,
    /// Watches that ask for a list are refused.
    RefusedStreams,
    /// Watches that ask for a list are begun and end with an error.
    EndedStreams,
}

/// The faults at present.
#[derive(Debug, Default)]
pub(super) struct Faults {
    /// Requests with a smaller serial number are sent nothing more.
    pub(super) silent_before: u64,
    /// Whether new requests are never answered.
    pub(super) hang: bool,
    /// Plural names of resources whose requests wait while the name is here.
    pub(super) held: BTreeSet<String>,
    /// The codes, with `Retry-After`, that the next requests are answered with.
    pub(super) failures: Vec<(u16, Option<u32>)>,
    /// Plural names of resources that the client may not see, with the code that it gets: 403 or 404.
    pub(super) refused: BTreeMap<String, u16>,
    /// Plural names of resources whose watches end as soon as they begin.
    pub(super) ended: BTreeSet<String>,
    /// The number of watches that should begin with changes older than asked for.
    pub(super) rewind: u32,
    pub(super) lists: Lists,
    /// Whether an expired watch is refused with HTTP 410 instead of an `ERROR` event.
    pub(super) expire_by_status: bool,
    /// Whether watches from a future version stay silent until that version, as those from a watch cache do.
    pub(super) awaits_future: bool,
    pub(super) slow: Option<Slow>,
}

impl Faults {
    /// The failure that the next request should get.
    pub(super) fn take_failure(&mut self) -> Option<(u16, Option<u32>)> {
        if self.failures.is_empty() { None } else { Some(self.failures.remove(0)) }
    }

    /// Whether the next watch should begin with older changes.
    pub(super) fn take_rewind(&mut self) -> bool {
        let rewind = self.rewind > 0;
        self.rewind = self.rewind.saturating_sub(1);
        rewind
    }
}
