//! The objects of the soak, twice: in an API server and in a folder, so that an agent may follow either.

use std::{cell::RefCell, collections::BTreeMap};

use harness::{
    objects::{ApiCluster, Cluster, ManifestDir},
    scene::Scene,
};
use serde_json::Value;

use crate::expected::{self, Rows};

/// Both places.
pub struct Twin<'a> {
    /// The API server.
    pub api: &'a ApiCluster,
    /// The folder.
    pub folder: ManifestDir,
    /// By kind and name.
    objects: RefCell<BTreeMap<(String, String), Value>>,
}

impl<'a> Twin<'a> {
    /// Both places: the scene's API server, which has `objects` already, and a folder with the same.
    pub fn new(scene: &'a Scene, objects: &[Value]) -> Self {
        let folder = ManifestDir::new();
        for object in objects {
            folder.put(object);
        }
        Self { api: scene.api(), folder, objects: RefCell::default() }
    }

    /// What must be in the maps.
    pub fn rows(&self) -> Rows {
        expected::rows(&self.objects.borrow().values().collect::<Vec<_>>())
    }
}

impl Cluster for Twin<'_> {
    fn put(&self, object: &Value) {
        Cluster::put(&**self.api, object);
        self.folder.put(object);
        let word = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let key = (word(&object["kind"]), word(&object["metadata"]["name"]));
        self.objects.borrow_mut().insert(key, object.clone());
    }

    fn delete(&self, kind: &str, namespace: &str, name: &str) {
        Cluster::delete(&**self.api, kind, namespace, name);
        self.folder.delete(kind, namespace, name);
        self.objects.borrow_mut().remove(&(kind.to_owned(), name.to_owned()));
    }
}
