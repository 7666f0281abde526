//! Measures how long a change of endpoints takes from its cause until it is in force here (N11). The cause's time is the
//! annotation by which the EndpointSlice controller notes when a pod or Service has changed. Not counted: slices that exist at the
//! agent's start, deleted slices, and times that have not changed, are in the future or can't be read. Pure: the caller passes
//! the time.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    hash::{BuildHasher as _, RandomState},
    time::Duration,
};

use jiff::Timestamp;

use crate::{
    desired::{Family, ServiceName},
    objects::{EndpointSlice, Event, Object, TRIGGER_TIME},
};

/// The last trigger times of slices, and of the changes that are not in force yet.
#[derive(Debug, Default)]
pub(super) struct Triggers {
    /// When everything was listed: only later causes count. `None` before.
    since: Option<Timestamp>,
    names: RandomState,
    /// The last time of each slice, by a hash of namespace and name to save memory: there may be tens of thousands. If two
    /// hashes collide, a change is missed or counted twice.
    last: HashMap<u64, Timestamp>,
    waiting: BTreeMap<(ServiceName, Family), Vec<Timestamp>>,
}

impl Triggers {
    /// To be called when everything is listed: changes from `now` on count.
    pub(super) fn begin(&mut self, now: Timestamp) {
        self.since = Some(now);
    }

    /// Notes the trigger time of an event that the agent is about to serve.
    pub(super) fn note(&mut self, event: &Event, now: Timestamp) {
        match event {
            Event::Applied(object) => {
                if let Object::EndpointSlice(slice) = &**object {
                    self.note_slice(slice, now);
                }
            }
            Event::Deleted(gone) => {
                self.last.remove(&self.names.hash_one((&gone.namespace, &gone.name)));
            }
            Event::Listed(_) => {}
        }
    }

    fn note_slice(&mut self, slice: &EndpointSlice, now: Timestamp) {
        let metadata = &slice.metadata;
        let text = metadata.annotations.as_ref().and_then(|annotations| annotations.get(TRIGGER_TIME));
        let Some(time) = text.and_then(|text| text.parse::<Timestamp>().ok()) else { return };
        let namespace = metadata.namespace.clone().unwrap_or_default();
        let name = self.names.hash_one((&namespace, metadata.name.as_deref().unwrap_or_default()));
        let is_old = self.last.insert(name, time) == Some(time);
        let is_change = self.since.is_some_and(|since| time > since) && time <= now;
        if let (false, true, Some(service)) = (is_old, is_change, slice.service()) {
            let family = if slice.address_type == "IPv6" { Family::Ipv6 } else { Family::Ipv4 };
            self.waiting.entry((ServiceName::new(namespace, service), family)).or_default().push(time);
        }
    }

    /// To be called after each plan: all noted changes are in force, except those of the Services in `refused`, of which only the
    /// first is kept. Returns how long each change took.
    pub(super) fn in_force(&mut self, refused: &BTreeSet<ServiceName>, now: Timestamp) -> Vec<(Family, Duration)> {
        let mut took = Vec::new();
        self.waiting.retain(|(service, family), times| {
            if refused.contains(service) {
                times.truncate(1);
                return true;
            }
            took.extend(times.iter().filter_map(|time| Some((*family, now.duration_since(*time).try_into().ok()?))));
            false
        });
        took
    }
}

#[cfg(test)]
mod tests {
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

    use super::*;
    use crate::objects::{Kind, ObjectRef};

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_700_000_000 + second).unwrap()
    }

    fn slice(name: &str, annotation: &str) -> Event {
        let label = ("kubernetes.io/service-name".to_owned(), "web".to_owned());
        let metadata = ObjectMeta {
            namespace: Some("shop".to_owned()),
            name: Some(name.to_owned()),
            labels: Some(BTreeMap::from([label])),
            annotations: Some(BTreeMap::from([(TRIGGER_TIME.to_owned(), annotation.to_owned())])),
            ..ObjectMeta::default()
        };
        let slice = EndpointSlice { metadata, address_type: "IPv4".to_owned(), ..EndpointSlice::default() };
        Event::Applied(Box::new(Object::EndpointSlice(slice)))
    }

    fn deletion(name: &str) -> Event {
        let (namespace, name) = ("shop".to_owned(), name.to_owned());
        Event::Deleted(ObjectRef { kind: Kind::EndpointSlice, namespace, name })
    }

    /// Returns triggers of an agent that has listed the slice `a` at second 0, with a trigger time a week earlier.
    fn started() -> Triggers {
        let mut triggers = Triggers::default();
        triggers.note(&slice("a", &at(-604_800).to_string()), at(0));
        triggers.begin(at(0));
        triggers
    }

    /// Returns the seconds that each change took that comes into force after the events.
    fn counted(triggers: &mut Triggers, events: &[Event], now: i64) -> Vec<u64> {
        for event in events {
            triggers.note(event, at(now));
        }
        triggers.in_force(&BTreeSet::new(), at(now)).into_iter().map(|(_, took)| took.as_secs()).collect()
    }

    #[test]
    fn n11_a_change_counts_from_its_cause_until_it_is_in_force() {
        let mut triggers = started();
        assert_eq!(
            counted(&mut triggers, &[slice("a", &at(10).to_string()), slice("b", &at(12).to_string())], 15),
            [5, 3]
        );
        assert_eq!(counted(&mut triggers, &[slice("a", "2023-11-14T22:13:40.5+00:00")], 25), [4], "with another form");
    }

    #[test]
    fn n11_what_a_start_lists_does_not_count() {
        let mut triggers = Triggers::default();
        let list: Vec<_> = (0..10_000).map(|number| slice(&format!("s-{number}"), &at(-604_800).to_string())).collect();
        assert_eq!(counted(&mut triggers, &list, 0), [0; 0]);
        triggers.begin(at(1));
        assert_eq!(counted(&mut triggers, &list, 2), [0; 0], "nor when it is listed again");
        assert_eq!(counted(&mut triggers, &[slice("new", &at(-5).to_string())], 3), [0; 0], "nor what is older");
    }

    #[test]
    fn n11_times_that_did_not_move_or_lie_ahead_or_mean_nothing_do_not_count() {
        let mut triggers = started();
        assert_eq!(counted(&mut triggers, &[slice("a", &at(10).to_string())], 15), [5]);
        assert_eq!(counted(&mut triggers, &[slice("a", &at(10).to_string())], 70), [0; 0], "unchanged");
        assert_eq!(counted(&mut triggers, &[slice("a", &at(3600).to_string())], 80), [0; 0], "in the future");
        assert_eq!(counted(&mut triggers, &[slice("a", &at(3600).to_string())], 3700), [0; 0], "that has passed since");
        for unreadable in ["", "yesterday", "2023-11-14", "9999999999999999999", "2023-13-14T22:13:40Z"] {
            assert_eq!(counted(&mut triggers, &[slice("a", unreadable)], 90), [0; 0], "{unreadable}");
        }
        assert_eq!(counted(&mut triggers, &[deletion("a")], 95), [0; 0], "deleted");
    }

    #[test]
    fn n11_a_change_that_a_full_map_refuses_counts_when_it_is_in_force() {
        let mut triggers = started();
        let refused = BTreeSet::from([ServiceName::new("shop", "web")]);
        for second in [10, 20] {
            triggers.note(&slice("a", &at(second).to_string()), at(second));
            assert_eq!(triggers.in_force(&refused, at(second)), []);
        }
        assert_eq!(counted(&mut triggers, &[], 40), [30]);
    }
}
