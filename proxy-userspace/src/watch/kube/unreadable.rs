//! Logs objects that can't be read: a line for each, or a count if there are many.

use std::time::Instant;

use tracing::warn;

use crate::{
    logging::limit::{Lines, LogLimit},
    objects::{Kind, ObjectRef},
};

/// An object, and why it can't be read.
#[derive(Debug)]
struct Unreadable {
    object: ObjectRef,
    reason: String,
}

/// The unreadable objects of one kind that wait to be logged.
#[derive(Debug)]
pub(super) struct UnreadableLog {
    kind: Kind,
    pending: LogLimit<Unreadable>,
}

impl UnreadableLog {
    pub(super) fn about(kind: Kind) -> Self {
        Self { kind, pending: LogLimit::default() }
    }

    pub(super) fn add(&mut self, namespace: String, name: String, reason: String) {
        self.pending.add("", Unreadable { object: ObjectRef { kind: self.kind, namespace, name }, reason });
    }

    /// Logs as much as the rate limit allows.
    pub(super) fn log(&mut self) {
        let kind = self.kind;
        for (_, lines) in self.pending.due(Instant::now()) {
            match lines {
                Lines::Each(objects) => {
                    for Unreadable { object, reason } in objects {
                        let (service, object) = object.logged();
                        warn!(service, object, reason, "skipped an object that can't be read");
                    }
                }
                Lines::Summary(count, some) => {
                    let some = some.iter().map(|one| format!("{}: {}", one.object, one.reason));
                    let examples = some.collect::<Vec<_>>().join("; ");
                    warn!(%kind, count, examples, "skipped objects that can't be read");
                }
            }
        }
    }

    pub(super) fn is_waiting(&self) -> bool {
        self.pending.is_waiting()
    }
}
