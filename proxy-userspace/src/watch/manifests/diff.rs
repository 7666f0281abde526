//! What changed between two worlds, in an order that keeps a reader right at every moment. Pure.

use std::collections::BTreeMap;

use crate::watch::{Event, Kind, Object, ObjectRef};

/// Frontends come before the endpoints that answer them.
const ORDER: [Kind; 4] = [Kind::Node, Kind::ServiceCidr, Kind::Service, Kind::EndpointSlice];

type Objects = BTreeMap<ObjectRef, Object>;

/// Every object, with each kind's end marked.
pub fn first(now: &Objects) -> Vec<Event> {
    let mut events = Vec::new();
    for kind in ORDER {
        events.extend(of_kind(now, kind).map(|(_, object)| applied(object)));
        events.push(Event::Listed(kind));
    }
    events
}

/// The difference. What is gone goes first: its address or its port may be another's now.
pub fn changes(before: &Objects, now: &Objects) -> Vec<Event> {
    let gone = ORDER.into_iter().flat_map(|kind| of_kind(before, kind)).filter(|(name, _)| !now.contains_key(name));
    let new =
        ORDER.into_iter().flat_map(|kind| of_kind(now, kind)).filter(|(name, object)| before.get(name) != Some(object));
    gone.map(|(name, _)| Event::Deleted(name.clone())).chain(new.map(|(_, object)| applied(object))).collect()
}

fn of_kind(objects: &Objects, kind: Kind) -> impl Iterator<Item = (&ObjectRef, &Object)> {
    objects.iter().filter(move |(name, _)| name.kind == kind)
}

fn applied(object: &Object) -> Event {
    Event::Applied(Box::new(object.clone()))
}
