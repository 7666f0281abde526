//! Watches that end, break, expire or fail, and how they are resumed.

use std::time::Duration;

use harness::api_server::{ApiServer, Request};
use proxy_userspace::{
    objects::{Event, Kind},
    watch::kube::Timing,
};

use crate::{
    agent::{Agent, QUICK, reference},
    node, server, service, slice,
};

fn with_two_services() -> ApiServer {
    let server = server();
    server.put(service("a", 80));
    server.put(service("b", 80));
    server
}

#[test]
fn s30_a_cut_watch_resumes_without_a_new_list() {
    let mut agent = Agent::listed(with_two_services(), QUICK);
    agent.until_watching();
    agent.server.cut().unwrap();
    agent.server.put(service("a", 81));
    agent.server.delete("Service", "default", "b");
    agent.until_port("a", 81);
    agent.until_gone("b");
    assert_eq!(agent.listed[&Kind::Service], 1);
}

#[test]
fn s30_a_watch_that_ends_goes_on_from_its_bookmark() {
    let mut agent = Agent::listed(with_two_services(), Timing { watch: Duration::from_secs(1), ..QUICK });
    agent.until_watching();
    for number in 0..5 {
        agent.server.put(node(&format!("elsewhere-{number}")));
    }
    let version = agent.server.put(node("elsewhere"))["metadata"]["resourceVersion"].as_str().unwrap().to_owned();
    agent.until_requested("a watch from the bookmark on", |requests| {
        let mut watches = requests.iter().filter(|request| request.is_watch() && request.is_for("services"));
        watches.any(|watch| watch.parameter("resourceVersion") == Some(&version))
    });
    agent.server.compact();
    agent.server.put(service("a", 81));
    agent.until_port("a", 81);
    assert_eq!(agent.listed[&Kind::Service], 1);
}

/// Changes objects and forgets the history while the agent is cut off.
pub fn miss_history(agent: &mut Agent) {
    agent.until_watching();
    agent.server.stop().unwrap();
    agent.server.delete("Service", "default", "b");
    agent.server.put(service("c", 83));
    agent.server.put(slice("d"));
    agent.server.compact();
    agent.server.listen().unwrap();
    agent.until("the services are listed again", |agent| agent.listed[&Kind::Service] == 2);
    assert_eq!(agent.names(Kind::Service), ["a", "c"]);
    let place = |wanted: &Event| agent.events.iter().rposition(|event| event == wanted).unwrap();
    assert!(place(&Event::Deleted(reference(Kind::Service, "b"))) < place(&Event::Listed(Kind::Service)));
    agent.server.put(service("a", 84));
    agent.until_port("a", 84);
}

#[test]
fn s30_a_version_that_is_gone_leads_to_a_new_list() {
    miss_history(&mut Agent::listed(with_two_services(), QUICK));
}

#[test]
fn s30_an_expired_version_may_be_reported_by_status() {
    let server = with_two_services();
    server.expire_by_status(true);
    miss_history(&mut Agent::listed(server, QUICK));
}

#[test]
fn s30_an_expired_page_begins_the_list_again() {
    let server = server();
    for number in 0..600 {
        server.put(service(&format!("s{number}"), 80));
    }
    server.slow(Some(harness::api_server::Slow { chunk: 20_000, pause: Duration::from_millis(20) }));
    let mut agent = Agent::start(server, QUICK);
    let first_page = |request: &harness::api_server::Request| request.is_for("services") && request.code == 200;
    agent.until_requested("the first page", |requests| requests.iter().any(first_page));
    agent.server.delete("Service", "default", "s0");
    agent.server.compact();
    agent.server.slow(None);
    agent.until("the services are listed", |agent| agent.listed.contains_key(&Kind::Service));
    assert_eq!(agent.names(Kind::Service).len(), 599);
    assert!(agent.server.requests().iter().any(|request| request.code == 410));
}

#[test]
fn s30_changes_older_than_what_is_known_are_ignored() {
    let server = with_two_services();
    for port in 81..90 {
        server.put(service("a", port));
    }
    server.delete("Service", "default", "b");
    let mut agent = Agent::listed(server, QUICK);
    agent.until_watching();
    let before = agent.events.len();
    agent.server.rewind_next_watches(4);
    agent.server.cut().unwrap();
    agent.until_requested("four watches more", |requests| {
        requests.iter().filter(|request| request.is_watch() && request.code == 200).count() >= 8
    });
    agent.server.put(service("c", 83));
    agent.until_port("c", 83);
    let since: Vec<_> = agent.events[before..].iter().collect();
    assert!(matches!(since[..], [Event::Applied(object)] if object.reference().name == "c"), "{since:#?}");
}

#[test]
fn field_s05_revisions_that_go_back_lead_to_a_list_within_one_watch() {
    let server = with_two_services();
    (81..99).for_each(|port| _ = server.put(service("a", port)));
    let mut agent = Agent::listed(server, Timing { watch: Duration::from_secs(1), ..QUICK });
    agent.until_watching();
    agent.server.stop().unwrap();
    // As restored from a backup: other content, and versions that have been used before.
    agent.server.restore();
    agent.server.put(service("b", 443));
    agent.server.put(service("c", 80));
    agent.server.listen().unwrap();
    agent.until_port("b", 443);
    agent.until_gone("a");
    agent.until("the services are listed again", |agent| agent.listed[&Kind::Service] >= 2);
    agent.server.put(service("c", 83));
    agent.until_port("c", 83);
    assert_eq!(agent.names(Kind::Service), ["b", "c"]);
}

/// Nothing changes after the restoration, and the server stays silent about versions that are in its future, as real
/// ones do.
#[test]
fn field_s05_a_quiet_cluster_that_was_restored_is_listed_within_one_watch() {
    let server = with_two_services();
    (81..99).for_each(|port| _ = server.put(service("a", port)));
    let mut agent = Agent::listed(server, Timing { watch: Duration::from_secs(1), ..QUICK });
    agent.until_watching();
    agent.server.stop().unwrap();
    agent.server.await_future(true);
    agent.server.restore();
    agent.server.put(service("b", 443));
    let before = agent.server.requests().len();
    agent.server.listen().unwrap();
    agent.until_port("b", 443);
    agent.until_gone("a");
    assert_eq!(agent.names(Kind::Service), ["b"]);
    let requests = agent.server.requests().split_off(before);
    let watches = requests.iter().take_while(|request| request.is_watch() || !request.is_for("services"));
    let watches = watches.filter(|request| request.is_for("services") && request.code == 200).count();
    assert_eq!(watches, 1, "one watch that fails, then a list: {requests:#?}");
}

#[test]
fn s30_watches_that_end_at_once_are_begun_again_more_and_more_slowly() {
    let server = with_two_services();
    server.end_watches("services", true);
    let mut agent = Agent::listed(server, Timing { settled: Duration::from_secs(5), ..QUICK });
    let watches = |requests: &[Request]| {
        let is_granted = |request: &&Request| request.is_watch() && request.is_for("services") && request.code == 200;
        let watches = requests.iter().filter(is_granted);
        watches.map(|watch| watch.at).collect::<Vec<_>>()
    };
    agent.until_requested("six watches", |requests| watches(requests).len() >= 6);
    let times = watches(&agent.server.requests());
    // At least half of 10 + 20 + 40 + 80 + 160 ms.
    assert!(times[5] - times[0] >= Duration::from_millis(155), "{:?}", times[5] - times[0]);
    agent.server.end_watches("services", false);
    agent.server.put(service("a", 81));
    agent.until_port("a", 81);
}
