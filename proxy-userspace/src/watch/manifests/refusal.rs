//! What is not served and why, said once.

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

use crate::few::{Few, Told};

/// A file or an object that is refused (S38).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Refusal {
    /// The file.
    pub file: PathBuf,
    /// The line of the field, else of the object; counted from 1.
    pub line: u64,
    /// `Service default/web`; empty where a whole file is refused.
    pub object: String,
    /// The field as a path: `spec.ports[0].port`; empty where the object as a whole is meant.
    pub field: String,
    /// Why, in the API server's words.
    pub reason: String,
}

/// Remembers which refusals have been said.
#[derive(Debug, Default)]
pub struct Ledger {
    in_force: BTreeSet<Refusal>,
    count: Arc<AtomicU64>,
    news: Few<Refusal>,
}

impl Ledger {
    /// How many refusals have been said since the start.
    pub fn count(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.count)
    }

    /// Counts those of `current` that were not in force, which are to be said, and forgets those that no longer are.
    pub fn replace(&mut self, current: BTreeSet<Refusal>) {
        for refusal in current.difference(&self.in_force) {
            self.news.add(&refusal.field, refusal.clone());
            self.count.fetch_add(1, Ordering::Relaxed);
        }
        self.in_force = current;
    }

    /// Says what is new: a line each, or one for many about the same field.
    pub fn tell(&mut self, now: Instant) {
        for (field, told) in self.news.tell(now) {
            match told {
                Told::Each(refusals) => refusals.iter().for_each(say),
                Told::Sum(count, some) => {
                    let some = some
                        .iter()
                        .map(|one| format!("{}:{}: {}: {}", one.file.display(), one.line, one.object, one.reason));
                    let examples = some.collect::<Vec<_>>().join("; ");
                    warn!(count, field, examples, "many files or objects refused");
                }
            }
        }
    }

    /// Whether something waits to be said.
    pub fn is_waiting(&self) -> bool {
        self.news.is_waiting()
    }
}

fn say(Refusal { file, line, object, field, reason }: &Refusal) {
    let path = file.display();
    if object.is_empty() {
        warn!(file = %path, line, reason, "file not read: what it held before stays in force");
    } else {
        // An empty field is none: the object as a whole is meant.
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
        let mut ledger = Ledger::default();
        let mut counts = Vec::new();
        for current in [vec![1], vec![1], vec![1, 2], vec![], vec![1]] {
            ledger.replace(current.into_iter().map(refusal).collect());
            counts.push(ledger.count().load(Ordering::Relaxed));
        }
        assert_eq!(counts, [1, 1, 2, 2, 3]);
    }
}
