//! The two sources of objects, as one type.

use serde_json::Value;

use crate::{
    lab::{Netns, Source},
    objects::{ApiCluster, Cluster, ManifestDir},
};

/// The kind of the source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// A folder of manifests.
    Folder,
    /// An API server.
    Api,
}

impl Origin {
    /// Every origin.
    pub const BOTH: [Self; 2] = [Self::Folder, Self::Api];
}

/// The source.
#[derive(Debug)]
#[expect(missing_docs, reason = "one for each origin")]
pub enum Objects {
    Folder(ManifestDir),
    Api(ApiCluster),
}

impl Objects {
    /// An empty source; an API server runs inside `netns`.
    pub fn new(origin: Origin, netns: &Netns) -> Self {
        match origin {
            Origin::Folder => Self::Folder(ManifestDir::new()),
            Origin::Api => Self::Api(ApiCluster::start(netns)),
        }
    }

    /// The kind of the source.
    pub fn origin(&self) -> Origin {
        match self {
            Self::Folder(_) => Origin::Folder,
            Self::Api(_) => Origin::Api,
        }
    }

    /// The arguments by which an agent reads it.
    pub fn source(&self) -> Source {
        match self {
            Self::Folder(folder) => folder.source(),
            Self::Api(server) => server.source(),
        }
    }
}

impl Cluster for Objects {
    fn put(&self, object: &Value) {
        match self {
            Self::Folder(folder) => folder.put(object),
            Self::Api(server) => Cluster::put(&**server, object),
        }
    }

    fn delete(&self, kind: &str, namespace: &str, name: &str) {
        match self {
            Self::Folder(folder) => folder.delete(kind, namespace, name),
            Self::Api(server) => Cluster::delete(&**server, kind, namespace, name),
        }
    }
}
