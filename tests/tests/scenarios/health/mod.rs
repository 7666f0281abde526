//! The answers that others get from the node: load balancers at `healthCheckNodePort` (S22), by real connections, and start-up
//! probes.

mod addresses;
mod changes;
mod crowd;
mod firewall;
mod flood;
mod metrics;
mod ports;

use std::{
    io::{self, Read as _, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    time::Duration,
};

use harness::{
    lab::{LogLine, Netns, Pod},
    objects::{ServiceBuilder, SliceBuilder},
    scene::{Scene, Setup, WAIT_LIMIT, dual, slices, until},
};
use serde_json::{Value, json};

const PORT: u16 = 32_534;
pub(super) const METRICS: u16 = 10_249;
const TIMEOUT: Duration = Duration::from_secs(5);

/// A Service for load balancers, whose external policy is Local.
fn balanced(name: &str, number: u8) -> ServiceBuilder {
    let service = dual(name, number).kind("LoadBalancer").port(80, 8080).external_local();
    service.load_balancer_ip(&format!("203.0.113.{number}"))
}

fn asked_at(service: ServiceBuilder, port: u16) -> Value {
    service.spec("healthCheckNodePort", port).build()
}

fn port(slice: SliceBuilder) -> SliceBuilder {
    slice.port(8080)
}

/// Makes one request from inside a namespace.
fn ask(netns: &Netns, to: SocketAddr) -> io::Result<(u16, String, Value)> {
    netns.inside(|| request(to)).map_err(io::Error::other)?
}

/// Makes one request on a new connection; returns the status, the weight in the headers, and the body.
fn request(to: SocketAddr) -> io::Result<(u16, String, Value)> {
    receive(send(TcpStream::connect_timeout(&to, TIMEOUT)?)?)
}

/// Asks for a page on a new connection; returns the status and the body.
fn fetch(to: SocketAddr, path: &str) -> io::Result<(u16, String)> {
    let stream = send_for(TcpStream::connect_timeout(&to, TIMEOUT)?, path)?;
    receive_text(stream).map(|(status, _, body)| (status, body))
}

/// A page of a port of the node, at this address of it.
pub(super) fn page(scene: &Scene, address: &str, port: u16, path: &str) -> io::Result<(u16, String)> {
    let to = format!("{address}:{port}").parse().map_err(io::Error::other)?;
    scene.node.netns().inside(|| fetch(to, path)).map_err(io::Error::other)?
}

fn send(stream: TcpStream) -> io::Result<TcpStream> {
    send_for(stream, "/any/path?at=all")
}

fn send_for(mut stream: TcpStream, path: &str) -> io::Result<TcpStream> {
    stream.set_read_timeout(Some(TIMEOUT))?;
    write!(stream, "GET {path} HTTP/1.1\r\nHost: node\r\n\r\n")?;
    Ok(stream)
}

/// The status, the head and the body of a response.
fn receive_text(mut stream: TcpStream) -> io::Result<(u16, String, String)> {
    let mut text = String::new();
    stream.read_to_string(&mut text)?;
    let no_answer = || io::Error::other(format!("no answer in HTTP: {text:?}"));
    let (head, body) = text.split_once("\r\n\r\n").ok_or_else(no_answer)?;
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status");
    Ok((status, head.to_owned(), body.to_owned()))
}

fn receive(stream: TcpStream) -> io::Result<(u16, String, Value)> {
    let (status, head, body) = receive_text(stream)?;
    let weight = head.lines().find_map(|line| line.split_once("ndpoint-weight: ")).map(|(_, weight)| weight.to_owned());
    Ok((status, weight.unwrap_or_default(), serde_json::from_str(&body).unwrap_or_default()))
}

fn nodes(scene: &Scene, port: u16) -> [SocketAddr; 2] {
    scene.node.addresses().map(|address| SocketAddr::new(address, port))
}

/// Waits until the node reports this many endpoints at both addresses.
fn expect(scene: &Scene, from: &Netns, endpoints: u64) {
    let status = if endpoints > 0 { 200 } else { 503 };
    for to in nodes(scene, PORT) {
        let says = |(code, weight, body): (u16, String, Value)| {
            code == status && weight == endpoints.to_string() && body["localEndpoints"] == endpoints
        };
        until(&format!("{endpoints} endpoints at {to}"), || ask(from, to).is_ok_and(says));
    }
}

fn put(scene: &Scene, name: &str, pods: &[&Pod], change: impl Fn(SliceBuilder) -> SliceBuilder) {
    for slice in slices(name, port, pods) {
        scene.put(&change(slice).build());
    }
}

#[test]
fn n01_n02_n04_a_node_says_how_many_ready_endpoints_it_has() {
    let scene = Setup::new("health").build();
    let [a, b] = scene.add_pods(["a1", "b1"]);
    let client = scene.lab.client("lb").unwrap();
    scene.put(&asked_at(balanced("web", 10), PORT));
    put(&scene, "web", &[&a, &b], |slice| slice);
    let waggle = scene.agent(&[]);
    expect(&scene, client.netns(), 2);
    let (_, _, body) = ask(client.netns(), nodes(&scene, PORT)[0]).unwrap();
    let service = json!({ "namespace": "default", "name": "web" });
    assert_eq!(body, json!({ "service": service, "localEndpoints": 2, "serviceProxyHealthy": true }));
    // Terminating endpoints do not count, although they serve.
    put(&scene, "web", &[&a, &b], SliceBuilder::draining);
    expect(&scene, client.netns(), 1);
    put(&scene, "web", &[&a], SliceBuilder::draining);
    expect(&scene, client.netns(), 0);
    // A pod on another node, a pod on this node, and no slice at all.
    put(&scene, "web", &[&a], |slice| slice.node("elsewhere"));
    expect(&scene, client.netns(), 0);
    put(&scene, "web", &[&a], |slice| slice);
    expect(&scene, client.netns(), 1);
    scene.delete("EndpointSlice", "web");
    scene.delete("EndpointSlice", "web-6");
    expect(&scene, client.netns(), 0);
    let warned = waggle.log().since(0).into_iter().filter(|line| line.message().contains("healthCheckNodePort"));
    assert_eq!(warned.count(), 0);
}

#[test]
fn n07_a_port_that_others_have_is_said_and_taken_when_it_is_free() {
    let scene = Setup::new("health-busy").build();
    let [a] = scene.add_pods(["a1"]);
    let client = scene.lab.client("lb").unwrap();
    let busy = scene.node.netns().inside(|| TcpListener::bind(("0.0.0.0", PORT))).unwrap().unwrap();
    scene.put(&asked_at(balanced("web", 10), PORT));
    put(&scene, "web", &[&a], |slice| slice);
    let waggle = scene.agent(&[]);
    let is_warning = |line: &LogLine| line.message().starts_with("healthCheckNodePort is not answered");
    let line = waggle.log().wait(0, WAIT_LIMIT, is_warning).unwrap();
    let field = |name: &str| line.field(name).cloned().unwrap_or_default();
    assert_eq!((field("service"), field("port")), (json!("default/web"), json!(PORT)));
    drop(busy);
    expect(&scene, client.netns(), 1);
    assert_eq!(waggle.log().since(0).iter().filter(|line| is_warning(line)).count(), 1);
}

#[test]
fn s31_a_start_up_probe_waits_until_the_agent_serves() {
    let scene = Setup::new("ready").build();
    let ready = || scene.node.netns().inside(|| scene.cli(&["ready"])).unwrap();
    let (success, text) = ready();
    assert!(!success && text.contains("has no serving agent"), "{text}");
    let mut waggle = scene.agent(&[]);
    until("the agent serves", || ready().0);
    waggle.kill().unwrap();
    assert!(!ready().0, "what is served without an agent follows no change");
}
