//! The entries of sockets survive when their maps get another size.

use std::{collections::BTreeMap, net::SocketAddr, time::Duration};

use harness::{
    lab::{Client, Kind, START, Socket, Waggle},
    objects::SliceBuilder,
    scene::{Scene, Setup, cluster_ips, dual, until},
};

/// The Services' numbers; each Service has TCP port 80 and UDP port 53.
const WEB: u8 = 10;
const OTHER: u8 = 11;

/// Sizes of maps: smaller than by default, and larger.
const SIZES: [&[&str]; 2] = [
    &["--max-socket-connections", "30000", "--max-socket-flows", "900"],
    &["--max-socket-connections", "150000", "--max-socket-flows", "150000"],
];

fn ports(slice: SliceBuilder) -> SliceBuilder {
    slice.named_port("http", "TCP", 8080).named_port("dns", "UDP", 5353)
}

/// Two Services, and a backend of each.
fn scene(name: &str) -> Scene {
    let scene = Setup::new(name).args(["--preallocate"]).backends(2).serving(&[5353, 8080]).build();
    for (name, number, pod) in [("web", WEB, 1), ("other", OTHER, 2)] {
        let service = dual(name, number).named_port("http", "TCP", 80, 8080).named_port("dns", "UDP", 53, 5353);
        scene.put(&service.build());
        scene.endpoints(name, ports, &[scene.pod(pod)]);
    }
    scene
}

/// Kills the agent `before` and starts another one with these sizes.
fn follow(scene: &Scene, before: &mut Waggle, sizes: &[&str]) -> Waggle {
    before.kill().unwrap();
    let waggle = scene.agent(sizes);
    waggle.wait_log(START, |line| line.text.contains("rebuilding")).unwrap();
    waggle
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
        let expected = self.services.into_iter().zip(["p1", "p2"].map(str::to_owned));
        assert_eq!(BTreeMap::from(heard), expected.collect());
    }
}

#[test]
fn w01_sockets_keep_what_they_dialled_when_their_maps_change_size() {
    let scene = scene("sockets");
    let mut agents = vec![scene.agent(&[])];
    let (client, [tcp, udp]) = (&scene.from_pod, [80, 53].map(|port| cluster_ips(WEB, port)));
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
        let next = follow(&scene, agents.last_mut().unwrap(), sizes);
        agents.push(next);
        for speaker in &speakers {
            speaker.hear();
        }
        for (socket, to) in &connected {
            assert_eq!(socket.names().unwrap().peer, Some(*to));
            assert_eq!(socket.ask("who").unwrap().backend(), "p1");
        }
    }
}

#[test]
fn w01_sockets_that_close_while_their_map_changes_size_leave_nothing_there() {
    let scene = scene("closing");
    let mut agents = vec![scene.agent(&[])];
    let entries = || scene.socket_connections();
    for sizes in SIZES {
        let sockets: Vec<_> = (0..300).map(|_| scene.from_pod.connect_tcp(cluster_ips(WEB, 80)[0]).unwrap()).collect();
        agents.last_mut().unwrap().kill().unwrap();
        let next = scene.command(sizes).start_unready().unwrap();
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
fn w01_no_socket_is_ended_while_old_programs_still_choose_its_backend() {
    let scene = scene("early");
    let mut before = scene.agent(&[]);
    let sockets = cluster_ips(WEB, 53).map(|to| scene.from_pod.connect_udp(to).unwrap());
    before.kill().unwrap();
    scene.endpoints("web", ports, &[scene.pod(2)]);
    // The lists of backends are copied, too: until the hooks have their new programs, clients are given p1.
    let waggle = scene.agent(&["--max-services", "3000"]);
    waggle.wait_log(START, |line| line.text.contains("rebuilding") && line.text.contains("SERVICES")).unwrap();
    let ended = waggle.wait_log(START, |line| line.message() == "destroyed UDP sockets of removed backends");
    let lines = waggle.log().since(0);
    let place = |message: &str| lines.iter().position(|line| line.message() == message).unwrap();
    assert!(place(ended.unwrap().message()) > place("socket hooks attached"));
    assert!(sockets.iter().all(|socket| socket.receive(START).unwrap_err().errno == "ECONNABORTED"));
}

#[test]
fn w01_sockets_of_a_backend_that_left_meanwhile_get_an_error_although_their_map_changes_size() {
    let scene = scene("left");
    let mut agents = vec![scene.agent(&[])];
    let udp = cluster_ips(WEB, 53);
    let backends = BTreeMap::from([("p1", "p2"), ("p2", "p1")]);
    for sizes in SIZES {
        let sockets = udp.map(|to| scene.from_pod.connect_udp(to).unwrap());
        let before = sockets[0].ask("who").unwrap().backend().to_owned();
        agents.last_mut().unwrap().kill().unwrap();
        let after = scene.pods.iter().find(|pod| pod.name() == backends[before.as_str()]).unwrap();
        scene.endpoints("web", ports, &[after]);
        let next = scene.agent(sizes);
        agents.push(next);
        for socket in &sockets {
            until("the socket is aborted", || {
                socket.receive(Duration::from_millis(300)).is_err_and(|failure| failure.errno == "ECONNABORTED")
            });
        }
    }
}
