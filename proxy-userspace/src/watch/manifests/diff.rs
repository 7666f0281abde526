//! Remembers what has been reported, and returns the changes to a later state of a folder, in an order that keeps the receiver's
//! state valid after each change.

use std::{collections::BTreeMap, hash::RandomState};

use super::packed::Packed;
use crate::objects::{Event, Kind, Object, ObjectRef};

/// The order of the kinds: Services come before their endpoints.
const ORDER: [Kind; 4] = [Kind::Node, Kind::ServiceCidr, Kind::Service, Kind::EndpointSlice];

/// A difference between two states. It becomes an event when its receiver is ready for it, so that not all of the objects are
/// unpacked at the same time.
#[derive(Debug)]
pub enum Change {
    /// The object is new or differs.
    Applied(Packed<Object>),
    /// The object is gone.
    Deleted(ObjectRef),
    /// All objects of the kind have been named.
    Listed(Kind),
}

impl From<Change> for Event {
    fn from(change: Change) -> Self {
        match change {
            Change::Applied(object) => Self::Applied(Box::new(object.unpack())),
            Change::Deleted(reference) => Self::Deleted(reference),
            Change::Listed(kind) => Self::Listed(kind),
        }
    }
}

/// The objects of a folder by their names.
pub type Objects = BTreeMap<ObjectRef, Packed<Object>>;

/// The objects that were reported last.
#[derive(Debug, Default)]
pub struct Reported {
    /// A keyed hash of each object, instead of the object, to save memory; `None` before the first report. If an object changes
    /// and both forms have the same hash, the change is missed.
    hashes: Option<BTreeMap<ObjectRef, u64>>,
    keys: RandomState,
}

impl Reported {
    /// Whether the first report has been made.
    pub fn has_begun(&self) -> bool {
        self.hashes.is_some()
    }

    /// Replaces the reported objects, and returns what differs; the first time, everything.
    pub fn replace(&mut self, now: Objects) -> Vec<Change> {
        let hash = |object: &Packed<Object>| object.hash(&self.keys);
        let Some(hashes) = &mut self.hashes else {
            let changes = all(&now);
            self.hashes = Some(now.into_iter().map(|(name, object)| (name, hash(&object))).collect());
            return changes;
        };
        let gone = hashes.extract_if(.., |name, _| !now.contains_key(name));
        let mut changes: Vec<_> = gone.map(|(name, _)| (name.kind, Change::Deleted(name))).collect();
        for (name, object) in now {
            let (kind, hash) = (name.kind, hash(&object));
            if hashes.insert(name, hash) != Some(hash) {
                changes.push((kind, Change::Applied(object)));
            }
        }
        in_order(changes)
    }
}

/// Returns all objects, with the end of each kind marked.
pub fn all(objects: &Objects) -> Vec<Change> {
    let mut changes = Vec::new();
    for kind in ORDER {
        let of_kind = objects.iter().filter(|(name, _)| name.kind == kind);
        changes.extend(of_kind.map(|(_, object)| Change::Applied(object.clone())));
        changes.push(Change::Listed(kind));
    }
    changes
}

/// Sorts changes by kind. Of most kinds, deletions come first, since another object may have the address or port now. Slices are
/// deleted last, since their endpoints may have moved to a new slice, and a Service must not lack them in between.
fn in_order(mut changes: Vec<(Kind, Change)>) -> Vec<Change> {
    changes.sort_by_key(|(kind, change)| {
        let is_deleted = matches!(change, Change::Deleted(_));
        let is_late = is_deleted == (*kind == Kind::EndpointSlice);
        (ORDER.iter().position(|other| other == kind), is_late)
    });
    changes.into_iter().map(|(_, change)| change).collect()
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
        all.map(|object| (object.reference(), Packed::of(&object))).collect()
    }

    fn shown(changes: Vec<Change>) -> Vec<String> {
        let show = |change| match Event::from(change) {
            Event::Applied(object) => format!("+ {}", object.reference()),
            Event::Deleted(name) => format!("- {name}"),
            Event::Listed(kind) => format!("= {kind}"),
        };
        changes.into_iter().map(show).collect()
    }

    #[test]
    fn s33_a_service_goes_before_its_follower_and_a_slice_after_it() {
        let mut reported = Reported::default();
        reported.replace(objects(&["a", "c"], &["a"]));
        let now = objects(&["b", "c"], &["b"]);
        let changes = shown(reported.replace(now.clone()));
        assert_eq!(changes, ["- Service a", "+ Service b", "+ EndpointSlice b", "- EndpointSlice a"]);
        assert_eq!(shown(reported.replace(now)), [""; 0]);
    }

    #[test]
    fn s30_only_the_first_report_marks_the_ends_of_kinds() {
        let mut reported = Reported::default();
        assert!(!reported.has_begun());
        let changes = shown(reported.replace(objects(&["a"], &[])));
        assert_eq!(changes, ["= Node", "= ServiceCIDR", "+ Service a", "= Service", "= EndpointSlice"]);
        assert!(reported.has_begun());
        assert_eq!(shown(reported.replace(Objects::new())), ["- Service a"]);
        assert_eq!(shown(reported.replace(objects(&["a"], &[]))), ["+ Service a"]);
    }

    #[test]
    fn s33_a_changed_object_is_reported_once() {
        let with_families = |policy: &str| {
            let mut service = Service::default();
            service.spec.ip_family_policy = Some(policy.to_owned());
            let object = Object::Service(service);
            Objects::from([(object.reference(), Packed::of(&object))])
        };
        let mut reported = Reported::default();
        reported.replace(with_families("SingleStack"));
        assert_eq!(reported.replace(with_families("PreferDualStack")).len(), 1);
        assert_eq!(reported.replace(with_families("PreferDualStack")).len(), 0);
    }
}
