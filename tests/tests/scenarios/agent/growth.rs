//! Maps that become larger while Services come and change; and maps that may not.

#![expect(clippy::unwrap_used, reason = "a step that fails fails the test")]

use std::{
    net::{Ipv4Addr, SocketAddr},
    time::{Duration, Instant},
};

use aya::maps::MapInfo;
use harness::{
    lab::{Dial, LogLine, START, Transport},
    objects::{service, slice},
    scene::{Family, Origin, Scene, Setup, WAIT_LIMIT, from_outside_by, until},
};

/// More Services than SERVICES has room for at first; each has two entries.
const SERVICES: u16 = 2300;

fn address(number: u16) -> Ipv4Addr {
    let [high, low] = number.to_be_bytes();
    Ipv4Addr::new(10, 96, 16 + high, low)
}

/// Services with one address each, all with the backend `p1`.
fn put_services(scene: &Scene, numbers: std::ops::Range<u16>) {
    for number in numbers {
        let (name, at) = (format!("many-{number}"), address(number).to_string());
        scene.put(&service(&name).cluster_ip(&at).port(80, 8080).build());
        scene.put(&slice(&name).port(8080).pod(scene.pod(1)).build());
    }
}

fn is_served(scene: &Scene, number: u16) -> bool {
    let to = SocketAddr::new(address(number).into(), 80);
    scene.from_pod.tcp(to).is_ok_and(|reply| reply.backend() == "p1")
}

fn entries(scene: &Scene, map: &str) -> u32 {
    MapInfo::from_pin(scene.waggle.pins().join(map)).unwrap().max_entries()
}

fn has_grown(line: &LogLine) -> bool {
    line.message() == "map has grown"
}

#[test]
fn what_changes_during_a_growth_is_in_force_at_once() {
    let scene = Setup::new("meanwhile").origin(Origin::Api).backends(2).start();
    let pods = [(scene.pod(1), "p1"), (scene.pod(2), "p2")];
    let change = |pod| scene.put(&slice("changing").port(8080).pod(pod).build());
    let answers = |name| scene.from_pod.tcp("10.96.0.77:80").is_ok_and(|reply| reply.backend() == name);
    change(pods[1].0);
    scene.put(&service("changing").cluster_ip("10.96.0.77").port(80, 8080).build());
    until("the Service", || answers("p2"));
    assert_eq!(entries(&scene, "services"), 4096);
    let log = scene.waggle.log();
    let mark = log.mark();
    put_services(&scene, 0..SERVICES);
    let (mut rounds, mut slowest) = (0, Duration::ZERO);
    while !log.since(mark).iter().any(has_grown) {
        let (pod, name) = pods[rounds % 2];
        let started = Instant::now();
        change(pod);
        until("the change", || answers(name));
        (rounds, slowest) = (rounds + 1, slowest.max(started.elapsed()));
        assert!(rounds < 100_000, "no growth");
    }
    let grown = log.wait(mark, START, has_grown).unwrap();
    println!("{rounds} changes during a growth, the slowest was in force after {slowest:?}: {}", grown.text);
    assert!(rounds > 1);
    until("the last Service", || is_served(&scene, SERVICES - 1));
    until("the larger map is in place", || entries(&scene, "services") > 4096);
    assert!(log.since(0).iter().all(|line| !line.text.contains("ERROR")), "nothing is refused");
    super::hooks::detach(&scene.waggle, "connect4");
    until("the hook has a program of the larger set again", || is_served(&scene, SERVICES - 1));
}

#[test]
fn a_first_start_makes_maps_as_large_as_what_is_listed() {
    let scene = Setup::new("fits").origin(Origin::Api).backends(1).build();
    put_services(&scene, 0..SERVICES);
    let mut scene = scene;
    scene.start();
    assert_eq!(entries(&scene, "services"), 16_384);
    assert!(is_served(&scene, 0) && is_served(&scene, SERVICES - 1));
    std::thread::sleep(3 * Duration::from_secs(1));
    assert!(scene.waggle.log().since(0).iter().all(|line| !has_grown(line)));
}

#[test]
fn flows_from_outside_get_more_room_and_none_is_cut() {
    from_outside_by("auto", "flows", |outside| {
        outside.serve(Family::Ipv4, &outside.web(Family::Ipv4), &[outside.scene.pod(1), &outside.remote]);
        let to = outside.node_port(Family::Ipv4);
        until("the Service", || outside.client.tcp(to).is_ok());
        let tcp = (0..8).map(|_| outside.client.connect_tcp(to).unwrap());
        let lasting: Vec<_> = tcp.chain((0..8).map(|_| outside.client.connect_udp(to).unwrap())).collect();
        let ask = || lasting.iter().map(|socket| socket.ask("who").unwrap().backend().to_owned()).collect::<Vec<_>>();
        let backends = ask();
        let log = outside.scene.waggle.log();
        let mark = log.mark();
        let has_grown = |line: &LogLine| has_grown(line) && line.text.contains("FLOW_BUCKETS_IPV4");
        // A flow has two entries, and stays for two minutes after its connection.
        for _ in 0..30 {
            let failed: Vec<_> = outside
                .client
                .dial_all(&Dial::new(Transport::Tcp, to).count(500))
                .into_iter()
                .filter_map(Result::err)
                .collect();
            assert!(failed.is_empty(), "{failed:?}");
            assert_eq!(ask(), backends);
        }
        let line = log.wait(mark, START, has_grown).unwrap();
        println!("{}", line.text);
        until("the larger map is in place", || entries(&outside.scene, "flow_buckets_ipv4") > 33_750);
        assert_eq!(ask(), backends);
        assert!(outside.client.tcp(to).is_ok());
    });
}

#[test]
fn a_map_that_may_not_grow_further_is_mentioned_once() {
    let scene = Setup::new("limit").backends(1).args(["--max-services", "40"]).start();
    put_services(&scene, 0..18);
    let is_said = |line: &LogLine| line.text.contains("WARN") && line.text.contains("--max-services");
    let line = scene.waggle.wait_log(WAIT_LIMIT, is_said).unwrap();
    assert_eq!((line.field("map").unwrap(), line.field("limit").unwrap()), (&"SERVICES".into(), &40.into()));
    std::thread::sleep(3 * Duration::from_secs(1));
    assert_eq!(scene.waggle.log().since(0).iter().filter(|line| is_said(line)).count(), 1);
    assert!(is_served(&scene, 17));
}
