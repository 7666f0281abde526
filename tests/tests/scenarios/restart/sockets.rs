//! What sockets have noted survives when the maps that hold it get another size.

use std::{collections::BTreeMap, net::SocketAddr, time::Duration};

use harness::{
    lab::{Client, Kind, Pod, START, Server, Socket, Waggle},
    objects::{Cluster, SliceBuilder},
    stage::{Stage, cluster_ips, dual, until},
};

/// The Services' numbers; each Service has TCP port 80 and UDP port 53.
const WEB: u8 = 10;
const OTHER: u8 = 11;

/// Sizes of maps: smaller than by default, and larger.
const SIZES: [&[&str]; 2] = [
    &["--max-socket-connections", "900", "--max-socket-flows", "900"],
    &["--max-socket-connections", "150000", "--max-socket-flows", "150000"],
];

/// Two Services, a backend of each, and a client in a pod.
struct Scene {
    client: Client,
    _servers: Vec<Server>,
    pods: [Pod; 3],
    stage: Stage,
}

fn ports(slice: SliceBuilder) -> SliceBuilder {
    slice.named_port("http", "TCP", 8080).named_port("dns", "UDP", 5353)
}

impl Scene {
    fn new(name: &str) -> Self {
        let stage = Stage::new(name);
        let pods = stage.pods(["b1", "b2", "c1"]);
        let servers = pods[..2].iter().map(|pod| pod.serve(&[5353, 8080]).unwrap()).collect();
        for (name, number, pod) in [("web", WEB, &pods[0]), ("other", OTHER, &pods[1])] {
            stage.folder.put(
                &dual(name, number).named_port("http", "TCP", 80, 8080).named_port("dns", "UDP", 53, 5353).build(),
            );
            stage.endpoints(name, ports, &[pod]);
        }
        Self { client: pods[2].client().unwrap(), _servers: servers, pods, stage }
    }

    /// Kills `agent` and starts another one with these sizes.
    fn follow(&self, before: &mut Waggle, sizes: &[&str]) -> Waggle {
        before.kill().unwrap();
        let waggle = self.stage.agent(sizes);
        waggle.wait_log(START, |line| line.text.contains("rebuilding")).unwrap();
        waggle
    }
}

/// A socket that talks to both Services in turn, so that the socket's storage has room for only one of them.
struct Speaker<'a> {
    socket: Socket<'a>,
    services: [SocketAddr; 2],
}

impl<'a> Speaker<'a> {
    fn both(client: &'a Client) -> [Self; 2] {
        let [web, other] = [WEB, OTHER].map(|number| cluster_ips(number, 53));
        let speaker = |kind, services| Self { socket: client.open(kind, None).unwrap(), services };
        [speaker(Kind::Udp4, [web[0], other[0]]), speaker(Kind::Udp6, [web[1], other[1]])]
    }

    fn ask(&self) {
        for to in self.services {
            self.socket.send_to(to, "who").unwrap();
        }
    }

    /// Checks that the answers come from the Services that were asked, with the right backends.
    fn hear(&self) {
        let heard = self.services.map(|_| {
            let answer = self.socket.receive(START).unwrap();
            (answer.from.unwrap(), answer.backend().to_owned())
        });
        let expected = self.services.into_iter().zip(["b1", "b2"].map(str::to_owned));
        assert_eq!(BTreeMap::from(heard), expected.collect());
    }
}

#[test]
fn w01_sockets_keep_what_they_dialled_when_their_maps_change_size() {
    let scene = Scene::new("sockets");
    let mut agents = vec![scene.stage.agent(&[])];
    let (client, [tcp, udp]) = (&scene.client, [80, 53].map(|port| cluster_ips(WEB, port)));
    let connected: Vec<(Socket<'_>, SocketAddr)> = (0..40)
        .flat_map(|_| tcp.map(|to| (client.connect_tcp(to).unwrap(), to)))
        .chain(udp.map(|to| (client.connect_udp(to).unwrap(), to)))
        .collect();
    let speakers = Speaker::both(client);
    for sizes in SIZES {
        // These datagrams are sent before the start: their answers can't teach the new maps anything.
        for speaker in &speakers {
            speaker.ask();
        }
        let next = scene.follow(agents.last_mut().unwrap(), sizes);
        agents.push(next);
        for speaker in &speakers {
            speaker.hear();
        }
        for (socket, to) in &connected {
            assert_eq!(socket.names().unwrap().peer, Some(*to));
            assert_eq!(socket.ask("who").unwrap().backend(), "b1");
        }
    }
}

#[test]
fn w01_sockets_that_close_while_their_map_changes_size_leave_nothing_there() {
    let scene = Scene::new("closing");
    let mut agents = vec![scene.stage.agent(&[])];
    let entries = || scene.stage.socket_connections();
    for sizes in SIZES {
        let sockets: Vec<_> = (0..300).map(|_| scene.client.connect_tcp(cluster_ips(WEB, 80)[0]).unwrap()).collect();
        agents.last_mut().unwrap().kill().unwrap();
        let next = scene.stage.command(sizes).start_unready().unwrap();
        // The entries of these sockets have just been copied. Some sockets close before the hooks get their new
        // programs, some after.
        next.wait_log(START, |line| line.message() == "new programs and maps are complete").unwrap();
        drop(sockets);
        next.wait_log(START, |line| line.message() == "serving").unwrap();
        agents.push(next);
        assert_eq!(entries(), 0);
    }
}

#[test]
fn w01_sockets_of_a_backend_that_left_meanwhile_are_told_although_their_map_changes_size() {
    let scene = Scene::new("left");
    let mut agents = vec![scene.stage.agent(&[])];
    let udp = cluster_ips(WEB, 53);
    let backends = BTreeMap::from([("b1", "b2"), ("b2", "b1")]);
    for sizes in SIZES {
        let sockets = udp.map(|to| scene.client.connect_udp(to).unwrap());
        let before = sockets[0].ask("who").unwrap().backend().to_owned();
        agents.last_mut().unwrap().kill().unwrap();
        let after = scene.pods.iter().find(|pod| pod.name() == backends[before.as_str()]).unwrap();
        scene.stage.endpoints("web", ports, &[after]);
        let next = scene.stage.agent(sizes);
        agents.push(next);
        for socket in &sockets {
            until("the socket is told", || {
                socket.receive(Duration::from_millis(300)).is_err_and(|failure| failure.errno == "ECONNABORTED")
            });
        }
    }
}
