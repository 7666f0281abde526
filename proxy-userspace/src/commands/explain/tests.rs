pub(super) mod fixture;
mod names;

use proxy_common::{ConntrackEntry, EntryMeta, List, Service, State, Verdict, filter::AddressClass};

use self::fixture::{address, dialled, explained, facts, fault, memories, outside, pod, range};
use super::{
    client::{Client, ClientDevice, Hop},
    decision::{Way, decide},
    explanation::SourcePort,
    facts::{Memory, NewSource},
    holders::Holder,
    steps::explain,
    text::text,
};
use crate::commands::{cli::ClientKind, get::Clock};

#[test]
fn a_pods_connection_to_a_cluster_ip_is_explained_step_by_step() {
    let (explanation, text) = explained(&memories(), pod(), dialled("10.96.0.10", 80));
    let expected = "\
1  client    10.244.1.7 is in a pod of this node: a program sees its connect()
2  frontend  10.96.0.10:80/TCP is a ClusterIP of Service default/web, port http
3  sources   every client is admitted: source ranges are for load-balancer IPs only (S21)
4  policy    spec.internalTrafficPolicy Cluster: the Cluster list, of all nodes (S14): 2 backends
5  affinity  none: each connection gets any backend of the list (S23)
6  backend   10.244.1.1:8080  1 in 2  on this node
             10.244.2.1:8080  1 in 2  on another node
7  packets   to 10.244.1.1:8080  from the socket's own address (S26), by eth0
             to 10.244.2.1:8080  from the socket's own address (S26), by eth0
8  verdict   served: the backend answers, in the name of what was dialled
";
    assert_eq!(text, expected);
    assert_eq!((explanation.verdict.outcome, explanation.client.hook), ("served", "socket"));
}

#[test]
fn s26_packets_to_a_backend_elsewhere_get_this_nodes_address() {
    let (explanation, text) = explained(&memories(), outside(), dialled("10.96.0.10", 80));
    let sources: Vec<_> = explanation
        .candidates
        .iter()
        .map(|candidate| (candidate.source.as_deref(), candidate.keeps_client_address, candidate.source_port))
        .collect();
    let node = (Some("192.168.50.1"), false, SourcePort::KeptIfFree);
    assert_eq!(sources, [(Some("192.0.2.9"), true, SourcePort::Kept), node]);
    assert!(text.contains("192.0.2.9 is outside: its packets come in by eth0, which TC serves\n"), "{text}");
    assert!(text.contains("from 192.168.50.1, this node's (S26), port kept if free, by eth0"), "{text}");
}

#[test]
fn s17_a_node_port_of_policy_local_has_two_lists() {
    let to = dialled("192.168.50.1", 30080);
    let (from_outside, _) = explained(&memories(), outside(), to);
    let policy = from_outside.policy.unwrap();
    assert_eq!((policy.field, policy.value, policy.list), ("spec.externalTrafficPolicy", "Local", "Local"));
    assert!(!policy.short_circuit && policy.backends == 1 && from_outside.candidates.len() == 1);
    let (from_pod, text) = explained(&memories(), pod(), to);
    let policy = from_pod.policy.unwrap();
    assert_eq!((policy.value, policy.list, policy.short_circuit), ("Local", "Cluster", true));
    assert!(text.contains("the Cluster list, since the client is on this node (S17): 2 backends"), "{text}");
}

#[test]
fn s16_an_empty_list_names_the_field_at_fault() {
    let mut maps = memories();
    let to = dialled("192.168.50.1", 30080);
    maps.services.get_mut(&dialled("0.0.0.0", 30080)).unwrap().external.length = 0;
    let (dropped, text) = explained(&maps, outside(), to);
    let field = Some("spec.externalTrafficPolicy");
    assert_eq!(fault(&dropped), [Some("no_local_backend"), Some("S16"), Some("Service default/web"), field]);
    assert!(text.contains("the Local list, of this node (S14): it is empty\n"), "{text}");
    assert!(text.contains("  the client sees: nothing, until it gives up"), "{text}");
    let empty = Service { flags: 0, internal: range(0, 0), ..maps.services[&dialled("10.96.0.10", 80)] };
    maps.services.insert(dialled("10.96.0.10", 80), empty);
    let (rejected, text) = explained(&maps, pod(), dialled("10.96.0.10", 80));
    assert_eq!(rejected.verdict.outcome, "rejected");
    assert_eq!(fault(&rejected)[2], Some("EndpointSlices of Service default/web"));
    assert!(text.contains("connect() fails at once with ECONNREFUSED"), "{text}");
}

#[test]
fn s20_unserved_ports_and_addresses_of_no_service_have_reasons_of_their_own() {
    let mut unserved = facts(&memories(), pod(), dialled("10.96.0.10", 81));
    unserved.holders = vec![Holder { service: "default/web".to_owned(), ports: vec!["80/TCP".to_owned()] }];
    let explanation = explain(&unserved);
    let object = Some("Service default/web");
    assert_eq!(fault(&explanation), [Some("unserved_port"), Some("S20"), object, Some("spec.ports")]);
    let text = text(&unserved, &explanation);
    assert!(text.contains("is none: the address is that of default/web (80/TCP)\n"), "{text}");
    let (unowned, text) = explained(&memories(), pod(), dialled("10.96.0.99", 80));
    let object = Some("ServiceCIDR 10.96.0.0/16");
    assert_eq!(fault(&unowned), [Some("unowned_address"), Some("S20"), object, Some("spec.cidrs")]);
    assert!(text.contains("inside ServiceCIDR 10.96.0.0/16, and no Service has it\n"), "{text}");
    assert!(text.contains("EHOSTUNREACH"), "{text}");
    assert_eq!((unowned.frontend, unowned.verdict.since), (None, None));
}

#[test]
fn s21_a_client_outside_the_ranges_is_refused_before_any_list() {
    let to = dialled("203.0.113.2", 80);
    let (dropped, text) = explained(&memories(), outside(), to);
    let field = Some("spec.loadBalancerSourceRanges");
    assert_eq!(fault(&dropped), [Some("source_range"), Some("S21"), Some("Service default/web"), field]);
    assert!(dropped.policy.is_none() && dropped.candidates.is_empty());
    assert_eq!(dropped.verdict.since.as_deref(), Some("2026-12-01T03:06:56Z"));
    assert!(text.contains("since: 2026-12-01T03:06:56Z (90s ago), the last change of the port's"), "{text}");
    let line = "refused: the client is not inside spec.loadBalancerSourceRanges, 198.51.100.0/24 (S21)\n";
    assert!(text.contains(line), "{text}");
    let inside = Client { address: "198.51.100.7".parse().unwrap(), ..outside() };
    let (served, _) = explained(&memories(), inside, to);
    assert_eq!((served.verdict.outcome, served.source_ranges.unwrap().admitted), ("served", true));
    let (refused, text) = explained(&memories(), pod(), to);
    assert_eq!(refused.verdict.reason, Some("source_range"));
    assert!(text.contains("the range of all this node's pods is not inside"), "{text}");
}

#[test]
fn s24_a_client_with_a_backend_always_gets_it() {
    let mut maps = memories();
    maps.services.get_mut(&dialled("10.96.0.10", 80)).unwrap().affinity_timeout = 10_800;
    let mut facts = facts(&maps, pod(), dialled("10.96.0.10", 80));
    let fresh = explain(&facts);
    assert!(text(&facts, &fresh).contains("the client has no backend yet; it keeps the one that it gets for 3h (S24)"));
    assert_eq!(fresh.affinity.as_ref().map(|part| (part.known, part.backend.as_deref())), Some((true, None)));
    facts.memory = Memory::Backend("10.244.2.1:8080".parse().unwrap(), 90);
    facts.candidates.remove(0);
    let kept = explain(&facts);
    assert_eq!((kept.candidates[0].slots, kept.candidates[0].of), (1, 1));
    let text = text(&facts, &kept);
    assert!(text.contains("keeps 10.244.2.1:8080, for 1m30s unless it connects before (S24)"), "{text}");
    assert!(text.contains("10.244.2.1:8080  always  on another node"), "{text}");
    facts.memory = Memory::Unknown;
    assert!(!explain(&facts).affinity.unwrap().known);
}

#[test]
fn s39_what_is_no_services_passes() {
    let (passes, text) = explained(&memories(), pod(), dialled("192.0.2.80", 80));
    assert_eq!((passes.verdict.outcome, passes.verdict.reason, passes.frontend), ("passes", None, None));
    assert!(text.contains("is none: no Service has the address (S39)\n"), "{text}");
    let unserved = Client { device: Some(ClientDevice { mode: None, ..outside().device.unwrap() }), ..outside() };
    let (unseen, text) = explained(&memories(), unserved, dialled("10.96.0.10", 80));
    assert_eq!((unseen.verdict.outcome, unseen.policy, unseen.frontend), ("passes", None, None));
    assert!(text.contains("which Waggle does not serve\n2  verdict"), "{text}");
}

#[test]
fn s19_only_the_nodes_own_processes_reach_node_ports_on_loopback() {
    let to = dialled("127.0.0.1", 30080);
    let node = Client { kind: ClientKind::Node, ..pod() };
    let (served, text) = explained(&memories(), node, to);
    assert_eq!(served.verdict.outcome, "served");
    assert!(text.contains("a process that listens at exactly this address is reached instead (F12)"), "{text}");
    assert_eq!(explained(&memories(), pod(), to).0.verdict.outcome, "passes");
}

#[test]
fn packets_that_the_filters_rule_out_pass() {
    let maps = memories();
    let decided = |class, is_node_port| {
        let way = Way::Packet { internal: false, is_own: false, class, is_node_port };
        decide(&maps, &address("192.0.2.9"), &dialled("192.168.50.1", 30080), way).list
    };
    assert_eq!(decided(0, true), Err(Verdict::Pass));
    assert_eq!(decided(AddressClass::NODE, false), Err(Verdict::Pass));
    assert_eq!(decided(AddressClass::NODE, true), Ok((range(2, 1), List::Local)));
}

#[test]
fn backends_that_nothing_can_be_sent_to_are_refused() {
    let mut facts = facts(&memories(), outside(), dialled("10.96.0.10", 80));
    facts.candidates[1].source = NewSource::Missing;
    let some = explain(&facts);
    assert_eq!(some.verdict.outcome, "served");
    assert_eq!(some.candidates[1].refusal, Some("no_node_address"));
    facts.candidates.remove(0);
    let none = explain(&facts);
    assert_eq!((none.verdict.outcome, none.verdict.reason), ("dropped", Some("no_node_address")));
    facts.candidates[0].source = NewSource::Nodes(address("192.168.50.1"), SourcePort::Kept);
    facts.candidates[0].hop = Hop::Refused;
    assert_eq!(explain(&facts).verdict.reason, Some("no_route"));
    facts.candidates.clear();
    assert_eq!(explain(&facts).verdict.reason, Some("missing_backend"));
}

#[test]
fn backends_without_a_route_are_named() {
    let mut facts = facts(&memories(), pod(), dialled("10.96.0.10", 80));
    facts.candidates[0].hop = Hop::None;
    let some = explain(&facts);
    let sees = "the backend answers, in the name of what was dialled, unless it is 10.244.1.1:8080: no route of this node \
                leads there";
    assert_eq!((some.verdict.outcome, some.verdict.client_sees.as_str()), ("served", sees));
    assert!(some.candidates[0].local && !some.candidates[0].has_route && some.candidates[1].has_route);
    assert!(
        text(&facts, &some).contains("to 10.244.1.1:8080  from the socket's own address (S26), no route leads there\n")
    );
    facts.candidates.push(facts.candidates[0].clone());
    assert!(explain(&facts).verdict.client_sees.ends_with("one of the 2 that no route of this node leads to"));
    facts.candidates.retain(|candidate| candidate.hop == Hop::None);
    assert!(
        explain(&facts).verdict.client_sees.starts_with("no answer, since no route of this node leads to a backend")
    );
}

#[test]
fn json_has_stable_names() {
    let (explanation, _) = explained(&memories(), outside(), dialled("192.168.50.1", 30080));
    let value = serde_json::to_value(&explanation).unwrap();
    for (path, expected) in [
        ("/client/from", serde_json::json!("outside")),
        ("/client/hook", serde_json::json!("packet")),
        ("/destination/protocol", serde_json::json!("TCP")),
        ("/frontend/type", serde_json::json!("NodePort")),
        ("/sourceRanges/admitted", serde_json::json!(true)),
        ("/policy/shortCircuit", serde_json::json!(false)),
        ("/candidates/0/keepsClientAddress", serde_json::json!(true)),
        ("/candidates/0/sourcePort", serde_json::json!("kept")),
        ("/candidates/0/hasRoute", serde_json::json!(true)),
        ("/verdict/clientSees", serde_json::json!("the backend answers, in the name of what was dialled")),
    ] {
        assert_eq!(value.pointer(path), Some(&expected), "{path}: {value:#}");
    }
}

#[test]
fn w13_sctp_of_the_node_itself_reaches_addresses_of_services_only() {
    let maps = memories();
    let decided = |to: &str, port| {
        let class = AddressClass::NODE | AddressClass::SERVICE;
        let way = Way::Packet { internal: true, is_own: true, class, is_node_port: true };
        decide(&maps, &address("192.168.50.1"), &dialled(to, port), way).list
    };
    assert_eq!(decided("10.96.0.10", 80), Ok((range(0, 2), List::Cluster)));
    assert_eq!(decided("192.168.50.1", 30080), Err(Verdict::Pass), "its own node ports are not served");
}

#[test]
fn a_flow_of_the_clients_port_comes_first() {
    let mut facts = facts(&memories(), Client { port: Some(40_001), ..outside() }, dialled("192.168.50.1", 30080));
    facts.clock = Clock { jiffies: 1000, per_second: 100, nanoseconds: 0 };
    let mut entry = ConntrackEntry {
        source: address("192.168.50.1"),
        destination: address("10.244.2.1"),
        source_port: 61_001,
        destination_port: 8080,
        ..ConntrackEntry::default()
    };
    entry.meta = EntryMeta { state: State::Established as u8, expires: 10_000, ..EntryMeta::default() };
    facts.flow = Some(entry);
    let explanation = explain(&facts);
    let flow = explanation.flow.as_ref().unwrap();
    assert_eq!((flow.backend.as_str(), flow.source.as_str()), ("10.244.2.1:8080", "192.168.50.1:61001"));
    assert_eq!((flow.state, flow.expires_seconds), (State::Established.label(), 90));
    let shown = text(&facts, &explanation);
    assert!(shown.contains("to 10.244.2.1:8080 from 192.168.50.1:61001: its packets stay in it"), "{shown}");
    entry.meta.state = State::Foreign as u8;
    facts.flow = Some(entry);
    let shown = text(&facts, &explain(&facts));
    assert!(shown.contains("2  flow      port 40001 has a flow that is not Waggle's: its packets pass"), "{shown}");
}
