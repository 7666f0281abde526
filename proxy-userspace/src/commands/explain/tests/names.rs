//! What is found by the names in the maps: addresses of Services, who has an address, and how a Service is served.

use std::net::IpAddr;

use proxy_common::{Address, Backend, Frontend, FrontendKind, Protocol, Service, SlotRange, StoredName};

use super::super::{
    dialled::dialled,
    holders::{Holder, holders},
    object::{object, text},
    question::{QuestionError, parse_destination, parse_service},
};
use crate::{
    commands::get::Snapshot,
    desired::{Family, PortId, PortKey, ServiceName},
    maps::encode,
};

fn address(text: &str) -> Address {
    text.parse::<IpAddr>().unwrap().into()
}

fn frontend(at: &str, port: u16) -> Frontend {
    Frontend::new(address(at), port, Protocol::Tcp as u8)
}

fn name(service: &str, port: &str, family: Family) -> StoredName {
    let port = PortKey { name: port.into(), protocol: Protocol::Tcp, family };
    encode::name(&PortId { service: ServiceName::new("shop", service), port })
}

fn service(id: u32, kind: FrontendKind, flags: u8, [internal, external]: [SlotRange; 2]) -> Service {
    Service { id, kind: kind as u8, flags, internal, external, ..Service::default() }
}

/// `shop/web` with ports `http` (80, node port 30080, load-balancer IP) and `admin` (81), both without a second family, and
/// `shop/lost`, whose only port has no frontend.
fn snapshot() -> Snapshot {
    let (one, none) = (SlotRange { offset: 0, length: 1 }, SlotRange::default());
    let local = Service::USABLE | Service::EXTERNAL_LOCAL;
    let limited = local | Service::SOURCE_RANGES | Service::NODE_ALLOWED;
    let backend = Backend { address: address("10.1.0.1"), port: 8080, flags: Backend::VALID, generation: 1 };
    let balanced = service(1, FrontendKind::LoadBalancer, limited, [one, one]);
    Snapshot {
        services: [
            (Frontend::owner(address("10.96.0.10")), Service::default()),
            (frontend("10.96.0.10", 80), service(1, FrontendKind::ClusterIp, Service::USABLE, [one, one])),
            (frontend("10.96.0.10", 81), service(2, FrontendKind::ClusterIp, 0, [none, none])),
            (frontend("0.0.0.0", 30080), service(1, FrontendKind::NodePort, local, [one, none])),
            (frontend("203.0.113.2", 80), Service { affinity_timeout: 90, ..balanced }),
        ]
        .into(),
        names: [
            (1, name("web", "http", Family::Ipv4)),
            (2, StoredName { changed: 1_796_094_416, ..name("web", "admin", Family::Ipv4) }),
            (3, name("lost", "", Family::Ipv6)),
        ]
        .into(),
        slots: [(0, 7)].into(),
        backends: [(7, backend)].into(),
        sources: [(1, ["198.51.100.0/24".parse().unwrap()].into())].into(),
        ..Snapshot::default()
    }
}

fn found(client: &str, destination: &str) -> Result<Frontend, QuestionError> {
    let destination = parse_destination(destination, "shop").unwrap();
    dialled(&snapshot(), client.parse().unwrap(), &destination, Protocol::Tcp)
}

#[test]
fn names_lead_to_cluster_ips_and_ports() {
    let client = "10.1.0.9";
    for (destination, expected) in [
        ("svc/web:http", frontend("10.96.0.10", 80)),
        ("shop/web:81", frontend("10.96.0.10", 81)),
        ("svc/web:9", frontend("10.96.0.10", 9)),
        ("10.96.0.10:admin", frontend("10.96.0.10", 81)),
        ("203.0.113.2", frontend("203.0.113.2", 80)),
        ("192.0.2.1:7", frontend("192.0.2.1", 7)),
    ] {
        assert_eq!(found(client, destination), Ok(expected), "{destination}");
    }
    let ports = vec!["http (80)".to_owned(), "admin (81)".to_owned()];
    let missing = |port: Option<&str>| QuestionError::Port {
        destination: "shop/web".to_owned(),
        port: port.map(str::to_owned),
        ports: ports.clone(),
    };
    assert_eq!(found(client, "svc/web"), Err(missing(None)));
    assert_eq!(found(client, "svc/web:x"), Err(missing(Some("x"))));
    assert_eq!(found(client, "default/web:http"), Err(QuestionError::UnknownService("default/web".to_owned())));
    let none = QuestionError::NoClusterIp { service: "shop/web".to_owned(), family: "IPv6" };
    assert_eq!(found("fd00::9", "svc/web:http"), Err(none));
    assert!(matches!(found("fd00::9", "10.96.0.10:80"), Err(QuestionError::Families { .. })));
}

#[test]
fn an_address_is_that_of_services_with_their_ports() {
    let expected = Holder { service: "shop/web".to_owned(), ports: vec!["80/TCP".to_owned(), "81/TCP".to_owned()] };
    assert_eq!(holders(&snapshot(), address("10.96.0.10")), [expected]);
    assert_eq!(holders(&snapshot(), address("10.96.0.11")), []);
}

#[test]
fn each_frontend_of_a_service_is_described() {
    let of = |name: &str| object(&snapshot(), &parse_service(name, "shop").unwrap());
    let expected = "\
Service shop/web
 1  ClusterIP 10.96.0.10:81/TCP, port admin: programmed, unchanged since 2026-12-01T03:06:56Z
    all clients  Cluster list, which is empty: refused, no_backend: No usable backend anywhere (S16)
 2  ClusterIP 10.96.0.10:80/TCP, port http: programmed
    all clients  Cluster list: 10.1.0.1:8080
 3  LoadBalancer 203.0.113.2:80/TCP, port http: programmed
    clients here     Cluster list: 10.1.0.1:8080
    clients outside  Local list: 10.1.0.1:8080
    affinity         a client keeps its backend for 1m30s (S24)
    admitted         198.51.100.0/24; this node: yes, its pods: no (S21)
 4  NodePort *:30080/TCP, port http: programmed
    clients here     Cluster list: 10.1.0.1:8080
    clients outside  Local list, which is empty: refused, no_local_backend: The policy is Local and no usable backend is
                       on this node (S16)
";
    assert_eq!(text(&of("svc/web").unwrap()), expected);
    let lost = text(&of("svc/lost").unwrap());
    assert!(
        lost.contains("    port unnamed (TCP, IPv6) has no frontend in force: other Services have its addresses"),
        "{lost}"
    );
    assert_eq!(of("svc/absent").unwrap_err(), QuestionError::UnknownService("shop/absent".to_owned()));
}
