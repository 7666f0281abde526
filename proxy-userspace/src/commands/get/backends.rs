//! `waggle get backends`: one row a backend, with the Services it answers for. Pure.

use std::collections::{BTreeMap, BTreeSet};

use proxy_common::Backend;
use serde::Serialize;

use super::{Name, Snapshot, table::Row};
use crate::maps::encode;

/// A backend.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct BackendRow {
    /// Its id: index of BACKENDS.
    pub id: u32,
    /// Address and port; none when a list names an id that BACKENDS does not hold: the maps are damaged.
    pub address: Option<String>,
    /// It is on this node: packets from outside reach it with their clients' addresses.
    pub local: bool,
    /// Flows of packets that it was given.
    pub flows: u64,
    /// Source ports that were tried for those flows and belonged to others.
    pub port_collisions: u64,
    /// Flows that were dropped because no source port was found for them.
    pub ports_exhausted: u64,
    /// The service ports whose lists it is in, as `namespace/name:port`. None for a backend that has left its last
    /// list and waits for its grace period.
    pub services: Vec<String>,
}

/// The backends by id, also those that a list names although they don't exist.
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
    const TITLES: &'static [&'static str] = &["ID", "ADDRESS", "LOCAL", "FLOWS", "COLLISIONS", "EXHAUSTED", "SERVICES"];

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
}
