//! The objects of the soak, twice: in an API server and in a folder, so that an agent may follow either.

use harness::{
    objects::{ApiCluster, Cluster, ManifestDir},
    scene::Scene,
};
use serde_json::Value;

/// Both places.
pub struct Twin<'a> {
    /// The API server.
    pub api: &'a ApiCluster,
    /// The folder.
    pub folder: ManifestDir,
}

impl<'a> Twin<'a> {
    /// Both places: the scene's API server, which has `objects` already, and a folder with the same.
    pub fn new(scene: &'a Scene, objects: &[Value]) -> Self {
        let folder = ManifestDir::new();
        for object in objects {
            folder.put(object);
        }
        Self { api: scene.api(), folder }
    }
}

impl Cluster for Twin<'_> {
    fn put(&self, object: &Value) {
        Cluster::put(&**self.api, object);
        self.folder.put(object);
    }

    fn delete(&self, kind: &str, namespace: &str, name: &str) {
        Cluster::delete(&**self.api, kind, namespace, name);
        self.folder.delete(kind, namespace, name);
    }
}
