use std::net::IpAddr;

use proxy_common::{EntryMeta, FrontendKind, Protocol, Service, State, StoredName};

use super::*;
use crate::{
    commands::get::{Look, table},
    desired::{Family, PortId, PortKey, ServiceName},
    maps::encode,
    node::jiffies,
};

/// The time in jiffies, shortly after the counter has wrapped at 2³².
const START: u64 = (1 << 32) + 64;

fn address(text: &str) -> Address {
    text.parse::<IpAddr>().unwrap().into()
}

fn remote(text: &str, protocol: Protocol) -> Frontend {
    let text: SocketAddr = text.parse().unwrap();
    Frontend::new(text.ip().into(), text.port(), protocol as u8)
}

/// `default/web:http` (id 1) with a cluster address and a node port, and `kube-system/dns` (id 2).
fn snapshot() -> Snapshot {
    let name = |namespace: &str, service: &str, port: &str| -> StoredName {
        let port = PortKey { name: port.into(), protocol: Protocol::Tcp, family: Family::Ipv4 };
        encode::name(&PortId { service: ServiceName::new(namespace, service), port })
    };
    let service = |id, kind| Service { id, kind: kind as u8, ..Service::default() };
    Snapshot {
        services: [
            (remote("10.96.0.10:80", Protocol::Tcp), service(1, FrontendKind::ClusterIp)),
            (remote("0.0.0.0:30080", Protocol::Tcp), service(1, FrontendKind::NodePort)),
            (remote("10.96.0.53:53", Protocol::Udp), service(2, FrontendKind::ClusterIp)),
        ]
        .into(),
        names: [(1, name("default", "web", "http")), (2, name("kube-system", "dns", ""))].into(),
        ..Snapshot::default()
    }
}

/// The reply entry of a flow that a client outside has opened to the node port: opened 196 s ago, expires in 90 s.
fn packets(client_port: u16, service: u32, state: State) -> (Tuple, ConntrackEntry) {
    let tuple = Tuple {
        source: address("10.1.0.1"),
        destination: address("192.0.2.1"),
        source_port: 8080,
        destination_port: 61_000,
        protocol: Protocol::Tcp as u8,
        ..Tuple::default()
    };
    let entry = ConntrackEntry {
        source: address("192.0.2.1"),
        destination: address("198.51.100.9"),
        source_port: 30080,
        destination_port: client_port,
        meta: EntryMeta {
            expires: jiffies::modulo(START + 90 * 250),
            opened: EntryMeta::opening(START - 192 * 256),
            service,
            state: state as u8,
            flags: EntryMeta::REPLY,
            ..EntryMeta::default()
        },
    };
    (tuple, entry)
}

fn tracked() -> Tracked {
    let connection = Connection {
        frontend: remote("10.96.0.10:80", Protocol::Tcp),
        backend: remote("10.1.0.2:8080", Protocol::Tcp),
    };
    let peer = Peer {
        frontend: remote("10.96.0.53:53", Protocol::Udp),
        backend: remote("10.1.0.5:53", Protocol::Udp),
        service: 2,
        last_used: 60_000_000_000,
        ..Peer::default()
    };
    Tracked {
        clock: Clock { jiffies: START, per_second: 250, nanoseconds: 70_000_000_000 },
        packets: vec![
            packets(40_001, 1, State::Established),
            packets(40_000, 1, State::ClientClosed),
            packets(40_001, 1, State::Established),
        ],
        sockets: vec![(0x3047, connection)],
        datagrams: vec![(Flow::new(0x3048, peer.frontend, FlowRole::Sent), peer)],
    }
}

#[test]
fn flows_are_shown_by_client_service_backend_and_state() {
    let expected = "\
NAMESPACE     NAME   PORT   PROTOCOL   CLIENT               FRONTEND          BACKEND         STATE           AGE
default       web    http   TCP        198.51.100.9:40000   192.0.2.1:30080   10.1.0.1:8080   client_closed   3m16s
default       web    http   TCP        198.51.100.9:40001   192.0.2.1:30080   10.1.0.1:8080   established     3m16s
default       web    http   TCP        sk:3047              10.96.0.10:80     10.1.0.2:8080   connected       -
kube-system   dns    -      UDP        sk:3048              10.96.0.53:53     10.1.0.5:53     sent            -
";
    let rows = flows(&snapshot(), &tracked());
    assert_eq!(table(&rows, Look::default()), expected);
    let further: Vec<Vec<String>> = rows.iter().map(Row::wide_cells).collect();
    let packets = ["1m30s", "192.0.2.1:61000"];
    assert_eq!(further, [packets, packets, ["-", "-"], ["1m50s", "-"]]);
}

#[test]
fn a_flow_whose_first_packet_no_program_has_seen_has_no_age() {
    let (tuple, mut entry) = packets(40_000, 1, State::Established);
    entry.meta.opened = 0;
    let rows = flows(&snapshot(), &Tracked { packets: vec![(tuple, entry)], ..tracked() });
    assert_eq!((rows[0].age_seconds, flows(&snapshot(), &tracked())[0].age_seconds), (None, Some(196)));
}

#[test]
fn a_flow_of_a_former_service_is_not_shown_as_anothers() {
    let tracked = Tracked { packets: vec![packets(40_000, 7, State::Established)], ..Tracked::default() };
    let rows = flows(&snapshot(), &tracked);
    assert_eq!((rows[0].service_port.namespace.as_str(), rows[0].service_port.name.as_str()), ("?", "?"));
}

#[test]
fn flows_are_named_by_service_client_and_backend() {
    let rows = flows(&snapshot(), &tracked());
    let count = |name: &str| rows.iter().filter(|row| row.is_named(name)).count();
    assert_eq!(["web", "198.51.100.9", "198.51.100.9:40001", "10.1.0.5", "192.0.2.1"].map(count), [3, 2, 1, 1, 0]);
}

#[test]
fn a_flow_that_grows_old_does_not_change() {
    let older = Tracked { clock: Clock { jiffies: START + 2500, ..tracked().clock }, ..tracked() };
    let watched = |tracked| flows(&snapshot(), tracked).iter().map(|row| row.watched().unwrap()).collect::<Vec<_>>();
    assert_eq!(watched(&older), watched(&tracked()));
    assert_ne!(flows(&snapshot(), &older), flows(&snapshot(), &tracked()));
}
