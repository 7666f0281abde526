//! Lists as streams, where the server has them.

use std::time::Duration;

use harness::api_server::{ApiServer, Request, Slow};
use proxy_userspace::objects::Kind;

use crate::{
    agent::{Agent, QUICK},
    resuming::miss_history,
    server, service,
};

fn with_two_services(server: ApiServer) -> ApiServer {
    server.put(service("a", 80));
    server.put(service("b", 80));
    server
}

fn streaming() -> ApiServer {
    with_two_services(ApiServer::start().unwrap())
}

fn of_services(requests: &[Request]) -> impl Iterator<Item = &Request> {
    requests.iter().filter(|request| request.is_for("services"))
}

#[test]
fn s30_lists_are_streamed_and_followed_without_another_request() {
    let mut agent = Agent::listed(streaming(), QUICK);
    assert_eq!(agent.names(Kind::Service), ["a", "b"]);
    agent.server.put(service("a", 81));
    agent.server.delete("Service", "default", "b");
    agent.until_port("a", 81);
    agent.until_gone("b");
    let requests = agent.server.requests();
    assert!(requests.iter().all(|request| request.is_streamed_list() && request.code == 200), "{requests:#?}");
    // Any revision would do for a server that is asked for revision 0, however old.
    assert!(requests.iter().all(|request| request.parameter("resourceVersion").is_none()), "{requests:#?}");
    assert_eq!(of_services(&requests).count(), 1);
    agent.server.cut().unwrap();
    agent.server.put(service("a", 82));
    agent.until_port("a", 82);
    let requests = agent.server.requests();
    let last = of_services(&requests).last().unwrap();
    assert!(!last.is_streamed_list() && last.parameter("resourceVersion").is_some(), "{last:?}");
    assert_eq!(agent.listed[&Kind::Service], 1);
}

#[test]
fn s30_what_has_gone_meanwhile_is_gone_after_a_streamed_list() {
    miss_history(&mut Agent::listed(streaming(), QUICK));
}

#[test]
fn s30_a_server_that_streams_no_lists_is_asked_for_one_once() {
    let mut agent = Agent::listed(with_two_services(server()), QUICK);
    let asked =
        |agent: &Agent| of_services(&agent.server.requests()).filter(|request| request.is_streamed_list()).count();
    assert_eq!(asked(&agent), 1);
    miss_history(&mut agent);
    assert_eq!(asked(&agent), 1);
    assert_eq!(agent.logged("WARN") + agent.logged("ERROR"), 0, "{}", agent.log());
}

#[test]
fn s30_a_server_that_says_in_the_stream_that_there_is_none_is_asked_for_one_once() {
    let server = streaming();
    server.end_streamed_lists();
    let mut agent = Agent::listed(server, QUICK);
    assert_eq!(agent.names(Kind::Service), ["a", "b"]);
    assert_eq!(agent.logged("WARN") + agent.logged("ERROR"), 0, "{}", agent.log());
    miss_history(&mut agent);
    let requests = agent.server.requests();
    assert_eq!(of_services(&requests).filter(|request| request.is_streamed_list()).count(), 1);
}

#[test]
fn s30_a_streamed_list_that_stalls_is_asked_for_again() {
    let server = streaming();
    server.slow(Some(Slow { chunk: 64, pause: 2 * QUICK.response_timeout }));
    let mut agent = Agent::start(server, QUICK);
    agent.until_requested("a second list", |requests| of_services(requests).count() > 1);
    agent.server.slow(None);
    agent.until("every kind is listed", |agent| agent.listed.len() == Kind::ALL.len());
    assert_eq!(agent.names(Kind::Service), ["a", "b"]);
}

#[test]
fn s30_streamed_lists_that_end_too_early_are_asked_for_with_pauses() {
    let server = streaming();
    server.slow(Some(Slow { chunk: 64, pause: QUICK.response_timeout / 4 }));
    let mut agent = Agent::start(server, QUICK);
    for _ in 0..5 {
        std::thread::sleep(Duration::from_millis(100));
        agent.server.cut().unwrap();
    }
    agent.server.slow(None);
    agent.until("every kind is listed", |agent| agent.listed.len() == Kind::ALL.len());
    assert_eq!(agent.names(Kind::Service), ["a", "b"]);
}
