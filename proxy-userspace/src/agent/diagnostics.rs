//! Logs each diagnostic once: an object's diagnostics are remembered until they change.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Instant,
};

use tracing::warn;

use crate::{
    desired::ServiceName,
    logging::limit::{Lines, LogLimit},
    model::diagnostic::Diagnostic,
    objects::{Kind, ObjectRef},
};

/// The diagnostics in force, by object, and those that are still to be logged.
#[derive(Debug, Default)]
pub struct Diagnostics {
    current_by_object: BTreeMap<ObjectRef, BTreeSet<Diagnostic>>,
    /// How many these are, by the kind of object.
    counts: BTreeMap<Kind, usize>,
    /// With the Service that an object other than a Service belongs to.
    pending: LogLimit<(Diagnostic, Option<ServiceName>)>,
}

impl Diagnostics {
    /// Replaces the diagnostics of `object`, which belongs to `service` if it is an EndpointSlice. Returns those that it did not
    /// have before.
    pub fn replace(
        &mut self,
        object: &ObjectRef,
        service: Option<&ServiceName>,
        current: BTreeSet<Diagnostic>,
    ) -> Vec<Diagnostic> {
        let before = self.current_by_object.remove(object).unwrap_or_default();
        let count = self.counts.entry(object.kind).or_default();
        *count = *count + current.len() - before.len();
        let new: Vec<Diagnostic> = current.difference(&before).cloned().collect();
        for diagnostic in &new {
            let topic = format!("{} {}", diagnostic.object.kind, diagnostic.field);
            self.pending.add(&topic, (diagnostic.clone(), service.cloned()));
        }
        if !current.is_empty() {
            self.current_by_object.insert(object.clone(), current);
        }
        new
    }

    /// How many faults the objects of each kind have now.
    pub fn counts(&self) -> &BTreeMap<Kind, usize> {
        &self.counts
    }

    /// Returns the diagnostics of the first objects, at most `limit`.
    pub fn first(&self, limit: usize) -> Vec<Diagnostic> {
        self.current_by_object.values().flatten().take(limit).cloned().collect()
    }

    /// Logs new diagnostics: a line each, or one line for many about the same field.
    pub fn log(&mut self, now: Instant) {
        for (field, lines) in self.pending.due(now) {
            match lines {
                Lines::Each(diagnostics) => {
                    for (Diagnostic { object, field, reason }, of) in diagnostics {
                        let (service, object) = object.logged();
                        let service = service.or_else(|| of.map(|of| of.to_string()));
                        warn!(service, object, field, reason, "skipped");
                    }
                }
                Lines::Summary(count, some) => {
                    let some =
                        some.iter().map(|(diagnostic, _)| format!("{}: {}", diagnostic.object, diagnostic.reason));
                    let examples = some.collect::<Vec<_>>().join("; ");
                    warn!(count, field, examples, "skipped in many objects");
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn s7_faults_are_counted_by_kind_until_they_are_mended() {
        let object = |kind, name: &str| ObjectRef { kind, namespace: "shop".to_owned(), name: name.to_owned() };
        let faults = |object: &ObjectRef, count: usize| -> BTreeSet<_> {
            let fault = |index| Diagnostic {
                object: object.clone(),
                field: format!("endpoints[{index}].addresses[0]"),
                reason: "127.0.0.1 is a loopback address; skipped".to_owned(),
            };
            (0..count).map(fault).collect()
        };
        let (slice, web, api) =
            (object(Kind::EndpointSlice, "web-1"), object(Kind::Service, "web"), object(Kind::Service, "api"));
        let mut diagnostics = Diagnostics::default();
        let mut counts = |object: &ObjectRef, count| {
            diagnostics.replace(object, None, faults(object, count));
            [Kind::Service, Kind::EndpointSlice].map(|kind| diagnostics.counts().get(&kind).copied().unwrap_or(0))
        };
        assert_eq!([counts(&slice, 3), counts(&web, 1), counts(&api, 2)], [[0, 3], [1, 3], [3, 3]]);
        assert_eq!([counts(&slice, 1), counts(&web, 1), counts(&api, 0)], [[3, 1], [3, 1], [1, 1]]);
        assert_eq!([counts(&slice, 0), counts(&web, 0)], [[1, 0], [0, 0]]);
    }
}
