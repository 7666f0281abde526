//! An Event of the Kubernetes API (events.k8s.io/v1), as the agent wants it written. Not to be confused with the
//! [`Event`](super::Event) of a source.

use super::ObjectRef;

/// Declares the reasons: each with its meaning, the `reason` and `type` of its Events, and the kinds of objects that they are
/// about.
macro_rules! reasons {
    ($($(#[doc = $meaning:literal])* $name:ident = $word:literal, $severity:ident, $objects:literal;)*) => {
        /// The reason for an Event.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Reason { $($(#[doc = $meaning])* $name,)* }

        impl Reason {
            /// Every reason.
            #[cfg(test)]
            pub const ALL: &[Self] = &[$(Self::$name),*];

            /// Returns the `reason` of the Event.
            pub const fn word(self) -> &'static str {
                match self { $(Self::$name => $word,)* }
            }

            /// Returns the `type` of the Event.
            pub const fn severity(self) -> Severity {
                match self { $(Self::$name => Severity::$severity,)* }
            }

            /// Returns the kinds of objects that such Events are about.
            #[cfg(test)]
            pub const fn objects(self) -> &'static str {
                match self { $(Self::$name => $objects,)* }
            }

            /// Returns what such Events say, without a full stop.
            #[cfg(test)]
            pub fn meaning(self) -> &'static str {
                match self { $(Self::$name => concat!($($meaning),*).trim().trim_end_matches('.'),)* }
            }
        }
    };
}

reasons! {
    /// A field of an object is not served: it is malformed, refused, or another Service has it already.
    NotServed = "NotServed", Warning, "Service, or Node";
    /// The Service's last change is not in force, because a map is full or can't be written. What was in force still is.
    NotInForce = "NotInForce", Warning, "Service";
    /// The Service's last change is in force now.
    InForce = "InForce", Normal, "Service";
    /// Something is not in force on this node; the Event has the number of parts.
    Degraded = "Degraded", Warning, "Node";
    /// Everything is in force on this node again.
    Recovered = "Recovered", Normal, "Node";
    /// A hook of the cgroup, or a device, has been without its program for a minute.
    HooksMissing = "HooksMissing", Warning, "Node";
    /// Every hook and device has its program again.
    HooksAttached = "HooksAttached", Normal, "Node";
    /// UDP sockets stay connected to backends that are gone, because the kernel refuses to end them or a namespace can't be looked
    /// into. Not with `--udp-termination=false`.
    StaleBackend = "StaleBackend", Warning, "Node";
    /// The Service's `healthCheckNodePort` can't be listened on at the node that the Event names. The reason is kube-proxy's word.
    HealthCheckBlocked = "FailedToStartServiceHealthcheck", Warning, "Service";
    /// The Service's `healthCheckNodePort` is listened on now, or no longer asked for.
    HealthCheckServed = "StartedServiceHealthcheck", Normal, "Service";
}

/// The `type` of an Event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// Something works again.
    Normal,
    /// Something may need an administrator.
    Warning,
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
