//! Keeps the names of the reported objects of one kind, and decides what a list or a watch event means for them. Does not
//! keep the objects.

use std::collections::HashMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use crate::objects::{Kind, ObjectRef};

#[derive(Debug)]
struct Entry {
    /// The number of the last list that contained the object.
    round: u32,
    /// Whether its current content could not be read.
    unreadable: bool,
}

/// The reported objects of one kind.
#[derive(Debug)]
pub(super) struct Known {
    kind: Kind,
    /// Entries by `namespace/name`, in one string each because there are tens of thousands. Neither part may contain a slash.
    objects: HashMap<Box<str>, Entry>,
    /// How many of them can't be read.
    unreadable: usize,
    round: u32,
    /// The newest resource version seen. The events of a watch come in the order of their versions.
    newest: u64,
}

/// An object's name and resource version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Seen {
    pub(super) namespace: String,
    pub(super) name: String,
    /// `None` if it is not a number and so can't be compared.
    pub(super) version: Option<u64>,
}

impl Seen {
    pub(super) fn of(kind: Kind, metadata: &ObjectMeta) -> Self {
        Self {
            namespace: metadata.namespace.clone().filter(|_| kind.has_namespaces()).unwrap_or_default(),
            name: metadata.name.clone().unwrap_or_default(),
            version: metadata.resource_version.as_ref().and_then(|version| version.parse().ok()),
        }
    }
}

impl Known {
    pub(super) fn new(kind: Kind) -> Self {
        Self { kind, objects: HashMap::new(), unreadable: 0, round: 0, newest: 0 }
    }

    /// Notes that a list begins. Its versions count even if older ones were seen: the cluster may have been restored.
    pub(super) fn begin_list(&mut self) {
        self.round += 1;
        self.newest = 0;
    }

    /// Notes that the list contains the object.
    pub(super) fn listed(&mut self, seen: &Seen) {
        self.advance(seen);
        self.touch(seen);
    }

    /// Notes that the list is complete. Returns the known objects that it did not contain, and forgets them.
    pub(super) fn end_list(&mut self) -> Vec<ObjectRef> {
        let round = self.round;
        let gone: Vec<_> = self.objects.extract_if(|_, entry| entry.round != round).collect();
        self.unreadable -= gone.iter().filter(|(_, entry)| entry.unreadable).count();
        gone.into_iter().map(|(key, _)| reference(self.kind, &key)).collect()
    }

    /// Notes that the object was added or changed. Returns false if the event is older than what is known and must be ignored.
    pub(super) fn changed(&mut self, seen: &Seen) -> bool {
        let current = self.advance(seen);
        if current {
            self.touch(seen);
        }
        current
    }

    /// Notes that the object was deleted, and returns it; `None` if it is not known, or if the event is older than what is known.
    pub(super) fn deleted(&mut self, seen: Seen) -> Option<ObjectRef> {
        if !self.advance(&seen) {
            return None;
        }
        let Seen { namespace, name, .. } = seen;
        self.unreadable -= usize::from(self.objects.remove(&*key(&namespace, &name))?.unreadable);
        Some(ObjectRef { kind: self.kind, namespace, name })
    }

    /// Notes whether the object's content could be read. Returns true when it becomes unreadable.
    pub(super) fn note_unreadable(&mut self, namespace: &str, name: &str, unreadable: bool) -> bool {
        let Some(entry) = self.objects.get_mut(&*key(namespace, name)) else { return false };
        let was_unreadable = std::mem::replace(&mut entry.unreadable, unreadable);
        self.unreadable = self.unreadable + usize::from(unreadable) - usize::from(was_unreadable);
        !was_unreadable && unreadable
    }

    /// How many of the objects can't be read.
    pub(super) const fn unreadable(&self) -> usize {
        self.unreadable
    }

    /// Advances to the object's version. Returns true if it is newer than all versions before.
    fn advance(&mut self, seen: &Seen) -> bool {
        let newer = seen.version.is_none_or(|version| version > self.newest);
        self.newest = self.newest.max(seen.version.unwrap_or_default());
        newer
    }

    fn touch(&mut self, seen: &Seen) {
        let entry = self.objects.entry(key(&seen.namespace, &seen.name));
        entry.or_insert(Entry { round: 0, unreadable: false }).round = self.round;
    }
}

fn key(namespace: &str, name: &str) -> Box<str> {
    format!("{namespace}/{name}").into()
}

fn reference(kind: Kind, key: &str) -> ObjectRef {
    let (namespace, name) = key.split_once('/').unwrap_or_default();
    ObjectRef { kind, namespace: namespace.to_owned(), name: name.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(name: &str, version: u64) -> Seen {
        Seen { namespace: "shop".to_owned(), name: name.to_owned(), version: Some(version) }
    }

    #[test]
    fn a_key_is_an_objects_name_with_or_without_a_namespace() {
        for (namespace, name) in [("shop", "a"), ("", "node.example.com")] {
            let found = reference(Kind::Node, &key(namespace, name));
            assert_eq!((found.namespace.as_str(), found.name.as_str()), (namespace, name));
        }
    }

    fn names(gone: Vec<ObjectRef>) -> Vec<String> {
        gone.into_iter().map(|object| object.name).collect()
    }

    fn listed(objects: &[(&str, u64)]) -> Known {
        let mut known = Known::new(Kind::Service);
        list(&mut known, objects);
        known
    }

    fn list(known: &mut Known, objects: &[(&str, u64)]) -> Vec<String> {
        known.begin_list();
        for (name, version) in objects {
            known.listed(&seen(name, *version));
        }
        names(known.end_list())
    }

    #[test]
    fn s30_a_relist_tells_what_is_gone() {
        let mut known = listed(&[("a", 2), ("b", 3)]);
        assert!(known.changed(&seen("c", 4)));
        assert_eq!(list(&mut known, &[("c", 4), ("a", 2)]), ["b"]);
        assert!(list(&mut known, &[("c", 4), ("a", 2)]).is_empty());
    }

    #[test]
    fn s30_a_broken_off_list_deletes_nothing() {
        let mut known = listed(&[("a", 2), ("b", 3)]);
        known.begin_list();
        known.listed(&seen("a", 2));
        assert!(list(&mut known, &[("a", 2), ("b", 3)]).is_empty());
    }

    #[test]
    fn s30_events_older_than_what_is_known_are_ignored() {
        let mut known = listed(&[("a", 5)]);
        assert!(!known.changed(&seen("a", 4)));
        assert!(!known.changed(&seen("deleted-long-ago", 3)));
        assert_eq!(known.deleted(seen("a", 5)), None);
        assert!(known.deleted(seen("a", 6)).is_some());
        assert_eq!(known.deleted(seen("never-seen", 6)), None);
        assert!(known.changed(&seen("a", 7)));
    }

    #[test]
    fn s30_a_list_is_believed_although_older() {
        let mut known = listed(&[("a", 50)]);
        assert_eq!(list(&mut known, &[("b", 7)]), ["a"]);
        assert!(known.changed(&seen("b", 8)));
    }

    #[test]
    fn s6_unreadable_content_is_reported_once_until_it_has_been_readable() {
        let mut known = listed(&[("a", 1)]);
        let reported: Vec<_> =
            [true, true, false, true].map(|unreadable| known.note_unreadable("shop", "a", unreadable)).into();
        assert_eq!(reported, [true, false, false, true]);
    }

    #[test]
    fn s6_unreadable_objects_are_counted_as_long_as_they_are_there() {
        let mut known = listed(&[("a", 1), ("b", 2), ("c", 3)]);
        let counts: Vec<_> = [("a", true), ("b", true), ("c", true), ("a", true), ("b", false), ("unknown", true)]
            .map(|(name, unreadable)| {
                known.note_unreadable("shop", name, unreadable);
                known.unreadable()
            })
            .into();
        assert_eq!(counts, [1, 2, 3, 3, 2, 2]);
        known.deleted(seen("a", 4)).unwrap();
        assert_eq!(known.unreadable(), 1);
        known.begin_list();
        known.listed(&seen("b", 5));
        known.end_list();
        assert_eq!(known.unreadable(), 0);
    }
}
