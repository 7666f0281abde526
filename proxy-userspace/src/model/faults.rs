//! The faults that parsing found in an object, kept until the object changes.

use std::{collections::BTreeSet, fmt::Display};

use crate::{model::diagnostic::Diagnostic, objects::ObjectRef};

/// The faults of one object: fields and reasons.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Faults(Vec<(String, String)>);

impl Faults {
    /// Notes that `field` is not served because of `reason`.
    pub(super) fn add(&mut self, field: impl Display, reason: impl Display) {
        self.0.push((field.to_string(), reason.to_string()));
    }

    /// Returns `result`'s value, or notes its error as a fault of `field`.
    pub(super) fn check<T, E: Display>(&mut self, field: impl Display, result: Result<T, E>) -> Option<T> {
        result.map_err(|error| self.add(field, format_args!("{error}; skipped"))).ok()
    }

    /// Whether the object has no faults.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns the faults as diagnostics of `object`.
    pub(super) fn diagnostics(&self, object: &ObjectRef) -> BTreeSet<Diagnostic> {
        let diagnostic = |(field, reason): &(String, String)| Diagnostic {
            object: object.clone(),
            field: field.clone(),
            reason: reason.clone(),
        };
        self.0.iter().map(diagnostic).collect()
    }
}
