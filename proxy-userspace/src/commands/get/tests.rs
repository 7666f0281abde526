use std::{fs, net::IpAddr, path::Path};

use proxy_common::{
    Address, Affinity, AffinityKey, Backend, BackendCounters, Frontend, FrontendKind, Member, Protocol, Service,
    ServiceCounters, SlotRange,
};

use super::*;
use crate::{
    desired::{Family, Owner, OwnerKind, PortId, PortKey, ServiceName},
    logging::errors::Report,
};

fn address(text: &str) -> Address {
    text.parse::<IpAddr>().unwrap().into()
}

fn frontend(text: &str, port: u16, protocol: Protocol) -> Frontend {
    Frontend::new(address(text), port, protocol as u8)
}

fn name(namespace: &str, service: &str, port: &str) -> StoredName {
    let port = PortKey { name: port.into(), protocol: Protocol::Tcp, family: Family::Ipv4 };
    encode::name(&PortId { service: ServiceName::new(namespace, service), port })
}

fn service(id: u32, kind: FrontendKind, internal: (u32, u32), external: (u32, u32)) -> Service {
    let range = |(offset, length)| SlotRange { offset, length };
    Service {
        id,
        kind: kind as u8,
        flags: Service::USABLE,
        internal: range(internal),
        external: range(external),
        ..Service::default()
    }
}

/// Returns a snapshot with `default/web:http` (id 1), which has three backends, one of them local, and `kube-system/dns` (id 2),
/// which has none.
pub(super) fn snapshot() -> Snapshot {
    let backend = |last: u8| Backend {
        address: address(&format!("10.1.0.{last}")),
        port: 8080,
        flags: if last == 2 { Backend::VALID | Backend::LOCAL } else { Backend::VALID },
        generation: 1,
    };
    Snapshot {
        services: [
            (frontend("10.96.0.10", 80, Protocol::Tcp), service(1, FrontendKind::ClusterIp, (0, 3), (0, 3))),
            (Frontend::owner(address("10.96.0.10")), encode::owner(Owner { kind: OwnerKind::ClusterIp, usable: true })),
            (frontend("0.0.0.0", 30080, Protocol::Tcp), service(1, FrontendKind::NodePort, (0, 3), (3, 1))),
            (frontend("fd00::1", 53, Protocol::Udp), service(2, FrontendKind::ClusterIp, (0, 0), (0, 0))),
        ]
        .into(),
        names: [(1, name("default", "web", "http")), (2, name("kube-system", "dns", ""))].into(),
        slots: [(0, 1), (1, 2), (2, 3), (3, 2)].into(),
        backends: [(1, backend(1)), (2, backend(2)), (3, backend(3))].into(),
        sources: [(1, ["10.0.0.0/8".parse().unwrap()].into())].into(),
        counted: [(1, ServiceCounters { connections: 42, ..ServiceCounters::default() })].into(),
        pressure: BTreeMap::new(),
    }
}

#[test]
fn services_are_shown_by_their_kubernetes_names() {
    let mut snapshot = snapshot();
    for service in snapshot.services.values_mut().filter(|service| service.id == 1) {
        service.affinity_timeout = 10_800;
    }
    let expected = "\
NAMESPACE     NAME   PORT   PROTOCOL   TYPE        ADDRESS         BACKENDS           AFFINITY   SOURCES   CONNECTIONS
default       web    http   TCP        ClusterIP   10.96.0.10:80   3                  3h         -         42
default       web    http   TCP        NodePort    *:30080         3 (1 external)     3h         -         42
kube-system   dns    -      UDP        ClusterIP   [fd00::1]:53    none here: drops   -          -         0
";
    assert_eq!(table(&services(&snapshot), Look::default()), expected);
}

#[test]
fn s16_an_empty_list_says_what_it_does() {
    let mut snapshot = snapshot();
    let key = frontend("fd00::1", 53, Protocol::Udp);
    snapshot.services.get_mut(&key).unwrap().flags = 0;
    let rows = services(&snapshot);
    let dns = rows.iter().find(|row| row.service_port.name == "dns").unwrap();
    assert_eq!(dns.cells()[6], "none: rejects");
    assert_eq!(dns.when_empty, "rejects");
}

#[test]
fn s21_who_is_served_is_shown_where_not_everybody_is() {
    let mut snapshot = snapshot();
    let key = frontend("203.0.113.1", 80, Protocol::Tcp);
    let mut balanced = service(1, FrontendKind::LoadBalancer, (0, 3), (0, 3));
    balanced.flags |= Service::SOURCE_RANGES | Service::NODE_ALLOWED;
    snapshot.services.insert(key, balanced);
    let find = |snapshot: &Snapshot| services(snapshot).into_iter().find(|row| row.r#type == "LoadBalancer").unwrap();
    let row = find(&snapshot);
    assert_eq!(row.cells()[8], "10.0.0.0/8");
    assert_eq!(row.sources, Some(SourcesCell { ranges: vec!["10.0.0.0/8".into()], node: true, pods: false }));
    snapshot.sources.clear();
    assert_eq!(find(&snapshot).cells()[8], "none");
}

#[test]
fn node_ports_of_both_families_are_distinguished() {
    let mut snapshot = snapshot();
    snapshot
        .services
        .insert(Frontend::new(Address::ANY_IPV6, 30080, 6), service(1, FrontendKind::NodePort, (0, 3), (0, 3)));
    let addresses: Vec<String> =
        services(&snapshot).into_iter().filter(|row| row.r#type == "NodePort").map(|row| row.address).collect();
    assert_eq!(addresses, ["[*]:30080", "*:30080"]);
}

#[test]
fn backends_name_every_service_that_uses_them() {
    let mut snapshot = snapshot();
    snapshot
        .services
        .insert(frontend("10.96.0.11", 80, Protocol::Tcp), service(2, FrontendKind::ClusterIp, (1, 1), (1, 1)));
    snapshot.pressure.insert(3, BackendCounters { flows: 7, taken: 2, exhausted: 1 });
    snapshot.backends.insert(9, Backend { address: address("fd00::9"), port: 1, ..snapshot.backends[&1] });
    let expected = "\
ID   ADDRESS         LOCAL   FLOWS   COLLISIONS   EXHAUSTED   SERVICES
1    10.1.0.1:8080   -       0       0            0           default/web:http
2    10.1.0.2:8080   yes     0       0            0           default/web:http,kube-system/dns
3    10.1.0.3:8080   -       7       2            1           default/web:http
9    [fd00::9]:1     -       0       0            0           -
";
    assert_eq!(table(&backends(&snapshot), Look::default()), expected);
}

#[test]
fn damaged_entries_are_shown() {
    let mut snapshot = snapshot();
    snapshot.backends.remove(&2);
    snapshot.names.remove(&1);
    let key = frontend("fd00::1", 53, Protocol::Udp);
    let dns = snapshot.services.get_mut(&key).unwrap();
    (dns.kind, dns.internal) = (77, SlotRange { offset: u32::MAX - 1, length: u32::MAX });
    let rows = services(&snapshot);
    let web = rows.iter().find(|row| row.r#type == "ClusterIP").unwrap();
    assert_eq!(
        (web.service_port.namespace.as_str(), web.service_port.name.as_str(), web.cells()[6].as_str()),
        ("?", "id=1", "2 (1 damaged)")
    );
    let dns = rows.iter().find(|row| row.service_port.name == "dns").unwrap();
    assert_eq!((dns.r#type.as_str(), dns.cells()[6].as_str()), ("kind=77", "0 (4294967295 damaged)"));
    let lost = backends(&snapshot).into_iter().find(|row| row.id == 2).unwrap();
    assert_eq!(lost.cells(), ["2", "damaged: not in BACKENDS", "-", "0", "0", "0", "?/id=1"]);
}

#[test]
fn json_holds_the_backends_themselves() {
    let rows: serde_json::Value = serde_json::from_str(&json(&services(&snapshot())).unwrap()).unwrap();
    assert_eq!(rows[1]["external"]["backends"], serde_json::json!(["10.1.0.2:8080"]));
    assert_eq!(rows[0]["type"], "ClusterIP");
    assert_eq!(rows[1]["connections"], 42);
    assert_eq!(rows[2]["whenEmpty"], "drops");
    let rows: serde_json::Value = serde_json::from_str(&json(&backends(&snapshot())).unwrap()).unwrap();
    let first = serde_json::json!({
        "id": 1, "address": "10.1.0.1:8080", "local": false, "flows": 0, "portCollisions": 0, "portsExhausted": 0,
        "services": ["default/web:http"]
    });
    assert_eq!(rows[0], first);
    assert_eq!(json::<[BackendRow]>(&[]).unwrap(), "[]\n");
}

#[test]
fn a_missing_instance_is_named_with_those_that_exist() {
    let root = std::env::temp_dir().join(format!("waggle-inspect-{}", std::process::id()));
    let message = |root: &Path| snapshot::find_in(root, "nope", || Ok(())).unwrap_err().to_string();
    let before = message(&root);
    fs::create_dir_all(root.join("default")).unwrap();
    fs::create_dir_all(root.join("lab")).unwrap();
    let after = message(&root);
    let found = snapshot::find_in(&root, "lab", || Err(HostError::NoBpffs));
    let without = snapshot::find_in(&root, "nope", || Err(HostError::NoBpffs)).unwrap_err();
    fs::remove_dir_all(&root).unwrap();
    assert!(before.contains("there are none"), "{before}");
    assert!(after.contains("\"nope\"") && after.contains("there are default, lab"), "{after}");
    assert!(after.contains(&format!("`ls {}`", root.display())), "{after}");
    assert!(found.is_ok());
    let expected = format!("find instance \"nope\": {}", HostError::NoBpffs);
    assert_eq!(Report(&without).to_string(), expected);
}

/// The second cells of the rows that are asked for, and what is said of names without rows.
fn select<R: Row>(rows: Vec<R>, namespace: Option<&str>, names: &[&str]) -> (Vec<String>, Option<String>) {
    let names = names.iter().map(|name| (*name).to_owned()).collect();
    let selection = Selection { namespace: namespace.map(str::to_owned), names, ..Selection::default() };
    let (rows, found) = selection.select(rows, &KnownLabels::default()).unwrap();
    (rows.iter().map(|row| row.cells()[1].clone()).collect(), found.err().map(|error| error.to_string()))
}

#[test]
fn names_and_namespaces_select_rows() {
    let snapshot = snapshot();
    let found = |rows: &[&str]| (rows.iter().map(|row| (*row).to_owned()).collect::<Vec<_>>(), None);
    assert_eq!(select(services(&snapshot), None, &[]), found(&["web", "web", "dns"]));
    assert_eq!(select(services(&snapshot), Some("kube-system"), &[]), found(&["dns"]));
    assert_eq!(select(services(&snapshot), None, &["dns"]), found(&["dns"]));
    assert_eq!(select(services(&snapshot), Some("nowhere"), &[]), found(&[]));
    let addresses = ["10.1.0.1:8080", "10.1.0.3:8080"];
    assert_eq!(select(backends(&snapshot), None, &["10.1.0.3", "10.1.0.1:8080"]), found(&addresses));
    assert_eq!(select(backends(&snapshot), Some("kube-system"), &[]), found(&[]));
}

#[test]
fn names_without_rows_are_named_and_the_others_shown() {
    let (rows, error) = select(services(&snapshot()), Some("default"), &["web", "dns", "shop"]);
    assert_eq!(rows, ["web", "web"]);
    assert_eq!(error.unwrap(), "services \"dns\", \"shop\" not found in namespace \"default\"");
    let (rows, error) = select(services(&snapshot()), None, &["shop"]);
    assert!(rows.is_empty());
    assert_eq!(error.unwrap(), "services \"shop\" not found");
}

#[test]
fn s13_endpoints_say_which_lists_they_are_in() {
    let mut snapshot = snapshot();
    for service in snapshot.services.values_mut().filter(|service| service.id == 1) {
        service.flags |= Service::EXTERNAL_LOCAL;
    }
    let cluster_ip = snapshot.services.get_mut(&frontend("10.96.0.10", 80, Protocol::Tcp)).unwrap();
    cluster_ip.external = SlotRange { offset: 3, length: 1 };
    let expected = "\
NAMESPACE     NAME   PORT   PROTOCOL   ENDPOINT        LOCAL   LISTS
default       web    http   TCP        10.1.0.1:8080   -       Cluster
default       web    http   TCP        10.1.0.2:8080   yes     Cluster,Local
default       web    http   TCP        10.1.0.3:8080   -       Cluster
kube-system   dns    -      UDP        none (IPv6)     -       -
";
    assert_eq!(table(&endpoints(&snapshot), Look::default()), expected);
    assert_eq!(select(endpoints(&snapshot), None, &["dns"]), (vec!["dns".to_owned()], None));
}

/// A client of service 1 that connected 30 s before second 100, and its backend.
fn client(key: AffinityKey, backend: u32) -> (AffinityKey, Affinity) {
    let last_connection = 70_000_000_000;
    (key, Affinity { backend, backend_generation: 1, last_connection, ..Affinity::default() })
}

#[test]
fn s24_affinity_shows_clients_that_keep_their_backends() {
    let mut snapshot = snapshot();
    for service in snapshot.services.values_mut().filter(|service| service.id == 1) {
        service.affinity_timeout = 100;
    }
    let from = |text| AffinityKey::from_address(address(text), 1);
    let mut former = client(from("198.51.100.3"), 1);
    former.1.backend_generation = 9;
    let mut late = client(from("198.51.100.4"), 1);
    late.1.last_connection = 0;
    let without_affinity = AffinityKey { service: 2, ..from("198.51.100.5") };
    let clients = Clients {
        clock: Clock { nanoseconds: 100_500_000_000, ..Clock::default() },
        entries: vec![
            client(from("198.51.100.1"), 2),
            client(AffinityKey::from_netns(0x1_0000_0007, 1), 1),
            client(from("198.51.100.2"), 3),
            former,
            late,
            client(without_affinity, 1),
        ],
        members: [1, 2].map(|backend| Member { service: 1, backend }).into(),
    };
    let expected = "\
NAMESPACE   NAME   PORT   PROTOCOL   CLIENT             BACKEND         AGE   EXPIRES
default     web    http   TCP        netns:4294967303   10.1.0.1:8080   30s   1m10s
default     web    http   TCP        198.51.100.1       10.1.0.2:8080   30s   1m10s
";
    assert_eq!(table(&affinity(&snapshot, &clients), Look::default()), expected);
}

#[test]
fn wide_tables_show_policies_and_backends() {
    let shown = table(&services(&snapshot())[1..2], Look { is_wide: true, is_bare: true, ..Look::default() });
    let cells: Vec<&str> = shown.split_whitespace().collect();
    assert_eq!(
        &cells[cells.len() - 4..],
        ["Cluster", "Cluster", "10.1.0.1:8080,10.1.0.2:8080,10.1.0.3:8080", "10.1.0.2:8080"]
    );
    assert_eq!(shown.lines().count(), 1);
}

#[test]
fn yaml_holds_what_json_holds() {
    let rows = services(&snapshot());
    let as_json: serde_json::Value = serde_json::from_str(&json(&rows).unwrap()).unwrap();
    let as_yaml: serde_json::Value = serde_saphyr::from_str(&yaml(&rows).unwrap()).unwrap();
    assert_eq!(as_yaml, as_json);
    assert_eq!(yaml::<[BackendRow]>(&[]).unwrap().trim(), "[]");
}
