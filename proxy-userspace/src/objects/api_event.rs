//! An Event of the Kubernetes API (events.k8s.io/v1), as the agent wants it written. Not to be confused with the
//! [`Event`](super::Event) of a source.

use super::ObjectRef;

/// The reason for an Event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reason {
    /// A field of an object is not served.
    NotServed,
    /// A Service's last change is not in force: a map is full, or can't be written.
    NotInForce,
    /// The Service is in force again.
    InForce,
    /// Something is not in force on this node.
    Degraded,
    /// Everything is in force on this node again.
    Recovered,
    /// A hook or device of this node has been without its program for long.
    HooksMissing,
    /// Every hook and device has its program again.
    HooksAttached,
}

impl Reason {
    /// Returns the `reason` of the Event.
    pub fn word(self) -> &'static str {
        match self {
            Self::NotServed => "NotServed",
            Self::NotInForce => "NotInForce",
            Self::InForce => "InForce",
            Self::Degraded => "Degraded",
            Self::Recovered => "Recovered",
            Self::HooksMissing => "HooksMissing",
            Self::HooksAttached => "HooksAttached",
        }
    }

    /// Whether the Event's `type` is Normal rather than Warning.
    pub fn is_good(self) -> bool {
        matches!(self, Self::InForce | Self::Recovered | Self::HooksAttached)
    }
}

/// An Event to be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiEvent {
    /// The object that the Event is about.
    pub object: ObjectRef,
    /// The reason for the Event.
    pub reason: Reason,
    /// The text for people.
    pub note: String,
}
