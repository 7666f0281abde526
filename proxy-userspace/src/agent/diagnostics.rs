//! Logs each diagnostic once: an object's diagnostics are remembered until they change.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Instant,
};

use tracing::warn;

use crate::{
    logging::limit::{Lines, LogLimit},
    model::diagnostic::Diagnostic,
    objects::ObjectRef,
};

/// The diagnostics in force, by object, and those that are still to be logged.
#[derive(Debug, Default)]
pub struct Diagnostics {
    given: BTreeMap<ObjectRef, BTreeSet<Diagnostic>>,
    news: LogLimit<Diagnostic>,
}

impl Diagnostics {
    /// Replaces the diagnostics of `object`. Returns those that it did not have before.
    pub fn replace(&mut self, object: &ObjectRef, current: BTreeSet<Diagnostic>) -> Vec<Diagnostic> {
        let before = self.given.remove(object).unwrap_or_default();
        let news: Vec<Diagnostic> = current.difference(&before).cloned().collect();
        for diagnostic in &news {
            self.news.add(&format!("{} {}", diagnostic.object.kind, diagnostic.field), diagnostic.clone());
        }
        if !current.is_empty() {
            self.given.insert(object.clone(), current);
        }
        news
    }

    /// Logs new diagnostics: a line each, or one line for many about the same field.
    pub fn tell(&mut self, now: Instant) {
        for (field, told) in self.news.due(now) {
            match told {
                Lines::Each(diagnostics) => {
                    for Diagnostic { object, field, reason } in diagnostics {
                        let (service, object) = object.logged();
                        warn!(service, object, field, reason, "skipped");
                    }
                }
                Lines::Summary(count, some) => {
                    let some = some.iter().map(|diagnostic| format!("{}: {}", diagnostic.object, diagnostic.reason));
                    let examples = some.collect::<Vec<_>>().join("; ");
                    warn!(count, field, examples, "skipped in many objects");
                }
            }
        }
    }
}
