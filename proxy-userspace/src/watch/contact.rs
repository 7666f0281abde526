//! Records the contact with the API server: when it last sent anything for each kind of object (a watch that is silent for longer
//! than its length is stale), and how many lists and responses there were.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use crate::objects::Kind;

/// The contact with the API server. The source writes it, and health and metrics read it. Clones share the data.
#[derive(Clone, Debug)]
pub struct Contact {
    began: Instant,
    /// When each kind was last heard of, in milliseconds since `began`.
    last_seen: Arc<[AtomicU64; Kind::ALL.len()]>,
    lists: Arc<[AtomicU64; Kind::ALL.len()]>,
    unreadable: Arc<[AtomicU64; Kind::ALL.len()]>,
    responses: Arc<Mutex<BTreeMap<Option<u16>, u64>>>,
}

impl Contact {
    /// The contact of a source that starts now.
    pub fn new() -> Self {
        Self {
            began: Instant::now(),
            last_seen: Arc::default(),
            lists: Arc::default(),
            unreadable: Arc::default(),
            responses: Arc::default(),
        }
    }

    /// Notes that the server has shown objects of this kind. A refusal does not count.
    pub fn note(&self, kind: Kind) {
        self.note_at(kind, Instant::now());
    }

    pub(crate) fn note_at(&self, kind: Kind, now: Instant) {
        let millis = u64::try_from(now.saturating_duration_since(self.began).as_millis()).unwrap_or(u64::MAX);
        self.last_seen[kind as usize].fetch_max(millis, Ordering::Relaxed);
    }

    /// Notes that a list of all objects of this kind begins.
    pub fn note_list(&self, kind: Kind) {
        self.lists[kind as usize].fetch_add(1, Ordering::Relaxed);
    }

    /// So many objects of this kind can't be read now.
    pub fn note_unreadable(&self, kind: Kind, count: usize) {
        self.unreadable[kind as usize].store(count as u64, Ordering::Relaxed);
    }

    /// How many objects of this kind can't be read.
    pub fn unreadable(&self, kind: Kind) -> u64 {
        self.unreadable[kind as usize].load(Ordering::Relaxed)
    }

    /// Returns how often all objects of this kind were listed.
    pub fn lists(&self, kind: Kind) -> u64 {
        self.lists[kind as usize].load(Ordering::Relaxed)
    }

    /// Notes a response with this status code; `None` means that no response came.
    pub fn note_response(&self, status: Option<u16>) {
        *self.responses.lock().unwrap_or_else(PoisonError::into_inner).entry(status).or_default() += 1;
    }

    /// Returns the number of responses by status code.
    pub fn responses(&self) -> BTreeMap<Option<u16>, u64> {
        self.responses.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Returns how long this kind has not been heard of.
    pub fn age(&self, kind: Kind, now: Instant) -> Duration {
        let last_seen = Duration::from_millis(self.last_seen[kind as usize].load(Ordering::Relaxed));
        now.saturating_duration_since(self.began + last_seen)
    }

    /// Returns the kind that has not been heard of for the longest time, and that time.
    pub fn silence(&self, now: Instant) -> (Kind, Duration) {
        let ages = Kind::ALL.map(|kind| (kind, self.age(kind, now)));
        ages.into_iter().max_by_key(|(_, age)| *age).unwrap_or((Kind::Service, Duration::ZERO))
    }
}

impl Default for Contact {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn n13_the_kind_that_is_silent_counts_whatever_the_others_say() {
        let contact = Contact::new();
        let at = |seconds| contact.began + Duration::from_secs(seconds);
        for kind in Kind::ALL {
            contact.note_at(kind, at(10));
        }
        assert_eq!(contact.silence(at(15)).1, Duration::from_secs(5));
        for kind in [Kind::Service, Kind::Node, Kind::ServiceCidr] {
            contact.note_at(kind, at(100));
        }
        assert_eq!(contact.silence(at(110)), (Kind::EndpointSlice, Duration::from_secs(100)));
        contact.note_at(Kind::EndpointSlice, at(105));
        assert_eq!(contact.silence(at(110)).1, Duration::from_secs(10));
    }
}
