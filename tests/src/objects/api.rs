//! The API server as a place for objects, where an agent in a lab reaches it.

use std::{
    fs, io,
    ops::Deref,
    path::PathBuf,
    sync::atomic::{AtomicUsize, Ordering},
};

use serde_json::Value;

use super::Cluster;
use crate::{
    api_server::ApiServer,
    lab::{Netns, Source, scratch},
};

impl Cluster for ApiServer {
    fn put(&self, object: &Value) {
        Self::put(self, object.clone());
    }

    fn delete(&self, kind: &str, namespace: &str, name: &str) {
        Self::delete(self, kind, namespace, name);
    }
}

/// An API server inside a network namespace, and the kubeconfig that leads to it. Both are removed when it is dropped.
#[derive(Debug)]
pub struct ApiCluster {
    server: ApiServer,
    folder: PathBuf,
    kubeconfig: PathBuf,
}

impl ApiCluster {
    /// Starts on a loopback port of `netns`, where its processes reach it. The test itself talks to it without a
    /// network.
    ///
    /// # Panics
    /// When it can't be started.
    pub fn start(netns: &Netns) -> Self {
        static NUMBER: AtomicUsize = AtomicUsize::new(0);
        let started = netns.inside(ApiServer::start_tls).map_err(io::Error::other).flatten();
        let server = started.expect("start an API server in a namespace");
        let folder = scratch(&format!("kubeconfig-{}", NUMBER.fetch_add(1, Ordering::Relaxed)));
        fs::create_dir_all(&folder).expect("make a folder for a kubeconfig");
        let kubeconfig = server.kubeconfig(&folder).expect("write a kubeconfig");
        Self { server, folder, kubeconfig }
    }

    /// The server as the source of an agent's objects.
    pub fn source(&self) -> Source {
        Source::Kubeconfig(self.kubeconfig.clone())
    }
}

impl Deref for ApiCluster {
    type Target = ApiServer;

    fn deref(&self) -> &ApiServer {
        &self.server
    }
}

impl Drop for ApiCluster {
    fn drop(&mut self) {
        // A later lab removes what stays.
        let _ = fs::remove_dir_all(&self.folder);
    }
}
