//! Writes Events of the Kubernetes API about what an administrator must know: which field of a Service is not served, which
//! Service is not in force, and when all is well again. Every node may have the same to announce, so there are few Events: one for
//! each object and reason, repeated after [`REPEAT`] at the earliest, and at most [`LIMIT`] a minute. All others are dropped; the
//! log has them. Announcing never blocks.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    fmt::Display,
    time::{Duration, Instant},
};

use tokio::sync::mpsc;

use super::refusals::{Errors, Refused};
use crate::{
    desired::ServiceName,
    model::diagnostic::Diagnostic,
    objects::{ApiEvent, Kind, ObjectRef, Reason},
};

/// The most Events in any [`PERIOD`].
const LIMIT: usize = 10;
/// How many of them are reserved for the Node.
const FOR_NODE: usize = 2;
const PERIOD: Duration = Duration::from_mins(1);
/// The least time until an Event is repeated. The writer, which remembers an Event for 6 minutes, then raises its count.
const REPEAT: Duration = Duration::from_mins(5);

/// Decides what is announced.
#[derive(Debug)]
pub(super) struct Announcer {
    writer: mpsc::Sender<ApiEvent>,
    node: ObjectRef,
    /// When the Events of the last [`REPEAT`] were written.
    announced: BTreeMap<(ObjectRef, Reason), Instant>,
    /// When the Events of the last [`PERIOD`] were written.
    sent: VecDeque<Instant>,
    /// Services that were announced as not in force.
    lacking: BTreeSet<ServiceName>,
    is_degraded: bool,
    /// Whether hooks were announced as missing.
    lacks_hooks: bool,
    /// Services whose health checks were announced as not answered.
    unanswered: BTreeSet<ServiceName>,
}

impl Announcer {
    /// Returns the announcer of the node with this name.
    pub(super) fn new(writer: mpsc::Sender<ApiEvent>, node_name: &str) -> Self {
        let node = ObjectRef { kind: Kind::Node, namespace: String::new(), name: node_name.to_owned() };
        Self {
            writer,
            node,
            announced: BTreeMap::new(),
            sent: VecDeque::new(),
            lacking: BTreeSet::new(),
            is_degraded: false,
            lacks_hooks: false,
            unanswered: BTreeSet::new(),
        }
    }

    /// Announces that a field is not served, on its Service if there is one, else on the Node. `service` is the Service that an
    /// EndpointSlice belongs to.
    pub(super) fn skipped(&mut self, diagnostic: &Diagnostic, service: Option<&ServiceName>, now: Instant) {
        let Diagnostic { object, field, reason } = diagnostic;
        let note = format!("{field}: {reason}");
        match (object.kind, service) {
            (Kind::Service, _) => self.announce(object.clone(), Reason::NotServed, note, now),
            (_, Some(service)) => {
                self.announce(service_ref(service), Reason::NotServed, format!("{object}, {note}"), now)
            }
            _ => self.announce(self.node.clone(), Reason::NotServed, format!("{object}, {note}"), now),
        };
    }

    /// Announces that the last change of a Service is not in force.
    pub(super) fn refused(&mut self, service: &ServiceName, error: impl Display, now: Instant) {
        if self.announce(service_ref(service), Reason::NotInForce, format!("not in force: {error}"), now) {
            self.lacking.insert(service.clone());
        }
    }

    /// To be called after each plan: announces what has come into force, and when this node becomes or is no longer degraded.
    /// `refused` and `errors` are what is not in force.
    pub(super) fn applied(&mut self, refused: &BTreeSet<ServiceName>, errors: &Errors, now: Instant) {
        let healed: Vec<_> = self.lacking.difference(refused).cloned().collect();
        for service in healed {
            if self.announce(service_ref(&service), Reason::InForce, "in force".to_owned(), now) {
                self.lacking.remove(&service);
            }
        }
        if let Some((error, Refused { parts, first, .. })) = errors.first_key_value().filter(|_| !self.is_degraded) {
            let note = format!("not fully in force, trying again: {error} (parts: {parts}, the first: {first})");
            self.is_degraded = self.announce(self.node.clone(), Reason::Degraded, note, now);
        } else if errors.is_empty() && self.is_degraded {
            let note = "everything is in force".to_owned();
            self.is_degraded = !self.announce(self.node.clone(), Reason::Recovered, note, now);
        }
    }

    /// Announces that hooks or devices lack their programs, or that all have them again. `lacking` has a sentence for each that
    /// has been without for long.
    pub(super) fn missing(&mut self, lacking: &[String], now: Instant) {
        match lacking {
            [first, ..] if !self.lacks_hooks => {
                let note = format!("{first} (in all: {})", lacking.len());
                self.lacks_hooks = self.announce(self.node.clone(), Reason::HooksMissing, note, now);
            }
            [] if self.lacks_hooks => {
                let note = "every hook and device has its program again".to_owned();
                self.lacks_hooks = !self.announce(self.node.clone(), Reason::HooksAttached, note, now);
            }
            _ => {}
        }
    }

    /// The ports of these Services' health checks can't be listened on, in a sentence each.
    pub(super) fn blocked(&mut self, blocked: &BTreeMap<ServiceName, String>, now: Instant) {
        let here = self.node.name.clone();
        for (service, note) in blocked {
            let note = format!("node {here}: {note}");
            if !self.unanswered.contains(service)
                && self.announce(service_ref(service), Reason::HealthCheckBlocked, note, now)
            {
                self.unanswered.insert(service.clone());
            }
        }
        let healed: Vec<_> =
            self.unanswered.iter().filter(|service| !blocked.contains_key(*service)).cloned().collect();
        for service in healed {
            let note = format!("node {here}: healthCheckNodePort is no longer blocked");
            if self.announce(service_ref(&service), Reason::HealthCheckServed, note, now) {
                self.unanswered.remove(&service);
            }
        }
    }

    /// Sockets stay connected to backends that are gone, as `note` says. Returns whether that, or something like it, is written.
    pub(super) fn stale(&mut self, note: &str, now: Instant) -> bool {
        self.announce(self.node.clone(), Reason::StaleBackend, note.to_owned(), now)
    }

    /// Hands an Event to the writer. Returns false if it was dropped: too many were written, or the writer's queue is full.
    fn announce(&mut self, object: ObjectRef, reason: Reason, note: String, now: Instant) -> bool {
        while self.sent.front().is_some_and(|sent| now.duration_since(*sent) >= PERIOD) {
            self.sent.pop_front();
        }
        self.announced.retain(|_, announced| now.duration_since(*announced) < REPEAT);
        let key = (object, reason);
        if self.announced.contains_key(&key) {
            return true;
        }
        let room = if key.0.kind == Kind::Node { LIMIT } else { LIMIT - FOR_NODE };
        let event = ApiEvent { object: key.0.clone(), reason, note };
        if self.sent.len() >= room || self.writer.try_send(event).is_err() {
            return false;
        }
        self.sent.push_back(now);
        self.announced.insert(key, now);
        true
    }
}

fn service_ref(service: &ServiceName) -> ObjectRef {
    let (namespace, name) = (service.namespace.to_string(), service.name.to_string());
    ObjectRef { kind: Kind::Service, namespace, name }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn announcer() -> (Announcer, mpsc::Receiver<ApiEvent>) {
        let (writer, events) = mpsc::channel(1000);
        (Announcer::new(writer, "n1"), events)
    }

    fn service(number: usize) -> ServiceName {
        ServiceName::new("shop", format!("web-{number}"))
    }

    fn diagnostic(number: usize) -> Diagnostic {
        Diagnostic {
            object: service_ref(&service(number)),
            field: "spec.externalIPs[0]".to_owned(),
            reason: "127.0.0.1 is a loopback address; skipped".to_owned(),
        }
    }

    fn received(events: &mut mpsc::Receiver<ApiEvent>) -> Vec<(String, &'static str)> {
        let events = std::iter::from_fn(|| events.try_recv().ok());
        let checked = events.inspect(|ApiEvent { object, reason, .. }| {
            assert!(reason.objects().contains(&object.kind.to_string()), "{reason:?} is never about {object}");
        });
        checked.map(|event| (event.object.to_string(), event.reason.word())).collect()
    }

    fn errors(parts: usize) -> Errors {
        let refused = Refused { parts, first: "shop/web-0".to_owned(), is_service: true };
        if parts == 0 { Errors::new() } else { Errors::from([("SERVICES is full".to_owned(), refused)]) }
    }

    #[test]
    fn thousands_of_bad_services_are_few_events_in_any_minute() {
        let (mut announcer, mut events) = announcer();
        let start = Instant::now();
        let mut times = Vec::new();
        for second in 0..600 {
            let now = start + Duration::from_secs(second);
            for number in 0..1000 {
                announcer.skipped(&diagnostic(number), None, now);
                announcer.refused(&service(number), "SERVICES is full", now);
            }
            announcer.applied(&(0..1000).map(service).collect(), &errors(if second % 2 == 0 { 1000 } else { 0 }), now);
            times.extend(received(&mut events).into_iter().map(|_| second));
        }
        let in_minute = |from: &u64| times.iter().filter(|time| (*from..from + 60).contains(time)).count();
        assert!(times.iter().all(|from| in_minute(from) <= LIMIT));
        assert!(times.len() > 50, "they don't end: {}", times.len());
    }

    #[test]
    fn an_event_is_repeated_after_minutes_only() {
        let (mut announcer, mut events) = announcer();
        let start = Instant::now();
        for second in 0..=300 {
            announcer.skipped(&diagnostic(1), None, start + Duration::from_secs(second));
        }
        assert_eq!(received(&mut events), vec![("Service shop/web-1".to_owned(), "NotServed"); 2]);
    }

    #[test]
    fn full_and_healed_maps_make_events_of_the_service_and_of_the_node() {
        let (mut announcer, mut events) = announcer();
        let now = Instant::now();
        announcer.refused(&service(1), "SERVICES is full", now);
        announcer.applied(&BTreeSet::from([service(1)]), &errors(1), now);
        announcer.applied(&BTreeSet::from([service(1)]), &errors(1), now);
        announcer.applied(&BTreeSet::new(), &errors(0), now);
        announcer.applied(&BTreeSet::new(), &errors(0), now);
        let refused = [("Service shop/web-1", "NotInForce"), ("Node n1", "Degraded")];
        let healed = [("Service shop/web-1", "InForce"), ("Node n1", "Recovered")];
        let expected: Vec<_> =
            refused.into_iter().chain(healed).map(|(object, word)| (object.to_owned(), word)).collect();
        assert_eq!(received(&mut events), expected);
    }

    #[test]
    fn missing_hooks_make_one_event_and_so_does_their_return() {
        let (mut announcer, mut events) = announcer();
        let (now, lacking) = (Instant::now(), ["device eth0 has not been served".to_owned()]);
        for lacking in [&[][..], &lacking, &lacking, &[], &[]] {
            announcer.missing(lacking, now);
        }
        let sent = received(&mut events);
        let node = |word| ("Node n1".to_owned(), word);
        assert_eq!(sent, [node("HooksMissing"), node("HooksAttached")]);
    }

    #[test]
    fn a_blocked_health_check_makes_one_event_of_its_service_and_so_does_its_end() {
        let (mut announcer, mut events) = announcer();
        let (now, blocked) = (Instant::now(), BTreeMap::from([(service(1), "in use".to_owned())]));
        for blocked in [&BTreeMap::new(), &blocked, &blocked, &BTreeMap::new(), &BTreeMap::new()] {
            announcer.blocked(blocked, now);
        }
        let of = |word| ("Service shop/web-1".to_owned(), word);
        assert_eq!(received(&mut events), [of("FailedToStartServiceHealthcheck"), of("StartedServiceHealthcheck")]);
    }

    #[test]
    fn s29_stale_backends_make_events_of_the_node_and_wait_when_there_are_too_many() {
        let (mut announcer, mut events) = announcer();
        let start = Instant::now();
        assert!(announcer.stale("left", start) && announcer.stale("left again", start), "the first stands for both");
        assert_eq!(received(&mut events), [("Node n1".to_owned(), "StaleBackend")]);
        let later = start + REPEAT;
        (0..LIMIT).for_each(|number| announcer.refused(&service(number), "SERVICES is full", later));
        announcer.applied(&BTreeSet::new(), &errors(1), later);
        announcer.missing(&["device eth0 has not been served".to_owned()], later);
        assert!(!announcer.stale("left", later));
        assert!(announcer.stale("left", later + PERIOD));
    }

    #[test]
    fn events_of_an_endpoint_are_of_its_service_and_all_others_of_the_node() {
        let (mut announcer, mut events) = announcer();
        let now = Instant::now();
        for (kind, service) in [(Kind::EndpointSlice, Some(service(1))), (Kind::ServiceCidr, None)] {
            let object = ObjectRef { kind, namespace: String::new(), name: "x".to_owned() };
            announcer.skipped(&Diagnostic { object, ..diagnostic(0) }, service.as_ref(), now);
        }
        let objects: Vec<_> = received(&mut events).into_iter().map(|(object, _)| object).collect();
        assert_eq!(objects, ["Service shop/web-1", "Node n1"]);
    }
}
