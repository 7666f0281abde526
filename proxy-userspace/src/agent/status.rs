//! The agent's status. The agent publishes a new value after each plan, and notes every two seconds that it is alive. The health
//! port, health checks and metrics read it when they are requested.

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use super::{
    checks::{BlockedPorts, HealthByPort},
    durations::Durations,
    no_local::NoLocal,
    refusals::Refused,
};
use crate::{
    apply::{Size, Usage},
    attach::Missing,
    model::diagnostic::Diagnostic,
    objects::Kind,
    sockets::Stale,
    watch::contact::Contact,
};

/// How long something may be wrong before the agent counts as unhealthy: kube-proxy's limit (twice its minimum sync period).
const UNHEALTHY_AFTER: Duration = Duration::from_mins(1);

/// The most skipped fields that are named.
pub(super) const EXAMPLES: usize = 20;

/// The agent's published state.
#[derive(Clone, Debug)]
pub struct Status {
    /// How many plans have been written.
    pub generation: u64,
    /// How much is in force.
    pub size: Size,
    /// How many entries the maps have that the agent writes. Updated within two seconds after a plan.
    pub usage: Usage,
    /// The generation that `usage` was counted at.
    pub usage_of: u64,
    /// The parts of plans that are not in force, by the text of the error.
    pub refused: Arc<BTreeMap<String, Refused>>,
    /// When the API server last sent something; `None` for a folder, which is always there.
    pub contact: Option<Contact>,
    /// How long the API server may be silent before the agent counts as unhealthy; `None` for no limit.
    pub silence: Option<Duration>,
    /// Whether every hook has had its program since the start.
    pub attached: bool,
    /// Since when writes have failed for another reason than a full map.
    pub failing: Option<Instant>,
    /// The hooks and devices that lack their programs. Tasks that attach programs update it through clones.
    pub missing: Missing,
    /// Sockets that stay connected to backends that are gone. The thread that ends sockets updates it through a clone.
    pub stale: Stale,
    /// Ports of health checks that can't be listened on. The servers of health checks update it through clones.
    pub blocked: BlockedPorts,
    /// When the agent's loop last ran.
    pub alive: Instant,
    /// When an event last arrived; `None` before the first.
    pub queued: Option<SystemTime>,
    /// When a plan last came into force, except for what a full map has no room for; `None` before the first.
    pub applied: Option<SystemTime>,
    /// Whether load balancers may send packets to this node: its Node object exists and is not about to be removed.
    pub eligible: bool,
    /// The health of Services by `healthCheckNodePort`.
    pub checks: HealthByPort,
    /// How many events have arrived, by kind of object.
    pub events: BTreeMap<Kind, u64>,
    /// How many of them have been served.
    pub events_served: BTreeMap<Kind, u64>,
    /// How long plans and changes took.
    pub durations: Durations,
    /// How many fields of objects are skipped, by the kind of object.
    pub skipped: BTreeMap<Kind, usize>,
    /// The first of these fields, at most [`EXAMPLES`].
    pub skipped_fields: Arc<[Diagnostic]>,
    /// Numbers of service ports with a policy of Local and no backend on this node.
    pub no_local: NoLocal,
}

impl Status {
    /// Returns the status of an agent that has programmed nothing yet. The arguments are the fields of these names.
    pub fn following(contact: Option<Contact>, silence: Option<Duration>) -> Self {
        Self { contact, silence, ..Self::new() }
    }

    /// Returns the status of an agent that has programmed nothing yet and follows a folder.
    pub fn new() -> Self {
        Self {
            generation: 0,
            size: Size::default(),
            usage: Usage::default(),
            usage_of: 0,
            refused: Arc::default(),
            contact: None,
            silence: None,
            attached: false,
            failing: None,
            missing: Missing::default(),
            stale: Stale::default(),
            blocked: BlockedPorts::default(),
            alive: Instant::now(),
            queued: None,
            applied: None,
            eligible: true,
            checks: HealthByPort::default(),
            events: BTreeMap::new(),
            events_served: BTreeMap::new(),
            durations: Durations::default(),
            skipped: BTreeMap::new(),
            skipped_fields: Arc::default(),
            no_local: NoLocal::default(),
        }
    }

    /// Adds to the numbers of events, which have arrived at `time`.
    pub(super) fn count(&mut self, events: BTreeMap<Kind, u64>, time: SystemTime) {
        if !events.is_empty() {
            self.queued = Some(time);
        }
        for (kind, count) in events {
            *self.events.entry(kind).or_default() += count;
        }
    }

    /// Returns what makes the agent unhealthy at `now`, in a sentence each; empty if it is healthy. A full map does not make it
    /// unhealthy: all else is served, and a restart would change nothing.
    pub fn problems(&self, now: Instant) -> Vec<String> {
        let mut problems = self.local_problems(now);
        if let (Some(contact), Some(limit)) = (&self.contact, self.silence) {
            let (kind, silence) = contact.silence(now);
            if silence > limit {
                problems
                    .push(format!("nothing heard of {kind} objects from the API server for {} s", silence.as_secs()));
            }
        }
        problems
    }

    /// Whether this node serves what was last heard of, and can follow changes. An API server that is silent does not count: every
    /// node has it, and load balancers that skip all nodes cut what is served (S30).
    pub fn is_serving(&self, now: Instant) -> bool {
        self.local_problems(now).is_empty()
    }

    /// What is wrong on this node. What a full map has no room for is not: the rest is served, and another start would change
    /// nothing.
    fn local_problems(&self, now: Instant) -> Vec<String> {
        let lasts = |since: Instant| now.saturating_duration_since(since);
        let mut problems = Vec::new();
        if self.generation == 0 {
            problems.push("nothing is programmed yet".to_owned());
        } else if !self.attached {
            problems.push("programs are not attached yet".to_owned());
        }
        if lasts(self.alive) > UNHEALTHY_AFTER {
            problems.push(format!("the agent has been stuck for {} s", lasts(self.alive).as_secs()));
        }
        if let Some(since) = self.failing.filter(|since| lasts(*since) > UNHEALTHY_AFTER) {
            problems.push(format!("writing maps has failed for {} s", lasts(since).as_secs()));
        }
        problems.extend(self.long_missing(now));
        problems
    }

    /// Returns the hooks and devices that have lacked their programs for longer than [`UNHEALTHY_AFTER`], in a sentence each.
    pub(crate) fn long_missing(&self, now: Instant) -> Vec<String> {
        self.missing.missing_longer_than(UNHEALTHY_AFTER, now)
    }
}

impl Default for Status {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_are_queued_when_they_arrive_and_not_when_they_are_in_force() {
        let mut status = Status::new();
        let time = SystemTime::UNIX_EPOCH + Duration::from_secs(7);
        status.count(BTreeMap::new(), time);
        assert_eq!((status.queued, status.applied), (None, None), "the end of a list changes nothing");
        status.count(BTreeMap::from([(Kind::Service, 2)]), time);
        assert_eq!((status.queued, status.applied), (Some(time), None));
    }

    #[test]
    fn n13_writes_that_fail_for_long_are_unhealthy_and_a_full_map_is_not() {
        let start = Instant::now();
        let full = Refused { parts: 3, first: "shop/web".to_owned(), is_service: true };
        let status = Status {
            generation: 1,
            attached: true,
            alive: start,
            refused: Arc::new(BTreeMap::from([("SERVICES is full".to_owned(), full)])),
            ..Status::new()
        };
        assert!(status.problems(start).is_empty());
        let failing = Status { failing: Some(start), ..status.clone() };
        let later = start + UNHEALTHY_AFTER + Duration::from_secs(1);
        let alive = Status { alive: later, ..failing };
        assert!(alive.problems(start + UNHEALTHY_AFTER).is_empty(), "for a while it may fail");
        assert_eq!(alive.problems(later), ["writing maps has failed for 61 s"]);
        assert_eq!(status.problems(later), ["the agent has been stuck for 61 s"]);
        assert_eq!(Status { generation: 0, ..Status::new() }.problems(start), ["nothing is programmed yet"]);
        assert_eq!(Status { generation: 1, ..Status::new() }.problems(start), ["programs are not attached yet"]);
    }

    #[test]
    fn s22_s30_a_silent_api_server_makes_the_agent_unhealthy_but_not_what_it_serves() {
        let start = Instant::now();
        let (contact, silence) = (Some(Contact::new()), Some(Duration::from_mins(10)));
        let later = start + Duration::from_hours(1);
        let status = Status { generation: 1, attached: true, alive: later, ..Status::following(contact, silence) };
        assert!(status.problems(later)[0].starts_with("nothing heard of"), "{:?}", status.problems(later));
        assert!(status.is_serving(later));
        for wrong in [
            Status { generation: 0, ..status.clone() },
            Status { attached: false, ..status.clone() },
            Status { alive: start, ..status.clone() },
            Status { failing: Some(start), ..status },
        ] {
            assert!(!wrong.is_serving(later), "{:?}", wrong.problems(later));
        }
    }
}
