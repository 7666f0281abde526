//! Processes what a server may send, without a server, and kubeconfigs, without running or reading what they name: for fuzz
//! targets.

use std::{
    path::{Component, Path},
    time::Duration,
};

use kube::{Resource, config::AuthInfo, core::WatchEvent};
use serde::{Deserialize, de::DeserializeOwned};

use super::{
    client,
    known::{Known, Seen},
    kubeconfig,
    partial::Partial,
};
use crate::objects::{Event, Kind, Object};

/// Watches of all kinds.
pub(crate) struct Watches(Vec<(Kind, Known)>);

impl Watches {
    /// Returns watches that have listed nothing.
    pub(crate) fn new() -> Self {
        Self(Kind::ALL.into_iter().map(|kind| (kind, Known::new(kind))).collect())
    }

    /// Returns the event that a line of a watch means. The object's kind tells which watch the line belongs to.
    pub(crate) fn read(&mut self, line: &[u8]) -> Option<Event> {
        #[derive(Deserialize)]
        struct Line {
            object: Named,
        }
        #[derive(Deserialize)]
        struct Named {
            kind: String,
        }
        let Line { object } = serde_json::from_slice(line).ok()?;
        let (kind, known) = self.0.iter_mut().find(|(kind, _)| kind.to_string() == object.kind)?;
        match kind {
            Kind::Service => event(line, *kind, known, Object::Service),
            Kind::EndpointSlice => event(line, *kind, known, Object::EndpointSlice),
            Kind::Node => event(line, *kind, known, Object::Node),
            Kind::ServiceCidr => event(line, *kind, known, Object::ServiceCidr),
        }
    }
}

fn event<K: Resource + DeserializeOwned>(
    line: &[u8],
    kind: Kind,
    known: &mut Known,
    wrap: fn(K) -> Object,
) -> Option<Event> {
    match serde_json::from_slice::<WatchEvent<Partial<K>>>(line).ok()? {
        WatchEvent::Added(object) | WatchEvent::Modified(object) => {
            let seen = Seen::of(kind, &object.metadata);
            if !known.changed(&seen) {
                return None;
            }
            let object = object.into_object();
            known.note_unreadable(&seen.namespace, &seen.name, object.is_err());
            object.ok().map(|object| Event::Applied(Box::new(wrap(object))))
        }
        WatchEvent::Deleted(object) => known.deleted(Seen::of(kind, &object.metadata)).map(Event::Deleted),
        WatchEvent::Bookmark(_) | WatchEvent::Error(_) => None,
    }
}

/// Makes a client from the kubeconfig at `path`. Needs a runtime.
pub(crate) async fn connect(path: &Path) {
    client::install_crypto();
    let Ok(mut kubeconfig) = kubeconfig::read(path) else { return };
    let folder = path.parent().unwrap_or(path);
    for user in kubeconfig.auth_infos.iter_mut().filter_map(|named| named.auth_info.as_mut()) {
        keep_inside(user, folder);
    }
    for cluster in kubeconfig.clusters.iter_mut().filter_map(|named| named.cluster.as_mut()) {
        cluster.certificate_authority.take_if(|file| !is_inside(file, folder));
    }
    let Ok(access) = client::of_kubeconfig(kubeconfig, path).await else { return };
    let Ok(mut access) = client::at(access, None) else { return };
    let _ = client::host(&access.config.cluster_url);
    // Avoids reading the machine's own certificates, which is slow.
    access.config.root_cert.get_or_insert_default();
    let _ = client::connect(access, Duration::from_secs(1));
}

/// Removes commands, and files outside `folder`: reading a device may never end.
fn keep_inside(user: &mut AuthInfo, folder: &Path) {
    (user.exec, user.auth_provider) = (None, None);
    for file in [&mut user.client_certificate, &mut user.client_key, &mut user.token_file] {
        file.take_if(|file| !is_inside(file, folder));
    }
}

fn is_inside(file: &str, folder: &Path) -> bool {
    let file = Path::new(file);
    file.starts_with(folder) && !file.components().any(|part| part == Component::ParentDir)
}
