//! `waggle get endpoints`: one row for each service port and each of its backends. Pure.

use std::collections::{BTreeMap, BTreeSet};

use proxy_common::{Backend, List};
use serde::Serialize;

use super::{
    Name, Snapshot,
    output::Row,
    service_port::ServicePort,
    services::{is_owner, policy},
};
use crate::maps::encode;

/// A backend of a service port.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct EndpointRow {
    /// The service port.
    #[serde(flatten)]
    pub service_port: ServicePort,
    /// `IPv4` or `IPv6`.
    pub ip_family: &'static str,
    /// Address and port of the backend; `None` in the only row of a service port without backends.
    pub endpoint: Option<String>,
    /// Whether the backend is on this node.
    pub local: bool,
    /// The lists that contain the backend, of those that frontends use: `Cluster`, `Local` or both.
    pub lists: Vec<&'static str>,
}

/// A service port of one family.
struct Port {
    /// The number of its protocol.
    protocol: u8,
    ip_family: &'static str,
    /// The lists of each backend, by its id.
    lists: BTreeMap<u32, BTreeSet<List>>,
}

/// Returns the endpoints by namespace, name, port, protocol and family, then by backend id.
pub fn endpoints(snapshot: &Snapshot) -> Vec<EndpointRow> {
    let ports = ports(snapshot);
    let mut rows: Vec<EndpointRow> = ports.iter().flat_map(|(id, port)| of_port(snapshot, *id, port)).collect();
    rows.sort_by(|a, b| order(a).cmp(&order(b)));
    rows
}

fn order(row: &EndpointRow) -> (&ServicePort, &str) {
    (&row.service_port, row.ip_family)
}

fn ports(snapshot: &Snapshot) -> BTreeMap<u32, Port> {
    let mut ports = BTreeMap::new();
    for (frontend, service) in snapshot.services.iter().filter(|(frontend, _)| !is_owner(frontend)) {
        let ip_family = if frontend.address.is_ipv4() { "IPv4" } else { "IPv6" };
        let new = || Port { protocol: frontend.protocol, ip_family, lists: BTreeMap::new() };
        let port = ports.entry(service.id).or_insert_with(new);
        for (range, list) in [true, false].map(|is_internal| service.list(is_internal)) {
            for backend in snapshot.ids(range) {
                port.lists.entry(backend).or_default().insert(list);
            }
        }
    }
    ports
}

fn of_port(snapshot: &Snapshot, id: u32, port: &Port) -> Vec<EndpointRow> {
    let service_port = ServicePort::new(Name::of(id, &snapshot.names), port.protocol);
    let row = |backend: Option<&Backend>, lists: Vec<&'static str>| EndpointRow {
        service_port: service_port.clone(),
        ip_family: port.ip_family,
        endpoint: backend.map(|backend| encode::backend_address(backend).to_string()),
        local: backend.is_some_and(Backend::is_local),
        lists,
    };
    let found = port.lists.iter().filter_map(|(id, lists)| Some((snapshot.backends.get(id)?, lists)));
    let rows: Vec<_> =
        found.map(|(backend, lists)| row(Some(backend), lists.iter().copied().map(policy).collect())).collect();
    if rows.is_empty() { vec![row(None, Vec::new())] } else { rows }
}

impl Row for EndpointRow {
    type Key = (ServicePort, &'static str, Option<String>);

    const KIND: &'static str = "endpoints";

    fn titles() -> Vec<&'static str> {
        ServicePort::titles(&["ENDPOINT", "LOCAL", "LISTS"])
    }

    fn fields() -> Vec<&'static str> {
        ServicePort::fields(&["ipFamily", "endpoint", "local", "lists"])
    }

    fn key(&self) -> Self::Key {
        (self.service_port.clone(), self.ip_family, self.endpoint.clone())
    }

    fn cells(&self) -> Vec<String> {
        self.service_port.cells([
            self.endpoint.clone().unwrap_or_else(|| format!("none ({})", self.ip_family)),
            if self.local { "yes" } else { "-" }.to_owned(),
            if self.lists.is_empty() { "-".to_owned() } else { self.lists.join(",") },
        ])
    }

    fn is_named(&self, name: &str) -> bool {
        self.service_port.name == name
    }

    fn is_in(&self, namespace: &str) -> bool {
        self.service_port.namespace == namespace
    }

    fn service_port(&self) -> Option<&ServicePort> {
        Some(&self.service_port)
    }
}
