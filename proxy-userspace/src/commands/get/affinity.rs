//! `waggle get affinity`: one row for each client that keeps its backend by session affinity (S24). Reads AFFINITY and MEMBERS;
//! everything else is pure.

use std::collections::{BTreeMap, BTreeSet};

use proxy_common::{Affinity, AffinityKey, List, Member};
use serde::Serialize;

use super::{
    Clock, InspectError, Name, Snapshot,
    backends::is_address,
    output::Row,
    read::each_entry,
    service_port::ServicePort,
    services::{is_owner, left},
    snapshot::open,
};
use crate::{commands::age::age, maps::encode};

/// A client of a service port, and its backend.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct AffinityRow {
    /// The service port.
    #[serde(flatten)]
    pub service_port: ServicePort,
    /// The source address of the client's packets; `None` for a client on this node.
    pub client: Option<String>,
    /// The cookie of the network namespace whose processes are the client; `None` for a client that sends packets to this node.
    pub netns: Option<u64>,
    /// Address and port of the backend that the client keeps.
    pub backend: String,
    /// The seconds since the client's last new connection.
    pub age_seconds: u32,
    /// In how many seconds the client may get another backend, unless it connects before.
    pub expires_seconds: u32,
}

/// The clients of an instance.
#[derive(Clone, Debug, Default)]
pub struct Clients {
    /// When they were read.
    pub clock: Clock,
    /// The entries of AFFINITY.
    pub entries: Vec<(AffinityKey, Affinity)>,
    /// The entries of MEMBERS whose backend may get new connections of the service.
    pub members: BTreeSet<Member>,
}

impl Clients {
    /// Reads the maps of an instance.
    pub fn read(instance: &str) -> Result<Self, InspectError> {
        let folder = open(instance)?;
        let mut clients = Self { clock: Clock::read()?, ..Self::default() };
        each_entry(&folder, "AFFINITY", |key, entry| clients.entries.push((key, entry)))?;
        each_entry(&folder, "MEMBERS", |member, lists: u32| {
            if lists & (List::Cluster.bit() | List::Local.bit()) != 0 {
                clients.members.insert(member);
            }
        })?;
        Ok(clients)
    }
}

/// Returns the clients by namespace, name, port, protocol and client. An entry that has expired, or whose backend has left the
/// Service, is not shown: the client's next connection gets any backend.
pub fn affinity(snapshot: &Snapshot, clients: &Clients) -> Vec<AffinityRow> {
    let services = snapshot.services.iter().filter(|(frontend, _)| !is_owner(frontend));
    let ports: BTreeMap<u32, (u8, u32)> =
        services.map(|(frontend, service)| (service.id, (frontend.protocol, service.affinity_timeout))).collect();
    let row = |(key, entry): &(AffinityKey, Affinity)| {
        let (number, timeout) = ports.get(&key.service)?;
        row(snapshot, clients, (key, entry), (*number, *timeout))
    };
    let mut rows: Vec<AffinityRow> = clients.entries.iter().filter_map(row).collect();
    rows.sort_by(|a, b| order(a).cmp(&order(b)));
    rows
}

fn order(row: &AffinityRow) -> (&ServicePort, &Option<String>, Option<u64>) {
    (&row.service_port, &row.client, row.netns)
}

fn row(
    snapshot: &Snapshot,
    clients: &Clients,
    (key, entry): (&AffinityKey, &Affinity),
    (number, timeout): (u8, u32),
) -> Option<AffinityRow> {
    let now = clients.clock.nanoseconds;
    let backend = snapshot.backends.get(&entry.backend)?;
    let is_member = clients.members.contains(&Member { service: key.service, backend: entry.backend });
    let is_kept = is_member && backend.generation == entry.backend_generation;
    if timeout == 0 || !is_kept || entry.is_expired(now, timeout) {
        return None;
    }
    let age = u32::try_from(now.saturating_sub(entry.last_connection) / 1_000_000_000).unwrap_or(u32::MAX);
    let [_, _, high, low] = key.client.words();
    let is_netns = key.kind == AffinityKey::NETNS;
    Some(AffinityRow {
        service_port: ServicePort::new(Name::of(key.service, &snapshot.names), number),
        client: (!is_netns).then(|| std::net::IpAddr::from(key.client).to_string()),
        netns: is_netns.then(|| u64::from(high) << 32 | u64::from(low)),
        backend: encode::backend_address(backend).to_string(),
        age_seconds: age,
        expires_seconds: timeout.saturating_sub(age),
    })
}

impl Row for AffinityRow {
    type Key = (ServicePort, Option<String>, Option<u64>);

    const KIND: &'static str = "affinity";
    const NUMBERS: &'static [&'static str] = &["netns", "ageSeconds", "expiresSeconds"];

    fn titles() -> Vec<&'static str> {
        ServicePort::titles(&["CLIENT", "BACKEND", "AGE", "EXPIRES"])
    }

    fn fields() -> Vec<&'static str> {
        ServicePort::fields(&["client", "netns", "backend", "ageSeconds", "expiresSeconds"])
    }

    fn key(&self) -> Self::Key {
        (self.service_port.clone(), self.client.clone(), self.netns)
    }

    fn cells(&self) -> Vec<String> {
        let client = self.client.clone().or_else(|| self.netns.map(|cookie| format!("netns:{cookie}")));
        self.service_port.cells([
            client.unwrap_or_else(|| "-".to_owned()),
            self.backend.clone(),
            age(self.age_seconds.into()),
            left(self.expires_seconds),
        ])
    }

    /// A name is the Service's, or an address of client or backend.
    fn is_named(&self, name: &str) -> bool {
        self.service_port.name == name || self.client.as_deref() == Some(name) || is_address(&self.backend, name)
    }

    fn is_in(&self, namespace: &str) -> bool {
        self.service_port.namespace == namespace
    }

    fn service_port(&self) -> Option<&ServicePort> {
        Some(&self.service_port)
    }

    fn watched(&self) -> Result<String, serde_json::Error> {
        serde_json::to_string(&Self { age_seconds: 0, expires_seconds: 0, ..self.clone() })
    }
}
