//! `waggle get flows`: one row for each flow of packets, and for each socket that has dialled a Service. Pure.

#[cfg(test)]
mod tests;
mod tracked;

use std::net::SocketAddr;

use proxy_common::{Address, Connection, ConntrackEntry, Flow, FlowRole, Frontend, Peer, Tuple};
use serde::Serialize;

pub use self::tracked::{Clock, Tracked};
use super::{NAMELESS, Name, Snapshot, backends::is_address, output::Row, service_port::ServicePort, services::left};
use crate::commands::age::age;

/// A flow.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct FlowRow {
    /// The service port that now has the frontend; namespace and name are `?` if none has it.
    #[serde(flatten)]
    pub service_port: ServicePort,
    /// The client's address and port; `None` for a socket of this node, which the maps know by its cookie only.
    pub client: Option<String>,
    /// The cookie of a socket of this node, which `ss -e` prints in hexadecimal.
    pub socket: Option<u64>,
    /// What the client has dialled.
    pub frontend: String,
    /// The backend's address and port.
    pub backend: String,
    /// The address and port from which the backend gets the packets; `None` for sockets.
    pub source: Option<String>,
    /// The state of a flow of packets, in the words of the metric `waggle_flows`. Of a socket: `connected`, or `sent` if it sends
    /// datagrams without being connected.
    pub state: &'static str,
    /// How many seconds ago the first packet of the flow came; `None` if that is not known, as for sockets.
    pub age_seconds: Option<u64>,
    /// In how many seconds the flow is forgotten if no packet comes; `None` for TCP and SCTP sockets, which are known until they
    /// are closed.
    pub expires_seconds: Option<u32>,
}

/// Returns the flows by namespace, name, port and protocol, then by client and frontend; sockets come last.
pub fn flows(snapshot: &Snapshot, tracked: &Tracked) -> Vec<FlowRow> {
    let packets = tracked.packets.iter().map(|(tuple, entry)| of_packets(snapshot, tracked, tuple, entry));
    let sockets = tracked.sockets.iter().map(|(cookie, connection)| of_socket(snapshot, *cookie, connection));
    let datagrams = tracked.datagrams.iter().map(|(flow, peer)| of_datagrams(snapshot, tracked, flow, peer));
    let mut rows: Vec<(Order, FlowRow)> = packets.chain(sockets).chain(datagrams).collect();
    rows.sort_by(|(a, row_a), (b, row_b)| (&row_a.service_port, a).cmp(&(&row_b.service_port, b)));
    rows.dedup_by(|(a, row_a), (b, row_b)| a == b && row_a.service_port == row_b.service_port);
    rows.into_iter().map(|(_, row)| row).collect()
}

/// What tells flows of one Service apart: cookie, client, frontend and backend.
type Order = (Option<u64>, Option<SocketAddr>, SocketAddr, SocketAddr);

fn at(address: Address, port: u16) -> SocketAddr {
    SocketAddr::new(address.into(), port)
}

/// The names of the service port that has a frontend, by `id` if that is known: a freed id may mean another Service by now.
fn name(snapshot: &Snapshot, frontend: Frontend, id: Option<u32>) -> Name {
    let node_port = Frontend { address: frontend.address.any(), ..frontend };
    let service = [frontend, node_port].iter().find_map(|frontend| snapshot.services.get(frontend));
    match service.filter(|service| id.is_none_or(|id| service.id == id)) {
        Some(service) => Name::of(service.id, &snapshot.names),
        None => Name { namespace: NAMELESS.to_owned(), service: NAMELESS.to_owned(), port: String::new() },
    }
}

fn row(name: Name, number: u8, frontend: SocketAddr, backend: SocketAddr) -> FlowRow {
    FlowRow {
        service_port: ServicePort::new(name, number),
        client: None,
        socket: None,
        frontend: frontend.to_string(),
        backend: backend.to_string(),
        source: None,
        state: "connected",
        age_seconds: None,
        expires_seconds: None,
    }
}

/// `tuple` is that of the backend's packets, `entry` translates them into what the client gets.
fn of_packets(snapshot: &Snapshot, tracked: &Tracked, tuple: &Tuple, entry: &ConntrackEntry) -> (Order, FlowRow) {
    let dialled = Frontend::new(entry.source, entry.source_port, tuple.protocol);
    let frontend = at(entry.source, entry.source_port);
    let backend = at(tuple.source, tuple.source_port);
    let client = at(entry.destination, entry.destination_port);
    let row = FlowRow {
        client: Some(client.to_string()),
        source: Some(at(tuple.destination, tuple.destination_port).to_string()),
        state: entry.meta.state().label(),
        age_seconds: tracked.clock.age(&entry.meta),
        expires_seconds: Some(tracked.clock.seconds_left(&entry.meta)),
        ..row(name(snapshot, dialled, Some(entry.meta.service)), tuple.protocol, frontend, backend)
    };
    ((None, Some(client), frontend, backend), row)
}

fn of_socket(snapshot: &Snapshot, cookie: u64, connection: &Connection) -> (Order, FlowRow) {
    let [frontend, backend] = [connection.frontend, connection.backend].map(|remote| at(remote.address, remote.port));
    let name = name(snapshot, connection.frontend, None);
    let row = FlowRow { socket: Some(cookie), ..row(name, connection.frontend.protocol, frontend, backend) };
    ((Some(cookie), None, frontend, backend), row)
}

fn of_datagrams(snapshot: &Snapshot, tracked: &Tracked, flow: &Flow, peer: &Peer) -> (Order, FlowRow) {
    let [frontend, backend] = [peer.frontend, peer.backend].map(|remote| at(remote.address, remote.port));
    let end = peer.last_used.saturating_add(Peer::TIMEOUT);
    let left = end.saturating_sub(tracked.clock.nanoseconds) / 1_000_000_000;
    let name = name(snapshot, peer.frontend, Some(peer.service));
    let row = FlowRow {
        socket: Some(flow.cookie),
        state: if flow.role == FlowRole::Connected as u32 { "connected" } else { "sent" },
        expires_seconds: Some(u32::try_from(left).unwrap_or(u32::MAX)),
        ..row(name, peer.frontend.protocol, frontend, backend)
    };
    ((Some(flow.cookie), None, frontend, backend), row)
}

impl Row for FlowRow {
    type Key = (ServicePort, Option<String>, Option<u64>, String, String);

    const KIND: &'static str = "flows";
    const WIDE: &'static [&'static str] = &["EXPIRES", "SOURCE"];
    const NUMBERS: &'static [&'static str] = &["socket", "ageSeconds", "expiresSeconds"];

    fn titles() -> Vec<&'static str> {
        ServicePort::titles(&["CLIENT", "FRONTEND", "BACKEND", "STATE", "AGE"])
    }

    fn fields() -> Vec<&'static str> {
        ServicePort::fields(&[
            "client",
            "socket",
            "frontend",
            "backend",
            "source",
            "state",
            "ageSeconds",
            "expiresSeconds",
        ])
    }

    fn key(&self) -> Self::Key {
        (self.service_port.clone(), self.client.clone(), self.socket, self.frontend.clone(), self.backend.clone())
    }

    fn cells(&self) -> Vec<String> {
        let client = self.client.clone().or_else(|| self.socket.map(|cookie| format!("sk:{cookie:x}")));
        self.service_port.cells([
            client.unwrap_or_else(|| "-".to_owned()),
            self.frontend.clone(),
            self.backend.clone(),
            self.state.to_owned(),
            self.age_seconds.map_or_else(|| "-".to_owned(), age),
        ])
    }

    fn wide_cells(&self) -> Vec<String> {
        let expires = self.expires_seconds.map_or_else(|| "-".to_owned(), left);
        vec![expires, self.source.clone().unwrap_or_else(|| "-".to_owned())]
    }

    /// A name is the Service's, or an address of client or backend, with or without port.
    fn is_named(&self, name: &str) -> bool {
        self.service_port.name == name
            || is_address(&self.backend, name)
            || self.client.as_deref().is_some_and(|client| is_address(client, name))
    }

    fn is_in(&self, namespace: &str) -> bool {
        self.service_port.namespace == namespace
    }

    fn service_port(&self) -> Option<&ServicePort> {
        Some(&self.service_port)
    }

    fn watched(&self) -> Result<String, serde_json::Error> {
        serde_json::to_string(&Self { age_seconds: None, expires_seconds: None, ..self.clone() })
    }
}
