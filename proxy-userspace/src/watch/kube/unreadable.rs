//! Objects that can't be read, said once each, or by their number if they are many.

use std::time::Instant;

use tracing::warn;

use crate::{
    few::{Few, Told},
    objects::Kind,
};

/// An object, and why it can't be read.
#[derive(Debug)]
struct Unreadable {
    namespace: String,
    name: String,
    reason: String,
}

/// Those of one kind that are still to be said.
#[derive(Debug)]
pub(super) struct Complaints {
    kind: Kind,
    news: Few<Unreadable>,
}

impl Complaints {
    pub(super) fn about(kind: Kind) -> Self {
        Self { kind, news: Few::default() }
    }

    pub(super) fn add(&mut self, namespace: String, name: String, reason: String) {
        self.news.add("", Unreadable { namespace, name, reason });
    }

    /// Says what there is room for.
    pub(super) fn tell(&mut self) {
        let kind = self.kind;
        for (_, told) in self.news.tell(Instant::now()) {
            match told {
                Told::Each(objects) => {
                    for Unreadable { namespace, name, reason } in objects {
                        warn!(%kind, namespace, name, reason, "skipped an object that can't be read");
                    }
                }
                Told::Sum(count, some) => {
                    let some = some.iter().map(|one| format!("{}/{}: {}", one.namespace, one.name, one.reason));
                    let examples = some.collect::<Vec<_>>().join("; ");
                    warn!(%kind, count, examples, "skipped objects that can't be read");
                }
            }
        }
    }

    pub(super) fn is_waiting(&self) -> bool {
        self.news.is_waiting()
    }
}
