//! Why a part of an object is not served.

use crate::objects::ObjectRef;

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
