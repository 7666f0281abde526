//! A thousand Services with ten endpoints each: all are programmed, samples are right, and a change of one is in force
//! soon.
//!

#![expect(clippy::unwrap_used, reason = "a step that fails fails the test")]

use std::{
    collections::BTreeSet,
    net::{Ipv4Addr, SocketAddr},
    time::Instant,
};

use harness::{
    lab::{Dial, Mode, Server, Transport, eventually},
    objects::{service, slice},
    scene::{Origin, Scene, Setup},
};
use serde_json::Value;

const SERVICES: u16 = 1000;
const ENDPOINTS: u16 = 10;
const PORT: u16 = 9090;

/// The endpoints' network. The pod `p1` has all its addresses.
const RANGE: &str = "10.200.0.0/16";

fn name(number: u16) -> String {
    format!("web-{number}")
}

fn frontend(number: u16) -> SocketAddr {
    let [high, low] = number.to_be_bytes();
    (Ipv4Addr::new(10, 96, 1 + high, low), 80).into()
}

/// Endpoint `number`, counted over all Services.
fn backend(number: u16) -> SocketAddr {
    let [high, low] = number.to_be_bytes();
    (Ipv4Addr::new(10, 200, high, low), PORT).into()
}

fn backends(service: u16) -> BTreeSet<SocketAddr> {
    (0..ENDPOINTS).map(|endpoint| backend(service * ENDPOINTS + endpoint)).collect()
}

fn objects(number: u16, backends: &BTreeSet<SocketAddr>) -> [Value; 2] {
    let address = frontend(number).ip().to_string();
    let service = service(&name(number)).cluster_ip(&address).port(80, PORT);
    let slice = backends.iter().fold(slice(&name(number)).port(PORT), |slice, at| slice.endpoint(&at.ip().to_string()));
    [service.build(), slice.build()]
}

/// Makes the pod `p1` answer at every address of the range.
fn serve_range(scene: &Scene) -> Server {
    let pod = scene.pod(1);
    pod.netns().batch(&[format!("route add local {RANGE} dev lo")]).unwrap();
    scene.node.netns().batch(&[format!("route add {RANGE} dev pod-p1")]).unwrap();
    pod.serve_at(&[(Ipv4Addr::UNSPECIFIED, PORT).into()], Mode::Identity).unwrap()
}

/// The backends that answer a Service. Each tells the address at which it was reached.
fn answering(scene: &Scene, number: u16) -> BTreeSet<SocketAddr> {
    // The probability to miss one of ten is 10·0.9^160, 1 in 2 million.
    let outcomes = scene.from_pod.dial_all(&Dial::new(Transport::Tcp, frontend(number)).count(160));
    let reached = |text: &str| text.split(' ').nth(1).and_then(|at| at.parse().ok());
    outcomes.into_iter().map(|outcome| reached(&outcome.unwrap().message.text).unwrap()).collect()
}

fn thousand_services(origin: Origin) {
    let all = (0..SERVICES).flat_map(|number| objects(number, &backends(number)));
    let setup = all.fold(Setup::new("scale").origin(origin).backends(1), Setup::object);
    let started = Instant::now();
    let scene = setup.start();
    println!("{origin:?}: ready after {:?}", started.elapsed());
    let first = scene.waggle.wait_programmed(0).unwrap();
    assert_eq!(first.field("services"), Some(&SERVICES.into()), "{}", first.text);
    assert_eq!(first.field("backends"), Some(&(SERVICES * ENDPOINTS).into()), "{}", first.text);
    let _server = serve_range(&scene);
    for number in [0, 1, 255, 256, 500, SERVICES - 1] {
        assert_eq!(answering(&scene, number), backends(number), "Service {number}");
    }
    let mut wanted = backends(500);
    wanted.pop_first();
    wanted.insert(backend(60_000));
    let started = Instant::now();
    let [_, slice] = objects(500, &wanted);
    scene.put(&slice);
    assert!(eventually(std::time::Duration::from_secs(10), || answering(&scene, 500) == wanted));
    println!("{origin:?}: a change seen after {:?}, {} dials included", started.elapsed(), 160);
    assert_eq!(answering(&scene, 499), backends(499));
    assert_eq!(answering(&scene, 501), backends(501));
}

#[test]
fn s4_a_thousand_services_from_a_folder() {
    thousand_services(Origin::Folder);
}

#[test]
fn s4_a_thousand_services_from_an_api_server() {
    thousand_services(Origin::Api);
}
