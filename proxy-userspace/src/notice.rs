//! What was refused or skipped, said once: an object's faults are remembered until it changes.

use std::collections::{BTreeMap, BTreeSet};

use tracing::warn;

use crate::watch::ObjectRef;

/// Why some part of an object is not served.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Notice {
    /// The object.
    pub object: ObjectRef,
    /// The field, as a path: `spec.externalIPs[1]`.
    pub field: String,
    /// What is wrong with it and what that means.
    pub reason: String,
}

/// Remembers which notices have been given.
#[derive(Debug, Default)]
pub struct Notices {
    given: BTreeMap<ObjectRef, BTreeSet<Notice>>,
    count: u64,
}

impl Notices {
    /// Logs and counts those of `current` that `object` did not have before, and forgets those it has no more.
    pub fn replace(&mut self, object: &ObjectRef, current: BTreeSet<Notice>) {
        let before = self.given.remove(object).unwrap_or_default();
        for notice in current.difference(&before) {
            warn!(object = %notice.object, field = notice.field, reason = notice.reason, "skipped");
            self.count += 1;
        }
        if !current.is_empty() {
            self.given.insert(object.clone(), current);
        }
    }

    /// How many notices have been given since the start.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// The notices in force.
    pub fn in_force(&self) -> impl Iterator<Item = &Notice> {
        self.given.values().flatten()
    }
}
