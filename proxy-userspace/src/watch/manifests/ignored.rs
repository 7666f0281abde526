//! Objects of kinds that a folder does not serve. They are logged once, with a line for each kind.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    sync::Arc,
};

use tracing::{debug, info};

use super::decode::Identity;

/// An object of a kind that a folder does not serve.
#[derive(Clone, Debug)]
pub struct Ignored {
    /// The file.
    pub file: Arc<Path>,
    /// The line on which the object begins, counted from 1.
    pub line: u64,
    /// The object's identity.
    pub identity: Identity,
}

impl Ignored {
    /// Returns why the object has no effect.
    pub fn reason(&self) -> &'static str {
        if creates_pods(&self.identity.kind) {
            "creates no Pods here: a folder serves only Pods and EndpointSlices that are in it"
        } else {
            "ignored: a folder does not serve this kind"
        }
    }
}

/// True if Kubernetes' controllers create Pods for objects of this kind.
fn creates_pods(kind: &str) -> bool {
    const WORKLOADS: [&str; 7] =
        ["Deployment", "StatefulSet", "DaemonSet", "ReplicaSet", "ReplicationController", "Job", "CronJob"];
    WORKLOADS.contains(&kind)
}

/// The objects that have been logged.
#[derive(Debug, Default)]
pub struct IgnoredLog {
    logged: BTreeSet<Identity>,
}

impl IgnoredLog {
    /// Replaces the ignored objects, and logs those that are new.
    pub fn replace<'a>(&mut self, ignored: impl Iterator<Item = &'a Ignored>) {
        let (mut current, mut by_kind) = (BTreeSet::new(), BTreeMap::<&str, Vec<&Ignored>>::new());
        for object in ignored {
            if current.insert(object.identity.clone()) && !self.logged.contains(&object.identity) {
                by_kind.entry(&object.identity.kind).or_default().push(object);
            }
        }
        for (kind, objects) in by_kind {
            let (object, reason, objects) = (&objects[0].identity, objects[0].reason(), objects.len());
            if creates_pods(kind) {
                info!(%object, objects, "object {reason}");
            } else {
                debug!(%object, objects, "{reason}");
            }
        }
        self.logged = current;
    }
}
