//! Full maps: the log names what does not fit, the rest is served, and free space is used as soon as there is some.

#![expect(clippy::unwrap_used, reason = "a step that fails fails the test")]

use std::{
    net::{Ipv4Addr, SocketAddr},
    thread::sleep,
    time::Duration,
};

use aya::{
    maps::{HashMap, Map, MapData},
    util::nr_cpus,
};
use bytemuck::Zeroable as _;
use harness::{
    lab::{Dial, LogLine, Pod, Transport},
    objects::service,
    scene::{Family, Scene, Setup, WAIT_LIMIT, cluster_ips, dual, from_outside_by, until},
};
use proxy_common::{Frontend, Service};
use serde_json::Value;

fn name(number: u8) -> String {
    format!("web{number}")
}

/// The port where the Service's backend listens.
fn port(number: u8) -> u16 {
    9000 + u16::from(number)
}

/// Puts a Service of one port and one IPv4 address, with the pod `p1` as its backend.
fn put(scene: &Scene, number: u8) {
    let base = service(&name(number)).cluster_ip(&format!("10.96.0.{number}"));
    // UDP, so that the map MEMBERS has entries too.
    scene.put(&base.udp_port(53, port(number)).build());
    scene.endpoints(&name(number), |slice| slice.udp_port(port(number)), &[scene.pod(1)]);
}

fn is_served(scene: &Scene, number: u8) -> bool {
    scene
        .from_pod
        .udp(format!("10.96.0.{number}:53"))
        .is_ok_and(|reply| reply.message.text.contains(&format!(":{} ", port(number))))
}

/// Starts an agent whose maps, by this limit, lack room for all of `services`: exactly `room` are served and the log
/// names the flag. Each Service that is removed makes room for another.
fn fills_up(lab: &str, services: u8, room: usize, flag: &str, limit: &str) {
    let ports: Vec<_> = (1..=services).map(port).collect();
    let mut scene = Setup::new(lab).backends(1).serving(&ports).args([flag, limit]).build();
    (1..=services).for_each(|number| put(&scene, number));
    scene.start();
    let served = || (1..=services).filter(|number| is_served(&scene, *number)).collect::<Vec<_>>();
    let named = |text: &str| text.contains(&format!("start waggle with a larger {flag}")) && text.contains("ERROR");
    scene.waggle.wait_log(WAIT_LIMIT, |line| named(&line.text)).unwrap();
    let first = served();
    assert_eq!(first.len(), room, "{first:?}");
    for gone in first.into_iter().take(2) {
        scene.remove(&name(gone));
        until("the removed Service is not served", || !served().contains(&gone));
        let left = usize::from(services) - 1;
        until("a refused Service gets its room", || served().len() == room.min(left));
        put(&scene, gone);
        // Again there is one Service too many: exactly as many as before are served.
        let again = scene.waggle.log().mark();
        scene.waggle.log().wait(again, WAIT_LIMIT, |line| named(&line.text)).unwrap();
        assert_eq!(served().len(), room);
    }
    for number in 1..=services {
        scene.remove(&name(number));
    }
    until("nothing is left", || {
        ["services", "members", "service_names"].iter().all(|map| scene.dump(map) == Vec::<Value>::new())
    });
}

#[test]
fn full_services_name_their_flag_and_recover() {
    // A ClusterIP also needs an entry that marks its owner. Frontends are written first.
    fills_up("services", 9, 8, "--max-services", "8");
}

#[test]
fn full_backends_name_their_flag_and_recover() {
    // Id 0 names no backend.
    fills_up("backends", 4, 3, "--max-backends", "4");
}

#[test]
fn full_slots_name_their_flag_and_recover() {
    fills_up("slots", 4, 3, "--max-slots", "3");
}

#[test]
fn full_service_ports_name_their_flag_and_recover() {
    fills_up("ports", 4, 3, "--max-service-ports", "4");
}

#[test]
fn full_members_name_their_flag_and_recover() {
    fills_up("members", 4, 3, "--max-members", "3");
}

#[test]
fn a_service_that_grows_too_big_keeps_what_it_had() {
    let mut scene = Setup::new("grows").backends(4).args(["--max-backends", "7"]).build();
    let put = |scene: &Scene, pods: &[&Pod]| scene.endpoints("web", |slice| slice.port(8080), pods);
    scene.put(&dual("web", 10).port(80, 8080).build());
    put(&scene, &[scene.pod(1), scene.pod(2)]);
    scene.start();
    let answer = |to: &SocketAddr| scene.from_pod.tally(to, 40).into_keys().collect::<Vec<_>>();
    put(&scene, &scene.pods.iter().collect::<Vec<_>>());
    scene.waggle.wait_log(WAIT_LIMIT, |line| line.text.contains("--max-backends")).unwrap();
    let frontends = cluster_ips(10, 80);
    let mut sizes: Vec<_> = frontends.iter().map(|to| answer(to).len()).collect();
    sizes.sort_unstable();
    assert_eq!(sizes, [2, 4], "one family has grown, the other keeps what it had");
    put(&scene, &[scene.pod(3), scene.pod(4)]);
    until("a smaller list fits again", || frontends.iter().all(|to| answer(to) == ["p3", "p4"]));
}

#[test]
fn a_refused_service_that_goes_is_no_longer_reported() {
    let ports = [1, 2, 3, 4].map(port);
    let scene = Setup::new("gone").backends(1).serving(&ports).args(["--max-slots", "3"]).start();
    (1..=3).for_each(|number| put(&scene, number));
    until("three are served", || (1..=3).all(|number| is_served(&scene, number)));
    put(&scene, 4);
    scene.waggle.wait_log(WAIT_LIMIT, |line| line.text.contains("--max-slots") && line.text.contains("ERROR")).unwrap();
    scene.remove(&name(4));
    scene.waggle.wait_log(WAIT_LIMIT, |line| line.text.contains("no longer degraded")).unwrap();
    assert!((1..=3).all(|number| is_served(&scene, number)));
}

#[test]
fn what_was_refused_is_tried_again_without_an_event() {
    let scene = Setup::new("again").backends(1).serving(&[port(1)]).args(["--max-services", "4"]).start();
    // Entries of no Service take all places, and nothing tells the agent when they go.
    let pin = MapData::from_pin(scene.waggle.pins().join("services")).unwrap();
    let mut services: HashMap<MapData, Frontend, Service> = Map::HashMap(pin).try_into().unwrap();
    let unowned = (1..=4).map(|port| Frontend { port, ..Frontend::zeroed() });
    unowned.clone().for_each(|entry| services.insert(entry, Service::zeroed(), 0).unwrap());
    put(&scene, 1);
    scene
        .waggle
        .wait_log(WAIT_LIMIT, |line| line.text.contains("ERROR") && line.text.contains("--max-services"))
        .unwrap();
    // By then the agent tries less often than it looks at its maps.
    sleep(Duration::from_secs(4));
    assert!(!is_served(&scene, 1));
    unowned.for_each(|entry| services.remove(&entry).unwrap());
    until("it is served", || is_served(&scene, 1));
}

#[test]
fn s24_a_crowd_of_clients_without_room_is_said_once() {
    let crowd = |from: u16, to: u16| (from..to).map(|number| Ipv4Addr::from(0x0a80_0000 | u32::from(number)));
    // The smallest size that the map may have.
    let room = u16::try_from(256 * nr_cpus().unwrap()).unwrap();
    from_outside_by("auto", Setup::new("crowd").args(["--max-affinity", "1"]), |outside| {
        let addresses: Vec<_> = crowd(1, room + 90).map(|address| format!("address add {address}/32 dev lo")).collect();
        outside.host.netns().batch(&addresses).unwrap();
        let back = format!("route add 10.128.0.0/16 via {}", outside.host.v4());
        outside.scene.node.netns().batch(&[back]).unwrap();
        let service = outside.web(Family::Ipv4).client_ip_affinity(Some(600));
        outside.serve(Family::Ipv4, &service, &[outside.scene.pod(1), outside.scene.pod(2)]);
        let to = outside.node_port(Family::Ipv4);
        let dial = |address: Ipv4Addr| {
            let dial = Dial::new(Transport::UdpConnected, to).bind(SocketAddr::new(address.into(), 0));
            outside.client.dial(&dial).is_ok()
        };
        until("the Service", || dial(Ipv4Addr::new(10, 128, 0, 1)));
        assert!(crowd(2, room / 5).all(dial));
        // In this time the agent counts the clients more than once.
        std::thread::sleep(WAIT_LIMIT);
        let is_said = |line: &LogLine| line.text.contains("--max-affinity") && line.text.contains("WARN");
        let said = || outside.scene.waggle.log().since(0).iter().filter(|line| is_said(line)).count();
        assert_eq!(said(), 0, "a fifth");
        assert!(crowd(room / 5, room + 90).all(dial));
        let line = outside.scene.waggle.wait_log(2 * WAIT_LIMIT, is_said).unwrap();
        assert!(line.field("clients").unwrap().as_u64().unwrap() >= u64::from(room) * 9 / 20, "{}", line.text);
        assert_eq!(line.field("room").unwrap(), room);
        std::thread::sleep(WAIT_LIMIT);
        assert_eq!(said(), 1);
    });
}
