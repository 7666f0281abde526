//! Computes the events between two states of a folder, in an order that keeps the receiver's state valid after each event.
//! Pure.

use std::collections::BTreeMap;

use crate::objects::{Event, Kind, Object, ObjectRef};

/// The order of the kinds: Services come before their endpoints.
const ORDER: [Kind; 4] = [Kind::Node, Kind::ServiceCidr, Kind::Service, Kind::EndpointSlice];

type Objects = BTreeMap<ObjectRef, Object>;

/// Returns events for all objects, with the end of each kind marked.
pub fn first(now: &Objects) -> Vec<Event> {
    let mut events = Vec::new();
    for kind in ORDER {
        events.extend(of_kind(now, kind).map(|(_, object)| applied(object)));
        events.push(Event::Listed(kind));
    }
    events
}

/// Returns events for the difference. For most kinds, deletions come first, since another object may have the address or
/// port now. Slices are deleted last, since their endpoints may have moved to a new slice, and a Service must not lack them
/// in between.
pub fn changes(before: &Objects, now: &Objects) -> Vec<Event> {
    let mut events = Vec::new();
    for kind in ORDER {
        let gone = of_kind(before, kind).filter(|(name, _)| !now.contains_key(name));
        let gone = gone.map(|(name, _)| Event::Deleted(name.clone()));
        let new = of_kind(now, kind).filter(|(name, object)| before.get(name) != Some(object));
        let new = new.map(|(_, object)| applied(object));
        if kind == Kind::EndpointSlice { events.extend(new.chain(gone)) } else { events.extend(gone.chain(new)) }
    }
    events
}

fn of_kind(objects: &Objects, kind: Kind) -> impl Iterator<Item = (&ObjectRef, &Object)> {
    objects.iter().filter(move |(name, _)| name.kind == kind)
}

fn applied(object: &Object) -> Event {
    Event::Applied(Box::new(object.clone()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::objects::{EndpointSlice, Service};

    fn objects(services: &[&str], slices: &[&str]) -> Objects {
        let service = |name: &&str| {
            let mut service = Service::default();
            service.metadata.name = Some((*name).to_owned());
            Object::Service(service)
        };
        let slice = |name: &&str| {
            let mut slice = EndpointSlice::default();
            slice.metadata.name = Some((*name).to_owned());
            Object::EndpointSlice(slice)
        };
        let all = services.iter().map(service).chain(slices.iter().map(slice));
        all.map(|object| (object.reference(), object)).collect()
    }

    #[test]
    fn s33_a_service_goes_before_its_follower_and_a_slice_after_it() {
        let (before, now) = (objects(&["a", "c"], &["a"]), objects(&["b", "c"], &["b"]));
        let shown: Vec<_> = changes(&before, &now)
            .iter()
            .map(|event| match event {
                Event::Applied(object) => format!("+ {}", object.reference()),
                Event::Deleted(name) => format!("- {name}"),
                Event::Listed(kind) => format!("= {kind}"),
            })
            .collect();
        assert_eq!(shown, ["- Service a", "+ Service b", "+ EndpointSlice b", "- EndpointSlice a"]);
        assert_eq!(changes(&now, &now), []);
    }
}
