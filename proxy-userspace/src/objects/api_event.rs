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
            Self::StaleBackend => "StaleBackend",
            // kube-proxy's word.
            Self::HealthCheckBlocked => "FailedToStartServiceHealthcheck",
            Self::HealthCheckServed => "StartedServiceHealthcheck",
        }
    }

    /// Whether it is no reason to worry.
    pub fn is_good(self) -> bool {
        matches!(self, Self::InForce | Self::Recovered | Self::HooksAttached | Self::HealthCheckServed)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_of_events_has_every_reason_and_its_type() {
        let text = include_str!("../../../docs/metrics.md");
        let (_, events) = text.split_once("## Events").unwrap();
        let rows = events.lines().filter_map(|line| line.strip_prefix("| `")?.split_once("` | "));
        let told: Vec<_> = rows.filter_map(|(word, rest)| Some((word, rest.split_once(" |")?.0))).collect();
        let kind = |reason: Reason| if reason.is_good() { "Normal" } else { "Warning" };
        assert_eq!(told, Reason::ALL.map(|reason| (reason.word(), kind(reason))));
    }
}
