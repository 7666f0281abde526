//! `waggle get backends`: one row for each backend, with the service ports that it serves. Pure.

use std::collections::{BTreeMap, BTreeSet};

use proxy_common::Backend;
use serde::Serialize;

use super::{Name, Snapshot, output::Row};
use crate::maps::encode;

/// A backend.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct BackendRow {
    /// The backend's id: its index in BACKENDS.
    pub id: u32,
    /// Address and port; `None` if a list contains an id that is not in BACKENDS, which means that the maps are
    /// damaged.
    pub address: Option<String>,
    /// Whether the backend is on this node: then packets from outside keep their clients' addresses.
    pub local: bool,
    /// The number of packet flows to the backend that got a source port of this node.
    pub flows: u64,
    /// Source ports that were tried for these flows, but taken by other flows.
    pub port_collisions: u64,
    /// Flows that were dropped because no free source port was found.
    pub ports_exhausted: u64,
    /// The service ports whose lists contain the backend, as `namespace/name:port`. Empty for a backend that has left its
    /// last list and whose grace period has not ended.
    pub services: Vec<String>,
}

/// Returns the backends by id, including ids in lists that are not in BACKENDS.
pub fn backends(snapshot: &Snapshot) -> Vec<BackendRow> {
    let mut users: BTreeMap<u32, BTreeSet<u32>> = BTreeMap::new();
    for service in snapshot.services.values() {
        for range in [service.internal, service.external] {
            for backend in snapshot.ids(range) {
                users.entry(backend).or_default().insert(service.id);
            }
        }
    }
    let ids: BTreeSet<u32> = snapshot.backends.keys().chain(users.keys()).copied().collect();
    let row = |id: u32| {
        let services: BTreeSet<Name> =
            users.get(&id).into_iter().flatten().map(|service| Name::of(*service, &snapshot.names)).collect();
        let pressure = snapshot.pressure.get(&id).copied().unwrap_or_default();
        BackendRow {
            id,
            address: snapshot.backends.get(&id).map(|backend| encode::backend_address(backend).to_string()),
            local: snapshot.backends.get(&id).is_some_and(Backend::is_local),
            flows: pressure.flows,
            port_collisions: pressure.taken,
            ports_exhausted: pressure.exhausted,
            services: services.iter().map(Name::to_string).collect(),
        }
    };
    ids.into_iter().map(row).collect()
}

impl Row for BackendRow {
    type Key = u32;

    const KIND: &'static str = "backends";
    const NUMBERS: &'static [&'static str] = &["id", "flows", "portCollisions", "portsExhausted"];

    fn titles() -> Vec<&'static str> {
        vec!["ID", "ADDRESS", "LOCAL", "FLOWS", "COLLISIONS", "EXHAUSTED", "SERVICES"]
    }

    fn fields() -> Vec<&'static str> {
        vec!["id", "address", "local", "flows", "portCollisions", "portsExhausted", "services"]
    }

    fn key(&self) -> Self::Key {
        self.id
    }

    fn cells(&self) -> Vec<String> {
        vec![
            self.id.to_string(),
            self.address.clone().unwrap_or_else(|| "damaged: not in BACKENDS".to_owned()),
            if self.local { "yes" } else { "-" }.to_owned(),
            self.flows.to_string(),
            self.port_collisions.to_string(),
            self.ports_exhausted.to_string(),
            if self.services.is_empty() { "-".to_owned() } else { self.services.join(",") },
        ]
    }

    /// A name is an address, with or without port.
    fn is_named(&self, name: &str) -> bool {
        self.address.as_deref().is_some_and(|address| is_address(address, name))
    }

    fn is_in(&self, namespace: &str) -> bool {
        self.services.iter().any(|service| service.split_once('/').is_some_and(|(of, _)| of == namespace))
    }
}

/// Whether `name` is an address, or an address without its port.
pub(super) fn is_address(address: &str, name: &str) -> bool {
    let ip = address.rsplit_once(':').map(|(ip, _)| ip.trim_start_matches('[').trim_end_matches(']'));
    address == name || ip == Some(name)
}
