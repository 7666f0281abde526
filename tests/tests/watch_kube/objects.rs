//! Which events are reported for which objects.

use proxy_userspace::{
    objects::{Event, Kind},
    watch::kube::Timing,
};
use serde_json::json;

use crate::{
    agent::{Agent, DEADLINE, QUICK, reference},
    node, server, service, service_cidr, slice,
};

#[test]
fn s30_every_kind_is_listed_also_when_empty() {
    let agent = Agent::listed(server(), QUICK);
    assert!(agent.objects.is_empty());
    assert!(agent.listed.values().all(|count| *count == 1), "{:?}", agent.listed);
}

#[test]
fn s1_the_label_hides_and_reveals_a_service() {
    let mut hidden = service("b", 80);
    hidden["metadata"]["labels"] = json!({"service.kubernetes.io/service-proxy-name": ""});
    let server = server();
    server.put(service("a", 80));
    server.put(hidden.clone());
    let mut agent = Agent::listed(server, QUICK);
    assert_eq!(agent.names(Kind::Service), ["a"]);
    agent.server.put(service("b", 80));
    agent.until_port("b", 80);
    agent.server.put(hidden);
    agent.until_gone("b");
}

#[test]
fn s3_slices_of_headless_services_are_not_fetched() {
    let server = server();
    let mut headless = slice("headless");
    headless["metadata"]["labels"] = json!({"service.kubernetes.io/headless": ""});
    server.put(headless);
    server.put(slice("a"));
    let agent = Agent::listed(server, QUICK);
    assert_eq!(agent.names(Kind::EndpointSlice), ["a"]);
}

#[test]
fn s30_only_this_node_is_fetched() {
    let server = server();
    for name in ["elsewhere", "here"] {
        server.put(node(name));
    }
    let mut agent = Agent::listed(server, QUICK);
    assert_eq!(agent.names(Kind::Node), ["here"]);
    agent.server.delete("Node", "", "here");
    agent.until("the node is gone", |agent| agent.names(Kind::Node).is_empty());
}

#[test]
fn s20_a_new_service_cidr_is_reported() {
    let mut agent = Agent::listed(server(), QUICK);
    agent.server.put(service_cidr("more"));
    agent.until("the range is known", |agent| agent.names(Kind::ServiceCidr) == ["more"]);
}

#[test]
fn s30_long_lists_come_in_pages() {
    let server = server();
    for number in 0..1100 {
        server.put(service(&format!("s{number}"), 80));
    }
    // A page that comes too late is asked for again, and a starved machine is slow.
    let agent = Agent::listed(server, Timing { response_timeout: DEADLINE, ..QUICK });
    assert_eq!(agent.names(Kind::Service).len(), 1100);
    let requests = agent.server.requests();
    let pages = requests.iter().filter(|request| request.is_for("services") && !request.is_watch());
    assert_eq!(pages.map(|page| page.parameter("limit")).collect::<Vec<_>>(), [Some("500"); 3]);
}

#[test]
fn s33_a_recreated_service_is_deleted_and_applied() {
    let server = server();
    server.put(service("a", 80));
    let mut agent = Agent::listed(server, QUICK);
    let before = agent.events.len();
    agent.server.delete("Service", "default", "a");
    agent.server.put(service("a", 81));
    agent.until_port("a", 81);
    assert_eq!(agent.events[before], Event::Deleted(reference(Kind::Service, "a")));
    assert_eq!(agent.events.len(), before + 2);
}

#[test]
fn s6_an_unreadable_object_is_reported_once_and_harms_no_other() {
    let mut broken = service("broken", 80);
    broken["spec"]["ports"] = json!("none");
    let server = server();
    server.put(broken.clone());
    server.put(service("a", 80));
    let mut agent = Agent::listed(server, QUICK);
    assert_eq!(agent.names(Kind::Service), ["a"]);
    broken["metadata"]["labels"] = json!({"touched": "yes"});
    agent.server.put(broken);
    agent.server.put(service("broken", 82));
    agent.until_port("broken", 82);
    assert_eq!(agent.logged("can't be read"), 1, "{}", agent.log());
    assert_eq!(agent.logged("service=\"default/broken\""), 1, "{}", agent.log());
}

#[test]
fn s6_an_object_that_becomes_unreadable_stays_as_it_was() {
    let server = server();
    server.put(service("a", 80));
    let mut agent = Agent::listed(server, QUICK);
    let mut broken = service("a", 80);
    broken["spec"]["ports"] = json!([{"port": "eighty"}]);
    agent.server.put(broken);
    agent.server.put(service("b", 90));
    agent.until_port("b", 90);
    assert_eq!(agent.port("a"), Some(80));
    agent.server.delete("Service", "default", "a");
    agent.until_gone("a");
}
