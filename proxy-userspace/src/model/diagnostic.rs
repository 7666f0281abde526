//! A diagnostic: why a field of an object is not served.

use crate::objects::ObjectRef;

/// A fault of an object's field, and its consequence.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Diagnostic {
    /// The object with the fault.
    pub object: ObjectRef,
    /// The field, as a path: `spec.externalIPs[1]`.
    pub field: String,
    /// The text: what is wrong with the field, and what follows.
    pub reason: String,
}
