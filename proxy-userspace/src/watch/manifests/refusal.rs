//! Logs each refusal once, with its reason.

use std::{
    collections::BTreeSet,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Instant,
};

use tracing::warn;

use crate::logging::limit::{Lines, LogLimit};

/// A file or an object that is refused (S38).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Refusal {
    /// The file.
    pub file: PathBuf,
    /// The line of the field, or of the object; counted from 1.
    pub line: u64,
    /// The object, as in `Service default/web`; empty if a whole file is refused.
    pub object: String,
    /// The path of the field, as in `spec.ports[0].port`; empty if the object as a whole is refused.
    pub field: String,
    /// The reason in the API server's words.
    pub reason: String,
}

/// The refusals in force. All of them have been logged or wait to be logged.
#[derive(Debug, Default)]
pub struct RefusalLog {
    in_force: BTreeSet<Refusal>,
    count: Arc<AtomicU64>,
    pending: LogLimit<Refusal>,
}

impl RefusalLog {
    /// Returns the counter of refusals since the start.
    pub fn count(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.count)
    }

    /// Replaces the refusals in force. New ones are counted and will be logged.
    pub fn replace(&mut self, current: BTreeSet<Refusal>) {
        for refusal in current.difference(&self.in_force) {
            self.pending.add(&refusal.field, refusal.clone());
            self.count.fetch_add(1, Ordering::Relaxed);
        }
        self.in_force = current;
    }

    /// Logs new refusals: a line each, or one line for many of the same field.
    pub fn log(&mut self, now: Instant) {
        for (field, lines) in self.pending.due(now) {
            match lines {
                Lines::Each(refusals) => refusals.iter().for_each(write),
                Lines::Summary(count, some) => {
                    let some = some
                        .iter()
                        .map(|one| format!("{}:{}: {}: {}", one.file.display(), one.line, one.object, one.reason));
                    let examples = some.collect::<Vec<_>>().join("; ");
                    warn!(count, field, examples, "many files or objects refused");
                }
            }
        }
    }

    /// True if refusals wait to be logged.
    pub fn is_waiting(&self) -> bool {
        self.pending.is_waiting()
    }
}

fn write(Refusal { file, line, object, field, reason }: &Refusal) {
    let path = file.display();
    if object.is_empty() {
        warn!(file = %path, line, reason, "file not read: its last good content stays in force");
    } else {
        // An empty field means the object as a whole.
        let field = (!field.is_empty()).then_some(field.as_str());
        warn!(file = %path, line, object, field, reason, "object refused");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn s38_a_refusal_is_counted_once_while_it_stays() {
        let refusal = |line| Refusal {
            file: "a".into(),
            line,
            object: String::new(),
            field: String::new(),
            reason: String::new(),
        };
        let mut refusal_log = RefusalLog::default();
        let mut counts = Vec::new();
        for current in [vec![1], vec![1], vec![1, 2], vec![], vec![1]] {
            refusal_log.replace(current.into_iter().map(refusal).collect());
            counts.push(refusal_log.count().load(Ordering::Relaxed));
        }
        assert_eq!(counts, [1, 1, 2, 2, 3]);
    }
}
