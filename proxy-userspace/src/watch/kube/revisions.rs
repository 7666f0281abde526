//! Whether the API server's revisions have gone back, as they do when its store is restored from a backup: a watch from a
//! revision that is yet to come is granted, and tells nothing until the revisions have caught up. Only a list helps.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tokio::time::Instant;

/// What the watches of one kind have shown.
#[derive(Debug, Default)]
pub(super) struct Revisions {
    /// The highest revision that a watch has begun at since the last list.
    newest: u64,
    /// The last watch that was granted: when it should have told something at least, and whether it has.
    last: Option<(Instant, Arc<AtomicBool>)>,
}

impl Revisions {
    /// A list begins: it is the truth.
    pub(super) fn list(&mut self) {
        *self = Self::default();
    }

    /// Whether a watch from `revision` on may begin now, or everything has to be listed. The watcher moves on to the
    /// revision of each event and bookmark, so that one of a restored store shows at the next watch. A server that sends
    /// neither in a whole watch may wait for a future that the watcher has seen already: bookmarks come every minute.
    pub(super) fn may_watch(&mut self, revision: u64, now: Instant) -> bool {
        let was_silent = self.last.take().is_some_and(|(due, heard)| now >= due && !heard.load(Ordering::Relaxed));
        let has_gone_back = revision < self.newest;
        self.newest = self.newest.max(revision);
        !(was_silent || has_gone_back)
    }

    /// A watch of this length has been granted. What it returns is to be set when the server says something.
    pub(super) fn granted(&mut self, now: Instant, length: Duration) -> Arc<AtomicBool> {
        let heard = Arc::new(AtomicBool::new(false));
        self.last = Some((now + length.mul_f64(0.9), Arc::clone(&heard)));
        heard
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LENGTH: Duration = Duration::from_mins(4);

    #[test]
    fn field_s05_a_watch_from_an_older_revision_needs_a_list() {
        let (mut revisions, now) = (Revisions::default(), Instant::now());
        assert!([1200, 1200, 1300].into_iter().all(|revision| revisions.may_watch(revision, now)));
        assert!(!revisions.may_watch(1003, now));
        assert!(!revisions.may_watch(1004, now), "until there has been one");
        revisions.list();
        assert!(revisions.may_watch(1003, now) && revisions.may_watch(1005, now));
    }

    #[test]
    fn field_s05_a_watch_that_told_nothing_in_its_whole_length_needs_a_list() {
        let (mut revisions, start) = (Revisions::default(), Instant::now());
        assert!(revisions.may_watch(1200, start));
        let heard = revisions.granted(start, LENGTH);
        heard.store(true, Ordering::Relaxed);
        assert!(revisions.may_watch(1200, start + LENGTH), "a bookmark is enough");
        revisions.granted(start + LENGTH, LENGTH);
        assert!(revisions.may_watch(1200, start + LENGTH + LENGTH / 2), "it was cut");
        revisions.granted(start, LENGTH);
        assert!(!revisions.may_watch(1200, start + LENGTH));
        assert!(revisions.may_watch(1200, start + LENGTH), "once");
    }
}
