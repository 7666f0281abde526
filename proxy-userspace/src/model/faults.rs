//! What parsing an object found wrong with it, kept until the object changes.

use std::{collections::BTreeSet, fmt::Display};

use crate::{model::notice::Notice, objects::ObjectRef};

/// Faults of one object: fields and reasons.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Faults(Vec<(String, String)>);

impl Faults {
    /// Notes that `field` is not served because of `reason`.
    pub(super) fn add(&mut self, field: impl Display, reason: impl Display) {
        self.0.push((field.to_string(), reason.to_string()));
    }

    /// `result`'s value; an error is noted for `field`.
    pub(super) fn check<T, E: Display>(&mut self, field: impl Display, result: Result<T, E>) -> Option<T> {
        result.map_err(|error| self.add(field, format_args!("{error}; skipped"))).ok()
    }

    /// Whether there are none.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// As notices about `object`.
    pub(super) fn notices(&self, object: &ObjectRef) -> BTreeSet<Notice> {
        let notice = |(field, reason): &(String, String)| Notice {
            object: object.clone(),
            field: field.clone(),
            reason: reason.clone(),
        };
        self.0.iter().map(notice).collect()
    }
}
