//! When the API server was last heard of, for each kind of object: a watch that is silent for longer than its length is stale.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use crate::objects::Kind;

/// Written by the source, read by whoever asks for the agent's health.
#[derive(Clone, Debug)]
pub struct Contact {
    began: Instant,
    /// By kind, milliseconds since the beginning.
    heard: Arc<[AtomicU64; Kind::ALL.len()]>,
}

impl Contact {
    /// Of a source that begins now.
    pub fn new() -> Self {
        Self { began: Instant::now(), heard: Arc::default() }
    }

    /// The server has sent something about this kind.
    pub fn note(&self, kind: Kind) {
        self.note_at(kind, Instant::now());
    }

    fn note_at(&self, kind: Kind, now: Instant) {
        let millis = u64::try_from(now.saturating_duration_since(self.began).as_millis()).unwrap_or(u64::MAX);
        self.heard[kind as usize].fetch_max(millis, Ordering::Relaxed);
    }

    /// The kind that has not been heard of for the longest time, and that time.
    pub fn silence(&self, now: Instant) -> (Kind, Duration) {
        let heard = |kind: &Kind| self.heard[*kind as usize].load(Ordering::Relaxed);
        let kind = Kind::ALL.into_iter().min_by_key(heard).unwrap_or(Kind::Service);
        (kind, now.saturating_duration_since(self.began + Duration::from_millis(heard(&kind))))
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
