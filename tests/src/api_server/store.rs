//! Objects, their versions, and the history that serves watches and pages. It must not know of HTTP.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
    time::{SystemTime, UNIX_EPOCH},
};

use k8s_openapi::jiff::Timestamp;
use serde_json::{Value, json};

use super::{
    resource::{Resource, by_kind},
    status::Refusal,
};

/// Orders objects as the API lists them.
pub(super) type Key = (String, String);

/// What happened to one object at one version.
#[derive(Clone, Debug)]
pub(super) struct Change {
    pub(super) version: u64,
    resource: &'static Resource,
    pub(super) key: Key,
    pub(super) before: Option<Arc<Value>>,
    pub(super) after: Option<Arc<Value>>,
}

/// All objects.
#[derive(Debug)]
pub(super) struct Store {
    version: u64,
    /// The newest version whose changes are forgotten.
    compacted: u64,
    /// How many changes are remembered.
    pub(super) window: usize,
    objects: BTreeMap<(&'static str, Key), Arc<Value>>,
    history: VecDeque<Change>,
}

impl Store {
    pub(super) fn new(window: usize) -> Self {
        // Real versions never begin at 0, which means "any" in a request.
        Self { version: 1, compacted: 1, window, objects: BTreeMap::new(), history: VecDeque::new() }
    }

    /// The newest version.
    pub(super) fn version(&self) -> u64 {
        self.version
    }

    /// The oldest version that a watch can begin at.
    pub(super) fn oldest(&self) -> u64 {
        self.compacted
    }

    /// Creates or replaces an object as the API would: fills in the fields that the server owns, and makes no new
    /// version for a replacement that changes nothing. The error says what is wrong with the object.
    pub(super) fn put(&mut self, mut object: Value) -> Result<Value, String> {
        let resource = resource_of(&object)?;
        let key = key_of(resource, &mut object)?;
        let before = self.objects.get(&(resource.plural, key.clone())).cloned();
        let next = self.version + 1;
        match &before {
            Some(before) => keep_owned_fields(&mut object, before),
            None => set_owned_fields(&mut object, next),
        }
        if before.as_deref() == Some(&object) {
            return Ok(object);
        }
        if before.as_ref().is_some_and(|before| content(before) != content(&object)) {
            let generation = object["metadata"]["generation"].as_u64().unwrap_or_default();
            object["metadata"]["generation"] = json!(generation + 1);
        }
        object["metadata"]["resourceVersion"] = json!(next.to_string());
        let after = Arc::new(object.clone());
        self.objects.insert((resource.plural, key.clone()), Arc::clone(&after));
        self.record(Change { version: next, resource, key, before, after: Some(after) });
        Ok(object)
    }

    /// Deletes an object; false if there was none.
    pub(super) fn delete(&mut self, resource: &'static Resource, key: Key) -> bool {
        let Some(before) = self.objects.remove(&(resource.plural, key.clone())) else { return false };
        self.record(Change { version: self.version + 1, resource, key, before: Some(before), after: None });
        true
    }

    /// Forgets all history: watches and pages of any older version are expired.
    pub(super) fn compact(&mut self) {
        self.history.clear();
        self.compacted = self.version;
    }

    /// The objects of a resource as they were at a version.
    pub(super) fn snapshot(&self, resource: &Resource, version: u64) -> Result<BTreeMap<Key, Arc<Value>>, Refusal> {
        if version < self.compacted {
            return Err(expired(version, self.compacted));
        }
        let mut objects: BTreeMap<Key, Arc<Value>> = self
            .objects
            .iter()
            .filter(|((plural, _), _)| *plural == resource.plural)
            .map(|((_, key), object)| (key.clone(), Arc::clone(object)))
            .collect();
        let first = self.history.partition_point(|change| change.version <= version);
        for change in self.history.range(first..).rev().filter(|change| change.resource == resource) {
            match &change.before {
                Some(before) => objects.insert(change.key.clone(), Arc::clone(before)),
                None => objects.remove(&change.key),
            };
        }
        Ok(objects)
    }

    /// The changes of a resource after a version, oldest first.
    pub(super) fn changes_after(&self, resource: &Resource, version: u64) -> Result<Vec<Change>, Refusal> {
        if version < self.compacted {
            return Err(expired(version, self.compacted));
        }
        let first = self.history.partition_point(|change| change.version <= version);
        Ok(self.history.range(first..).filter(|change| change.resource == resource).cloned().collect())
    }

    fn record(&mut self, change: Change) {
        self.version = change.version;
        self.history.push_back(change);
        while self.history.len() > self.window {
            if let Some(forgotten) = self.history.pop_front() {
                self.compacted = forgotten.version;
            }
        }
    }
}

fn expired(version: u64, compacted: u64) -> Refusal {
    Refusal::expired(format!("too old resource version: {version} ({compacted})"))
}

fn resource_of(object: &Value) -> Result<&'static Resource, String> {
    let kind = object["kind"].as_str().ok_or("an object needs a kind")?;
    let resource = by_kind(kind).ok_or_else(|| format!("no kind {kind} is served"))?;
    if object["apiVersion"] == resource.api_version {
        Ok(resource)
    } else {
        Err(format!("{kind} has apiVersion {}, not {}", resource.api_version, object["apiVersion"]))
    }
}

fn key_of(resource: &Resource, object: &mut Value) -> Result<Key, String> {
    let name = object["metadata"]["name"].as_str().ok_or("an object needs metadata.name")?.to_owned();
    let namespace = object["metadata"]["namespace"].as_str().unwrap_or_default().to_owned();
    match (resource.namespaced, namespace.is_empty()) {
        (true, true) => {
            object["metadata"]["namespace"] = json!("default");
            Ok(("default".to_owned(), name))
        }
        (false, false) => Err(format!("{} {name} can have no namespace", resource.kind)),
        _ => Ok((namespace, name)),
    }
}

fn set_owned_fields(object: &mut Value, version: u64) {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let now = Timestamp::from_second(now.cast_signed()).unwrap_or_default();
    let metadata = &mut object["metadata"];
    metadata["uid"] = json!(format!("00000000-0000-4000-8000-{version:012x}"));
    metadata["creationTimestamp"] = json!(now.to_string());
    metadata["generation"] = json!(1);
}

fn keep_owned_fields(object: &mut Value, before: &Value) {
    for field in ["uid", "creationTimestamp", "generation", "resourceVersion"] {
        object["metadata"][field] = before["metadata"][field].clone();
    }
}

/// The part that `metadata.generation` counts changes of: everything but metadata and status.
fn content(object: &Value) -> Value {
    let mut content = object.clone();
    if let Some(fields) = content.as_object_mut() {
        fields.remove("metadata");
        fields.remove("status");
    }
    content
}

#[cfg(test)]
mod tests {
    use super::*;

    fn service(name: &str, port: u16) -> Value {
        json!({"kind": "Service", "apiVersion": "v1", "metadata": {"name": name}, "spec": {"ports": [{"port": port}]}})
    }

    #[test]
    fn the_server_owns_version_uid_and_generation() {
        let mut store = Store::new(10);
        let first = store.put(service("a", 1)).unwrap();
        let same = store.put(service("a", 1)).unwrap();
        let changed = store.put(service("a", 2)).unwrap();
        assert_eq!(first, same);
        assert_eq!(first["metadata"]["uid"], changed["metadata"]["uid"]);
        assert_ne!(first["metadata"]["resourceVersion"], changed["metadata"]["resourceVersion"]);
        assert_eq!((&first["metadata"]["generation"], &changed["metadata"]["generation"]), (&json!(1), &json!(2)));
        store.delete(by_kind("Service").unwrap(), ("default".to_owned(), "a".to_owned()));
        assert_ne!(store.put(service("a", 1)).unwrap()["metadata"]["uid"], first["metadata"]["uid"]);
    }

    #[test]
    fn a_snapshot_shows_the_past_until_it_is_forgotten() {
        let mut store = Store::new(2);
        let services = by_kind("Service").unwrap();
        store.put(service("a", 1)).unwrap();
        let then = store.version();
        store.put(service("b", 1)).unwrap();
        store.delete(services, ("default".to_owned(), "a".to_owned()));
        let names: Vec<_> = store.snapshot(services, then).unwrap().into_keys().map(|(_, name)| name).collect();
        assert_eq!(names, ["a"]);
        assert_eq!(store.changes_after(services, then).unwrap().len(), 2);
        store.put(service("c", 1)).unwrap();
        assert!(store.snapshot(services, then).is_err());
        assert!(store.changes_after(services, then).is_err());
    }
}
