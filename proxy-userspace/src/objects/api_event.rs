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
    /// UDP sockets stay connected to a backend that is gone.
    StaleBackend,
    /// A Service's `healthCheckNodePort` can't be listened on.
    HealthCheckBlocked,
    /// It is listened on now, or no longer asked for.
    HealthCheckServed,
}

impl Reason {
    /// Every reason.
    #[cfg(test)]
    pub const ALL: [Self; 10] = [
        Self::NotServed,
        Self::NotInForce,
        Self::InForce,
        Self::Degraded,
        Self::Recovered,
        Self::HooksMissing,
        Self::HooksAttached,
        Self::StaleBackend,
        Self::HealthCheckBlocked,
        Self::HealthCheckServed,
    ];

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
            Self::StaleBackend => "StaleBackend",
            // kube-proxy's word.
            Self::HealthCheckBlocked => "FailedToStartServiceHealthcheck",
            Self::HealthCheckServed => "StartedServiceHealthcheck",
        }
    }

    /// Whether the Event's `type` is Normal rather than Warning.
    pub fn is_good(self) -> bool {
        matches!(self, Self::InForce | Self::Recovered | Self::HooksAttached | Self::HealthCheckServed)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_of_events_has_every_reason_and_its_type() {
        let text = include_str!("../../../docs/metrics.md");
        let (_, events) = text.split_once("## Events").unwrap();
        let rows = events.lines().filter_map(|line| line.strip_prefix("| `")?.split_once("` | "));
        let documented: Vec<_> = rows.filter_map(|(word, rest)| Some((word, rest.split_once(" |")?.0))).collect();
        let kind = |reason: Reason| if reason.is_good() { "Normal" } else { "Warning" };
        assert_eq!(documented, Reason::ALL.map(|reason| (reason.word(), kind(reason))));
    }
}
