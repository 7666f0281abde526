//! Full maps: the log names what does not fit, the rest is served, and room is used as soon as there is some.

#![expect(clippy::unwrap_used, reason = "a step that fails fails the test")]

use std::net::{Ipv4Addr, SocketAddr};

use aya::util::nr_cpus;
use harness::{
    lab::{Client, Dial, LogLine, Manner, Pod, Waggle},
    objects::{Cluster, service},
    scene::{Family, from_outside_by},
    stage::{PATIENCE, Stage, dual, until},
};
use serde_json::Value;

/// Services of one port and one IPv4 address, each with a backend of its own.
struct Scene {
    waggle: Waggle,
    client: Client,
    _server: harness::lab::Server,
    pod: Pod,
    stage: Stage,
}

fn name(number: u8) -> String {
    format!("web{number}")
}

/// The port where the Service's backend listens.
fn port(number: u8) -> u16 {
    9000 + u16::from(number)
}

fn put(stage: &Stage, number: u8, pod: &Pod) {
    let base = service(&name(number)).cluster_ip(&format!("10.96.0.{number}"));
    // UDP, so that the map MEMBERS has entries too.
    stage.folder.put(&base.udp_port(53, port(number)).build());
    stage.endpoints(&name(number), |slice| slice.udp_port(port(number)), &[pod]);
}

impl Scene {
    /// Services 1 to `services`, and an agent whose maps have no room for all.
    fn new(lab: &str, services: u8, arguments: &[&str]) -> Self {
        let stage = Stage::new(lab);
        let [pod, shell] = stage.pods(["b1", "c1"]);
        let server = pod.serve(&(1..=services).map(port).collect::<Vec<_>>()).unwrap();
        (1..=services).for_each(|number| put(&stage, number, &pod));
        let waggle = stage.agent(arguments);
        let client = shell.client().unwrap();
        Self { waggle, client, _server: server, pod, stage }
    }

    fn is_served(&self, number: u8) -> bool {
        self.client
            .udp(format!("10.96.0.{number}:53"))
            .is_ok_and(|reply| reply.message.text.contains(&format!(":{} ", port(number))))
    }

    fn served(&self, services: u8) -> Vec<u8> {
        (1..=services).filter(|number| self.is_served(*number)).collect()
    }

    /// Of `services`, exactly `room` are served and the log names the flag. Each Service that is removed makes room
    /// for another.
    fn fills_up(&self, services: u8, room: usize, flag: &str) {
        let named = |text: &str| text.contains(&format!("start waggle with a larger {flag}")) && text.contains("ERROR");
        self.waggle.wait_log(PATIENCE, |line| named(&line.text)).unwrap();
        let first = self.served(services);
        assert_eq!(first.len(), room, "{first:?}");
        for gone in first.into_iter().take(2) {
            self.stage.remove(&name(gone));
            let rest = || self.served(services);
            until("the removed Service is not served", || !rest().contains(&gone));
            let left = usize::from(services) - 1;
            until("a refused Service gets its room", || rest().len() == room.min(left));
            put(&self.stage, gone, &self.pod);
            // Again there is one Service too many: exactly as many as before are served.
            let again = self.waggle.log().mark();
            self.waggle.log().wait(again, PATIENCE, |line| named(&line.text)).unwrap();
            assert_eq!(rest().len(), room);
        }
        for number in 1..=services {
            self.stage.remove(&name(number));
        }
        until("nothing is left", || {
            ["services", "members", "service_names"].iter().all(|map| self.stage.dump(map) == Vec::<Value>::new())
        });
    }
}

#[test]
fn full_services_name_their_flag_and_recover() {
    // A ClusterIP also needs an entry that marks its owner. Frontends are written first.
    Scene::new("services", 9, &["--max-services", "8"]).fills_up(9, 8, "--max-services");
}

#[test]
fn full_backends_name_their_flag_and_recover() {
    // Id 0 names no backend.
    Scene::new("backends", 4, &["--max-backends", "4"]).fills_up(4, 3, "--max-backends");
}

#[test]
fn full_slots_name_their_flag_and_recover() {
    Scene::new("slots", 4, &["--max-slots", "3"]).fills_up(4, 3, "--max-slots");
}

#[test]
fn full_service_ports_name_their_flag_and_recover() {
    Scene::new("ports", 4, &["--max-service-ports", "4"]).fills_up(4, 3, "--max-service-ports");
}

#[test]
fn full_members_name_their_flag_and_recover() {
    Scene::new("members", 4, &["--max-members", "3"]).fills_up(4, 3, "--max-members");
}

#[test]
fn a_service_that_grows_too_big_keeps_what_it_had() {
    let stage = Stage::new("grows");
    let pods = stage.pods(["b1", "b2", "b3", "b4", "c1"]);
    let _servers: Vec<_> = pods[..4].iter().map(|pod| pod.serve(&[8080]).unwrap()).collect();
    stage.folder.put(&dual("web", 10).port(80, 8080).build());
    stage.endpoints("web", |slice| slice.port(8080), &[&pods[0], &pods[1]]);
    let waggle = stage.agent(&["--max-backends", "7"]);
    let client = pods[4].client().unwrap();
    let answer = |to: &std::net::SocketAddr| client.tally(to, 40).into_keys().collect::<Vec<_>>();
    stage.endpoints("web", |slice| slice.port(8080), &pods[..4].iter().collect::<Vec<_>>());
    waggle.wait_log(PATIENCE, |line| line.text.contains("--max-backends")).unwrap();
    let frontends = harness::stage::cluster_ips(10, 80);
    let mut sizes: Vec<_> = frontends.iter().map(|to| answer(to).len()).collect();
    sizes.sort_unstable();
    assert_eq!(sizes, [2, 4], "one family has grown, the other keeps what it had");
    stage.endpoints("web", |slice| slice.port(8080), &[&pods[2], &pods[3]]);
    until("a smaller list fits again", || frontends.iter().all(|to| answer(to) == ["b3", "b4"]));
}

#[test]
fn s24_a_crowd_of_clients_without_room_is_said_once() {
    let crowd = |from: u16, to: u16| (from..to).map(|number| Ipv4Addr::from(0x0a80_0000 | u32::from(number)));
    // The smallest size that the map may have.
    let room = u16::try_from(256 * nr_cpus().unwrap()).unwrap();
    let small = |setup: harness::scene::Setup| setup.args(["--max-affinity", "1"]);
    from_outside_by("auto", "crowd", small, |outside| {
        let addresses: Vec<_> = crowd(1, room + 90).map(|address| format!("address add {address}/32 dev lo")).collect();
        outside.host.netns().batch(&addresses).unwrap();
        let back = format!("route add 10.128.0.0/16 via {}", outside.host.v4());
        outside.scene.node.netns().batch(&[back]).unwrap();
        let service = outside.web(Family::Ipv4).client_ip_affinity(Some(600));
        outside.serve(Family::Ipv4, &service, &[outside.scene.pod(1), outside.scene.pod(2)]);
        let to = outside.node_port(Family::Ipv4);
        let dial = |address: Ipv4Addr| {
            let dial = Dial::new(Manner::UdpConnected, to).bind(SocketAddr::new(address.into(), 0));
            outside.client.dial(&dial).is_ok()
        };
        until("the Service", || dial(Ipv4Addr::new(10, 128, 0, 1)));
        assert!(crowd(2, room / 5).all(dial));
        // In this time the agent counts the clients more than once.
        std::thread::sleep(PATIENCE);
        let is_said = |line: &LogLine| line.text.contains("--max-affinity") && line.text.contains("WARN");
        let said = || outside.scene.waggle.log().since(0).iter().filter(|line| is_said(line)).count();
        assert_eq!(said(), 0, "a fifth");
        assert!(crowd(room / 5, room + 90).all(dial));
        let line = outside.scene.waggle.wait_log(2 * PATIENCE, is_said).unwrap();
        assert!(line.field("clients").unwrap().as_u64().unwrap() >= u64::from(room) * 9 / 20, "{}", line.text);
        assert_eq!(line.field("room").unwrap(), room);
        std::thread::sleep(PATIENCE);
        assert_eq!(said(), 1);
    });
}
