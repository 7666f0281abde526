//! A temporary folder of manifests that an agent follows.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::atomic::{AtomicUsize, Ordering},
};

use serde_json::Value;

use super::{Cluster, identity};
use crate::{Source, scratch};

/// The folder, removed when dropped. Files appear and change atomically.
#[derive(Debug)]
pub struct ManifestDir {
    /// The folder that holds `manifests` and files being written.
    base: PathBuf,
    manifests: PathBuf,
}

impl ManifestDir {
    /// An empty folder.
    ///
    /// # Panics
    /// When it can't be made.
    #[expect(clippy::new_without_default, reason = "making a folder is no default")]
    pub fn new() -> Self {
        static NUMBER: AtomicUsize = AtomicUsize::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let base = scratch(&format!("manifests-{number}"));
        let manifests = base.join("manifests");
        fs::create_dir_all(&manifests).expect("make a folder for manifests");
        Self { base, manifests }
    }

    /// The folder's path.
    pub fn path(&self) -> &Path {
        &self.manifests
    }

    /// Where an agent of this folder remembers what it has allocated; removed with the folder.
    pub fn allocations(&self) -> PathBuf {
        self.base.join("allocations.json")
    }

    /// The folder as the source of an agent's objects.
    pub fn source(&self) -> Source {
        Source::Manifests(self.manifests.clone())
    }

    /// Creates or replaces a file with any content: `name` with its extension.
    ///
    /// # Panics
    /// When it can't be written.
    pub fn write(&self, name: &str, content: &str) {
        let draft = self.base.join(name);
        fs::write(&draft, content).expect("write a manifest");
        fs::rename(&draft, self.manifests.join(name)).expect("put a manifest in its place");
    }

    /// Removes a file; a missing file is no error.
    pub fn remove(&self, name: &str) {
        // The file may be missing already.
        let _ = fs::remove_file(self.manifests.join(name));
    }
}

impl Cluster for ManifestDir {
    fn put(&self, object: &Value) {
        let (kind, namespace, name) = identity(object);
        assert!(!kind.is_empty() && !name.is_empty(), "an object needs kind and name: {object}");
        self.write(&file_name(&kind, &namespace, &name), &object.to_string());
    }

    fn delete(&self, kind: &str, namespace: &str, name: &str) {
        self.remove(&file_name(kind, namespace, name));
    }
}

/// The file of an object.
fn file_name(kind: &str, namespace: &str, name: &str) -> String {
    format!("{}.{namespace}.{name}.json", kind.to_lowercase())
}

impl Drop for ManifestDir {
    fn drop(&mut self) {
        // A later lab removes what stays.
        let _ = fs::remove_dir_all(&self.base);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::objects::service;

    #[test]
    fn folder_holds_what_was_put_and_goes_with_its_owner() {
        let folder = ManifestDir::new();
        let web = service("web").cluster_ip("10.96.0.10").port(80, 8080).build();
        folder.put(&web);
        let file = folder.path().join("service.default.web.json");
        let stored: Value = serde_json::from_str(&fs::read_to_string(&file).unwrap()).unwrap();
        assert_eq!(stored, web);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "drafts are elsewhere");
        folder.delete("Service", "default", "web");
        assert!(!file.exists());
        let path = folder.path().to_owned();
        drop(folder);
        assert!(!path.exists());
    }
}
