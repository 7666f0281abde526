//! Computes the changes between two states of a folder, in an order that keeps the receiver's state valid after each change.
//! Pure.

use std::collections::BTreeMap;

use crate::objects::{Event, Kind, Object, ObjectRef};

/// The order of the kinds: Services come before their endpoints.
const ORDER: [Kind; 4] = [Kind::Node, Kind::ServiceCidr, Kind::Service, Kind::EndpointSlice];

/// A difference between two states. It becomes an event when its receiver is ready for it, so that not all of the objects are
/// unpacked at the same time.
#[derive(Clone, Debug, PartialEq)]
pub enum Change<T> {
    /// The object is new or differs.
    Applied(T),
    /// The object is gone.
    Deleted(ObjectRef),
    /// All objects of the kind have been named.
    Listed(Kind),
}

impl<T: Into<Object>> From<Change<T>> for Event {
    fn from(change: Change<T>) -> Self {
        match change {
            Change::Applied(object) => Self::Applied(Box::new(object.into())),
            Change::Deleted(reference) => Self::Deleted(reference),
            Change::Listed(kind) => Self::Listed(kind),
        }
    }
}

type Objects<T> = BTreeMap<ObjectRef, T>;

/// Returns all objects, with the end of each kind marked.
pub fn first<T: Clone>(now: &Objects<T>) -> Vec<Change<T>> {
    let mut changes = Vec::new();
    for kind in ORDER {
        changes.extend(of_kind(now, kind).map(|(_, object)| applied(object)));
        changes.push(Change::Listed(kind));
    }
    changes
}

/// Returns the difference. For most kinds, deletions come first, since another object may have the address or
/// port now. Slices are deleted last, since their endpoints may have moved to a new slice, and a Service must not lack them
/// in between.
pub fn changes<T: Clone + PartialEq>(before: &Objects<T>, now: &Objects<T>) -> Vec<Change<T>> {
    let mut changes = Vec::new();
    for kind in ORDER {
        let gone = of_kind(before, kind).filter(|(name, _)| !now.contains_key(name));
        let gone = gone.map(|(name, _)| Change::Deleted(name.clone()));
        let new = of_kind(now, kind).filter(|(name, object)| before.get(name) != Some(object));
        let new = new.map(|(_, object)| applied(object));
        if kind == Kind::EndpointSlice { changes.extend(new.chain(gone)) } else { changes.extend(gone.chain(new)) }
    }
    changes
}

fn of_kind<T>(objects: &Objects<T>, kind: Kind) -> impl Iterator<Item = (&ObjectRef, &T)> {
    objects.iter().filter(move |(name, _)| name.kind == kind)
}

fn applied<T: Clone>(object: &T) -> Change<T> {
    Change::Applied(object.clone())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::objects::{EndpointSlice, Service};

    fn objects(services: &[&str], slices: &[&str]) -> Objects<Object> {
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
                Change::Applied(object) => format!("+ {}", object.reference()),
                Change::Deleted(name) => format!("- {name}"),
                Change::Listed(kind) => format!("= {kind}"),
            })
            .collect();
        assert_eq!(shown, ["- Service a", "+ Service b", "+ EndpointSlice b", "- EndpointSlice a"]);
        assert_eq!(changes(&now, &now), []);
    }
}
