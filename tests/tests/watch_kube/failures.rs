//! Servers that are away, hang, respond slowly or fail.

use std::time::{Duration, Instant};

use harness::api_server::{Request, Slow};
use proxy_userspace::{objects::Kind, watch::kube::Timing};

use crate::{
    agent::{Agent, DEADLINE, QUICK},
    server, service, service_cidr,
};

const AWAY: &str = "can't be reached";
const BACK: &str = "is back";

/// How many lists have been asked for, by pages or as streams that are not refused for being streams.
fn lists(requests: &[Request], plural: &str) -> usize {
    let is_list = |request: &&Request| !request.is_watch() || request.is_streamed_list() && request.code != 422;
    requests.iter().filter(|request| request.is_for(plural)).filter(is_list).count()
}

#[test]
fn s30_an_agent_older_than_its_server_waits_for_it() {
    let server = server();
    server.put(service("a", 80));
    server.stop().unwrap();
    let mut agent = Agent::start(server, QUICK);
    agent.server.listen().unwrap();
    agent.until("everything is listed", |agent| agent.listed.len() == 4);
    assert_eq!(agent.port("a"), Some(80));
}

#[test]
fn s30_a_restarted_server_is_followed_again() {
    let server = server();
    server.put(service("a", 80));
    let mut agent = Agent::listed(server, QUICK);
    agent.until_watching();
    for port in 81..84 {
        agent.server.stop().unwrap();
        agent.server.put(service("a", port));
        agent.server.listen().unwrap();
        agent.until_port("a", port.into());
    }
    assert!(agent.objects.len() == 1);
}

#[test]
fn s30_an_outage_is_logged_once_and_its_end_once() {
    let server = server();
    server.fail_next(60, 500, None);
    let agent = Agent::listed(server, QUICK);
    agent.until_watching();
    assert!(agent.server.requests().iter().filter(|request| request.code == 500).count() == 60);
    assert_eq!((agent.logged(AWAY), agent.logged(BACK)), (1, 1), "{}", agent.log());
}

#[test]
fn s30_a_server_that_never_answers_is_asked_again() {
    let server = server();
    server.hang(true);
    let mut agent = Agent::start(server, QUICK);
    agent.until_requested("a second try", |requests| lists(requests, "services") >= 2);
    agent.server.hang(false);
    agent.until("everything is listed", |agent| agent.listed.len() == 4);
    assert_eq!(agent.logged(AWAY), 1, "{}", agent.log());
}

#[test]
fn s30_a_watch_that_falls_silent_is_begun_again() {
    let server = server();
    server.put(service("a", 80));
    let mut agent = Agent::listed(server, Timing { watch: Duration::from_secs(1), ..QUICK });
    agent.until_watching();
    agent.server.silence();
    agent.server.put(service("a", 81));
    agent.until_port("a", 81);
    // kube's own limit has not ended the watch: it is 5 s longer than the watch was asked to last, and logs an error.
    assert_eq!(agent.logged("list or watch failed"), 0, "{}", agent.log());
    assert_eq!(agent.listed[&Kind::Service], 1);
}

#[test]
fn s30_a_list_that_stops_half_way_is_begun_again() {
    let server = server();
    for number in 0..200 {
        server.put(service(&format!("s{number}"), 80));
    }
    server.slow(Some(Slow { chunk: 5000, pause: Duration::from_millis(20) }));
    let mut agent = Agent::start(server, QUICK);
    let begun = |request: &Request| request.is_for("services") && request.code == 200;
    agent.until_requested("the list", |requests| requests.iter().any(begun));
    agent.server.silence();
    agent.server.slow(None);
    agent.until("everything is listed", |agent| agent.listed.len() == 4);
    assert_eq!(agent.names(Kind::Service).len(), 200);
    assert!(lists(&agent.server.requests(), "services") >= 2);
}

#[test]
fn s30_a_slow_list_is_waited_for_as_long_as_it_moves() {
    let server = server();
    for number in 0..100 {
        server.put(service(&format!("s{number}"), 80));
    }
    // Some 25 kB, which take longer than the limit for one pause.
    server.slow(Some(Slow { chunk: 500, pause: Duration::from_millis(20) }));
    let agent = Agent::listed(server, QUICK);
    assert_eq!(agent.names(Kind::Service).len(), 100);
    assert_eq!(lists(&agent.server.requests(), "services"), 1);
}

#[test]
fn s30_the_servers_wish_to_wait_is_obeyed() {
    let server = server();
    server.fail_next(4, 429, Some(1));
    let agent = Agent::listed(server, QUICK);
    let requests = agent.server.requests();
    let first_refusal = requests.iter().find(|request| request.code == 429).unwrap().at;
    let mut answered = requests.iter().filter(|request| request.code == 200);
    assert!(answered.all(|request| request.at - first_refusal >= Duration::from_secs(1)));
}

#[test]
fn s30_a_forbidden_resource_is_named_once_and_tried_until_allowed() {
    let server = server();
    server.put(service("a", 80));
    server.refuse("services", Some(403));
    let mut agent = Agent::start(server, QUICK);
    agent.until("the others are listed", |agent| agent.listed.len() == 3);
    agent.until_requested("a third try", |requests| lists(requests, "services") >= 3);
    assert_eq!(agent.logged("ClusterRole"), 1, "{}", agent.log());
    assert_eq!(agent.logged("ERROR"), 1, "{}", agent.log());
    assert!(agent.log().contains(r#"verb="watch" resource="services""#), "{}", agent.log());
    agent.server.refuse("services", None);
    agent.until_port("a", 80);
}

#[test]
fn s30_a_permission_that_is_taken_away_forgets_nothing() {
    let server = server();
    server.put(service("a", 80));
    let mut agent = Agent::listed(server, QUICK);
    agent.until_watching();
    agent.server.refuse("services", Some(403));
    agent.server.cut().unwrap();
    agent.until_requested("a refused watch", |requests| requests.iter().any(|request| request.code == 403));
    agent.server.put(service("b", 81));
    agent.server.refuse("services", None);
    agent.until_port("b", 81);
    assert_eq!(agent.port("a"), Some(80));
}

fn absent_service_cidrs(code: u16) {
    let server = server();
    server.put(service_cidr("kubernetes"));
    server.refuse("servicecidrs", Some(code));
    let mut agent = Agent::listed(server, QUICK);
    agent.until_requested("a later look", |requests| lists(requests, "servicecidrs") >= 3);
    assert_eq!(agent.logged("ServiceCIDRs"), 1, "{}", agent.log());
    assert_eq!(agent.logged("WARN"), 1, "{}", agent.log());
    assert!(agent.names(Kind::ServiceCidr).is_empty());
    let (_, silence) = agent.contact.silence(Instant::now());
    assert!(agent.contact.age(Kind::ServiceCidr, Instant::now()) < silence, "that they are not shown is heard");
    agent.server.refuse("servicecidrs", None);
    agent.until("the range is known", |agent| agent.names(Kind::ServiceCidr) == ["kubernetes"]);
}

#[test]
fn s20_a_cluster_without_service_cidrs_is_served() {
    absent_service_cidrs(404);
}

#[test]
fn s20_forbidden_service_cidrs_are_done_without() {
    absent_service_cidrs(403);
}

/// How often a kind has been refused with this code since the request `first`.
fn refusals(requests: &[Request], first: usize, (plural, code): (&str, u16)) -> usize {
    requests[first..].iter().filter(|request| request.is_for(plural) && request.code == code).count()
}

#[test]
fn n13_refusals_are_no_contact() {
    let agent = Agent::listed(server(), QUICK);
    agent.until_watching();
    for code in [403, 404, 500, 503] {
        let first = agent.server.requests().len();
        agent.server.refuse("services", Some(code));
        agent.server.cut().unwrap();
        let since = Instant::now();
        agent.until_requested("refusals", |requests| refusals(requests, first, ("services", code)) >= 4);
        let age = agent.contact.age(Kind::Service, Instant::now());
        assert!(age + Duration::from_millis(20) >= since.elapsed(), "{code}: {age:?} of {:?}", since.elapsed());
        agent.server.refuse("services", None);
        let (now, age) = (Instant::now(), || agent.contact.age(Kind::Service, Instant::now()));
        let heard = harness::lab::eventually(DEADLINE, || age() < now.elapsed());
        assert!(heard, "{code}");
    }
}
