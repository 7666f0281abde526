//! The test API server as a client sees it, byte by byte: tests on a wrong harness prove nothing.

#![expect(clippy::unwrap_used, reason = "the whole crate is tests")]

use std::{
    io::{Read, Write},
    net::TcpStream,
    time::Duration,
};

use harness::api_server::ApiServer;
use serde_json::{Value, json};

/// The code and body of the response to a GET. Waits for the body's end.
fn get(server: &ApiServer, path_and_query: &str) -> (u16, String) {
    send(server, &format!("GET {path_and_query} HTTP/1.0\r\nHost: test\r\n\r\n"))
}

fn send(server: &ApiServer, request: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(server.address()).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
}

/// The events that a watch with these parameters sends within a second: type, name and version of each.
fn watch(server: &ApiServer, parameters: &str) -> Vec<(String, String, u64)> {
    let (code, body) = get(server, &format!("/api/v1/services?watch=true&timeoutSeconds=1{parameters}"));
    assert_eq!(code, 200, "{body}");
    body.lines().map(|line| described(&serde_json::from_str(line).unwrap())).collect()
}

fn described(event: &Value) -> (String, String, u64) {
    let metadata = &event["object"]["metadata"];
    let version = metadata["resourceVersion"].as_str().and_then(|text| text.parse().ok()).unwrap_or_default();
    let name = metadata["name"].as_str().or(event["object"]["reason"].as_str()).unwrap_or_default();
    (event["type"].as_str().unwrap().to_owned(), name.to_owned(), version)
}

fn event(kind: &str, name: &str, version: u64) -> (String, String, u64) {
    (kind.to_owned(), name.to_owned(), version)
}

fn service(name: &str, labels: &Value) -> Value {
    json!({"kind": "Service", "apiVersion": "v1", "metadata": {"name": name, "labels": labels}})
}

/// By version: a is created at 2, b at 3, a gets the label at 4, b is deleted at 5.
fn server_with_history() -> ApiServer {
    let server = ApiServer::start().unwrap();
    server.put(service("a", &json!({})));
    server.put(service("b", &json!({})));
    server.put(service("a", &json!({"hide": "yes"})));
    server.delete("Service", "default", "b");
    server
}

#[test]
fn a_watch_begins_after_the_version_asked_for() {
    let server = server_with_history();
    let all = [event("ADDED", "a", 2), event("ADDED", "b", 3), event("MODIFIED", "a", 4), event("DELETED", "b", 5)];
    assert_eq!(watch(&server, "&resourceVersion=1"), all);
    assert_eq!(watch(&server, "&resourceVersion=3"), all[2..]);
}

#[test]
fn s1_an_object_that_is_no_longer_selected_arrives_as_deleted() {
    let server = server_with_history();
    server.put(service("a", &json!({})));
    let seen = watch(&server, "&resourceVersion=3&labelSelector=!hide&fieldSelector=metadata.name%3Da");
    assert_eq!(seen, [event("DELETED", "a", 4), event("ADDED", "a", 6)]);
}

#[test]
fn initial_events_end_with_a_marked_bookmark() {
    let server = server_with_history();
    let parameters =
        "&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&resourceVersion=0&allowWatchBookmarks=true";
    let events = watch(&server, parameters);
    assert_eq!(events, [event("ADDED", "a", 4), event("BOOKMARK", "", 5), event("BOOKMARK", "", 5)]);
    let (_, body) = get(&server, &format!("/api/v1/services?watch=true&timeoutSeconds=1{parameters}"));
    assert_eq!(body.matches("k8s.io/initial-events-end").count(), 1);
}

#[test]
fn a_forgotten_version_is_expired_as_event_or_by_status() {
    let server = server_with_history();
    server.compact();
    assert_eq!(watch(&server, "&resourceVersion=3"), [event("ERROR", "Expired", 0)]);
    server.expire_by_status(true);
    assert_eq!(get(&server, "/api/v1/services?watch=true&resourceVersion=3").0, 410);
}

#[test]
fn lists_are_of_one_namespace_or_all() {
    let server = server_with_history();
    let mut elsewhere = service("c", &json!({}));
    elsewhere["metadata"]["namespace"] = json!("elsewhere");
    server.put(elsewhere);
    let list = |path| serde_json::from_str::<Value>(&get(&server, path).1).unwrap();
    assert_eq!(list("/api/v1/services")["items"].as_array().unwrap().len(), 2);
    let one = list("/api/v1/namespaces/elsewhere/services");
    assert_eq!(one["items"][0]["metadata"]["name"], "c");
    assert_eq!((&one["kind"], &one["apiVersion"]), (&json!("ServiceList"), &json!("v1")));
    assert_eq!(one["metadata"]["resourceVersion"], "6");
}

#[test]
fn refusals_are_statuses_and_are_recorded() {
    let server = server_with_history();
    for (path, code, reason) in [
        ("/api/v1/pods", 404, "NotFound"),
        ("/api/v1/services?bogus=1", 400, "BadRequest"),
        ("/api/v1/services?fieldSelector=spec.x%3D1", 400, "BadRequest"),
        ("/api/v1/services?resourceVersion=99", 504, "Timeout"),
    ] {
        let (got, body) = get(&server, path);
        let status: Value = serde_json::from_str(&body).unwrap();
        assert_eq!((got, &status["reason"], &status["code"]), (code, &json!(reason), &json!(code)), "{path}");
    }
    assert_eq!(send(&server, "POST /api/v1/services HTTP/1.0\r\nContent-Length: 0\r\n\r\n").0, 405);
    assert_eq!(server.malformed().iter().map(|request| request.code).collect::<Vec<_>>(), [400, 400, 405]);
}

#[test]
fn a_token_is_asked_for() {
    let server = server_with_history();
    server.set_token(Some("secret"));
    assert_eq!(get(&server, "/api/v1/nodes").0, 401);
    let with = |token| format!("GET /api/v1/nodes HTTP/1.0\r\nAuthorization: Bearer {token}\r\n\r\n");
    assert_eq!(send(&server, &with("wrong")).0, 401);
    assert_eq!(send(&server, &with("secret")).0, 200);
}
