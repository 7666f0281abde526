//! Notices when the API server's revisions go back, as they do when its store is restored from a backup. The server
//! accepts a watch from a future revision, but sends nothing until its revisions have caught up. Only a list helps.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tokio::time::Instant;

/// The revisions that the watches of one kind have seen.
#[derive(Debug, Default)]
pub(super) struct Revisions {
    /// The highest revision that a watch has begun at since the last list.
    newest: u64,
    /// The highest revision before that list.
    before: u64,
    /// For the last watch that was granted: when it should have received something, and whether it has.
    last: Option<(Instant, Arc<AtomicBool>)>,
}

/// Whether a watch may begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Watch {
    /// The watch may begin.
    Begins,
    /// The watch may begin, and the list before it has shown that the revisions have gone back.
    BeginsAfterReset,
    /// Everything must be listed first.
    NeedsList,
}

impl Revisions {
    /// Notes that a list begins. Its revision replaces all earlier ones.
    pub(super) fn list(&mut self) {
        *self = Self { before: self.before.max(self.newest), ..Self::default() };
    }

    /// Decides whether a watch from `revision` on may begin at `now`. The watcher advances to the revision of each event and
    /// bookmark, so a restored store shows as a lower revision at the next watch. A server that sends neither during a
    /// whole watch may be behind the watcher's revision. More often it just has nothing to send: bookmarks come every minute,
    /// but for a kind that has not changed since the server started, only if the store reports progress.
    pub(super) fn may_watch(&mut self, revision: u64, now: Instant) -> Watch {
        let was_silent =
            self.last.take().is_some_and(|(due, received)| now >= due && !received.load(Ordering::Relaxed));
        let has_gone_back = revision < self.newest;
        self.newest = self.newest.max(revision);
        if was_silent || has_gone_back {
            return Watch::NeedsList;
        }
        if revision < std::mem::take(&mut self.before) { Watch::BeginsAfterReset } else { Watch::Begins }
    }

    /// Notes that a watch of this length was granted. The caller sets the returned flag when the server sends something.
    pub(super) fn granted(&mut self, now: Instant, length: Duration) -> Arc<AtomicBool> {
        let received = Arc::new(AtomicBool::new(false));
        self.last = Some((now + length.mul_f64(0.9), Arc::clone(&received)));
        received
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LENGTH: Duration = Duration::from_mins(4);

    #[test]
    fn field_s05_a_watch_from_an_older_revision_needs_a_list() {
        let (mut revisions, now) = (Revisions::default(), Instant::now());
        assert!([1200, 1200, 1300].into_iter().all(|revision| revisions.may_watch(revision, now) == Watch::Begins));
        assert_eq!(revisions.may_watch(1003, now), Watch::NeedsList);
        assert_eq!(revisions.may_watch(1004, now), Watch::NeedsList, "until there has been one");
        revisions.list();
        assert_eq!(revisions.may_watch(1003, now), Watch::BeginsAfterReset, "which is said once");
        assert_eq!(revisions.may_watch(1005, now), Watch::Begins);
    }

    #[test]
    fn field_s05_a_watch_without_an_event_in_its_whole_length_needs_a_list() {
        let (mut revisions, start) = (Revisions::default(), Instant::now());
        assert_eq!(revisions.may_watch(1200, start), Watch::Begins);
        let received = revisions.granted(start, LENGTH);
        received.store(true, Ordering::Relaxed);
        assert_eq!(revisions.may_watch(1200, start + LENGTH), Watch::Begins, "a bookmark is enough");
        revisions.granted(start + LENGTH, LENGTH);
        assert_eq!(revisions.may_watch(1200, start + LENGTH + LENGTH / 2), Watch::Begins, "it was cut");
        revisions.granted(start, LENGTH);
        assert_eq!(revisions.may_watch(1200, start + LENGTH), Watch::NeedsList);
        assert_eq!(revisions.may_watch(1200, start + LENGTH), Watch::Begins, "once");
    }

    #[test]
    fn field_s05_a_kind_of_which_nothing_changes_is_no_alarm() {
        let (mut revisions, start) = (Revisions::default(), Instant::now());
        assert_eq!(revisions.may_watch(1200, start), Watch::Begins);
        revisions.granted(start, LENGTH);
        assert_eq!(revisions.may_watch(1200, start + LENGTH), Watch::NeedsList);
        revisions.list();
        assert_eq!(revisions.may_watch(1200, start + LENGTH), Watch::Begins, "the list is of the same revision");
        revisions.list();
        assert_eq!(revisions.may_watch(1003, start + LENGTH), Watch::BeginsAfterReset);
    }
}
