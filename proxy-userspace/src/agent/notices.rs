//! What was refused or skipped, said once: an object's faults are remembered until it changes.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Instant,
};

use tracing::warn;

use crate::{
    log_limit::{Lines, LogLimit},
    model::diagnostic::Diagnostic,
    objects::ObjectRef,
};

/// Remembers which notices have been given.
#[derive(Debug, Default)]
pub struct Notices {
    given: BTreeMap<ObjectRef, BTreeSet<Diagnostic>>,
    news: LogLimit<Diagnostic>,
}

impl Notices {
    /// Counts those of `current` that `object` did not have before, which are to be told, and forgets those it has no more.
    pub fn replace(&mut self, object: &ObjectRef, current: BTreeSet<Diagnostic>) {
        let before = self.given.remove(object).unwrap_or_default();
        for notice in current.difference(&before) {
            self.news.add(&format!("{} {}", notice.object.kind, notice.field), notice.clone());
        }
        if !current.is_empty() {
            self.given.insert(object.clone(), current);
        }
    }

    /// Logs what is new: a line each, or one for many about the same field.
    pub fn tell(&mut self, now: Instant) {
        for (field, told) in self.news.due(now) {
            match told {
                Lines::Each(notices) => {
                    for Diagnostic { object, field, reason } in notices {
                        warn!(%object, field, reason, "skipped");
                    }
                }
                Lines::Summary(count, some) => {
                    let some = some.iter().map(|notice| format!("{}: {}", notice.object, notice.reason));
                    let examples = some.collect::<Vec<_>>().join("; ");
                    warn!(count, field, examples, "skipped in many objects");
                }
            }
        }
    }
}
