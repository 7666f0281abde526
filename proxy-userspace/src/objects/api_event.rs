//! An Event of the Kubernetes API, as the agent wants it written. (An [`Event`](super::Event) is what a source reports.)

use super::ObjectRef;

/// What has happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reason {
    /// A field of an object is not served.
    NotServed,
    /// A Service's last change is not in force: a map is full, or can't be written.
    NotInForce,
    /// It is in force now.
    InForce,
    /// Something of this node is not in force.
    Degraded,
    /// Everything of this node is in force now.
    Recovered,
    /// A hook or device of this node has been without its program for long.
    HooksMissing,
    /// Every hook and device has its program again.
    HooksAttached,
}

impl Reason {
    /// The word in the Event.
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

    /// Whether it is no reason to worry.
    pub fn is_good(self) -> bool {
        matches!(self, Self::InForce | Self::Recovered | Self::HooksAttached)
    }
}

/// An Event to be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiEvent {
    /// The object that it is about.
    pub object: ObjectRef,
    /// What has happened.
    pub reason: Reason,
    /// In a sentence.
    pub note: String,
}
