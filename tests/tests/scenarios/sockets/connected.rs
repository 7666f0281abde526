//! Connected sockets (S29) and which processes are served, with real agents and sockets.

#![expect(clippy::unwrap_used, reason = "a step that fails fails the test")]

use std::{fs, net::SocketAddr, time::Duration};

use harness::{
    lab::{Client, Dial, Kind, Socket, TIMEOUT, Transport},
    objects::SliceBuilder,
    scene::{Scene, Setup, cluster_ips, dual, slices, until},
};
use serde_json::Value;

/// Long enough to notice a mistake.
const WHILE: Duration = Duration::from_millis(300);

/// A UDP Service of this name and number with these backends.
fn udp(scene: &Scene, name: &str, number: u8, backends: &[usize]) {
    scene.put(&dual(name, number).udp_port(53, 5353).build());
    list(scene, name, backends);
}

/// Makes these the Service's backends.
fn list(scene: &Scene, name: &str, backends: &[usize]) {
    let pods: Vec<_> = backends.iter().map(|number| scene.pod(*number)).collect();
    scene.endpoints(name, |slice| slice.udp_port(5353), &pods);
}

/// Two backends, UDP Services, and the agent. `services`: each a name, a number, and the numbers of its backends.
fn scene(setup: impl Into<Setup>, services: &[(&str, u8, &[usize])]) -> Scene {
    let mut scene = setup.into().backends(2).serving(&[5353, 8080]).build();
    for (name, number, backends) in services {
        udp(&scene, name, *number, backends);
    }
    scene.start();
    scene
}

/// Both addresses of `p1`, for a client that dials it directly.
fn own(scene: &Scene) -> [SocketAddr; 2] {
    scene.pod(1).addresses().map(|ip| SocketAddr::new(ip, 5353))
}

/// Connects a socket of each family.
fn connected(client: &Client, number: u8) -> [Socket<'_>; 2] {
    cluster_ips(number, 53).map(|to| client.connect_udp(to).unwrap())
}

fn is_aborted(socket: &Socket) -> bool {
    socket.receive(WHILE).is_err_and(|failure| failure.errno == "ECONNABORTED")
}

fn peer(socket: &Socket) -> Option<SocketAddr> {
    socket.names().unwrap().peer
}

#[test]
fn s29_connected_sockets_show_the_frontend() {
    let scene = scene("shown", &[("dns", 10, &[1, 2])]);
    let client = &scene.from_pod;
    for (socket, to) in connected(client, 10).iter().zip(cluster_ips(10, 53)) {
        let backend = socket.ask("who").unwrap().backend().to_owned();
        for _ in 0..10 {
            let answer = socket.ask("who").unwrap();
            assert_eq!((answer.backend(), answer.from), (backend.as_str(), Some(to)));
        }
        assert_eq!(peer(socket), Some(to));
    }
    let mapped: SocketAddr = "[::ffff:10.96.0.10]:53".parse().unwrap();
    let socket = client.connect_udp(mapped).unwrap();
    assert_eq!((socket.ask("who").unwrap().from, peer(&socket)), (Some(mapped), Some(mapped)));
}

#[test]
fn s29_sockets_of_a_removed_backend_get_an_error_and_redial() {
    // The second Service keeps the backend that the first loses.
    let scene = scene("aborted", &[("dns", 10, &[1]), ("keeps", 11, &[1])]);
    let client = &scene.from_pod;
    let (waiting, sending) = (connected(client, 10), connected(client, 10));
    let mapped = client.connect_udp("[::ffff:10.96.0.10]:53").unwrap();
    let keeps = connected(client, 11);
    let own = own(&scene).map(|to| client.connect_udp(to).unwrap());
    for socket in waiting.iter().chain(&sending).chain(&keeps).chain(&own).chain([&mapped]) {
        assert_eq!(socket.ask("who").unwrap().backend(), "p1");
    }
    list(&scene, "dns", &[2]);
    for (socket, to) in waiting.iter().chain([&mapped]).zip([cluster_ips(10, 53), cluster_ips(10, 53)].concat()) {
        until("the waiting application gets the error", || is_aborted(socket));
        socket.connect(to).unwrap();
        assert_eq!(socket.ask("redialled").unwrap().backend(), "p2");
    }
    for socket in &sending {
        until("the sending application gets the error", || {
            socket.send("x").is_err_and(|failure| failure.errno == "EDESTADDRREQ")
        });
    }
    for socket in keeps.iter().chain(&own) {
        assert_eq!(socket.ask("still there").unwrap().backend(), "p1");
    }
    // Now the other Service is removed as a whole.
    scene.remove("keeps");
    for socket in &keeps {
        until("a removed Service's sockets are aborted", || is_aborted(socket));
    }
    for socket in &own {
        assert_eq!(socket.ask("still there").unwrap().backend(), "p1");
    }
}

#[test]
fn s29_termination_can_be_switched_off() {
    let scene = scene(Setup::new("kept").args(["--udp-termination=false"]), &[("dns", 10, &[1])]);
    let client = &scene.from_pod;
    let sockets = connected(client, 10);
    udp(&scene, "dns", 10, &[2]);
    until("new flows go elsewhere", || cluster_ips(10, 53).iter().all(|to| client.udp(to).unwrap().backend() == "p2"));
    for socket in &sockets {
        assert_eq!(socket.receive(WHILE).unwrap_err().errno, "ETIMEDOUT", "nothing tells the socket");
        assert_eq!(socket.ask("still there").unwrap().backend(), "p1");
    }
}

#[test]
fn s29_a_socket_that_has_redialled_is_judged_by_its_last_dial() {
    let scene = scene("redial", &[("dns", 10, &[1]), ("other", 11, &[2])]);
    let client = &scene.from_pod;
    let own = own(&scene);
    let [first, through, witness] = [(); 3].map(|()| connected(client, 10));
    for (family, socket) in first.iter().enumerate() {
        assert_eq!(peer(socket), Some(cluster_ips(10, 53)[family]));
        socket.connect(own[family]).unwrap();
        assert_eq!(peer(socket), Some(own[family]), "a plain address shows itself");
    }
    for (family, socket) in through.iter().enumerate() {
        socket.connect(cluster_ips(11, 53)[family]).unwrap();
        assert_eq!(peer(socket), Some(cluster_ips(11, 53)[family]));
        assert_eq!(socket.ask("who").unwrap().backend(), "p2");
        socket.disconnect().unwrap();
        assert_eq!(peer(socket), None);
        socket.connect(own[family]).unwrap();
        assert_eq!((peer(socket), socket.ask("who").unwrap().from), (Some(own[family]), Some(own[family])));
    }
    udp(&scene, "dns", 10, &[2]);
    for socket in &witness {
        until("sockets of the Service are aborted", || is_aborted(socket));
    }
    for socket in first.iter().chain(&through) {
        assert_eq!(socket.ask("dialled the backend itself").unwrap().backend(), "p1");
    }
}

#[test]
fn s29_a_change_of_policy_that_leaves_the_backend_ends_no_socket() {
    let scene = scene("policy", &[("dns", 10, &[1]), ("other", 11, &[2])]);
    let client = &scene.from_pod;
    let (sockets, witness) = (connected(client, 10), connected(client, 11));
    scene.put(&dual("dns", 10).udp_port(53, 5353).internal_local().build());
    let is_local = |entry: &&Value| entry["formatted"]["value"]["flags"].as_u64().is_some_and(|flags| flags & 2 != 0);
    until("the policy is in force", || scene.dump("services").iter().filter(is_local).count() == 2);
    udp(&scene, "other", 11, &[1]);
    for socket in &witness {
        until("sockets that have lost their backend are aborted, after all others", || is_aborted(socket));
    }
    for socket in &sockets {
        assert_eq!(socket.ask("still there").unwrap().backend(), "p1");
    }
}

#[test]
fn s29_disconnected_and_connected_turns_of_one_socket() {
    let scene = scene("turns", &[("dns", 10, &[1]), ("other", 11, &[2])]);
    let client = &scene.from_pod;
    for (family, kind) in [Kind::Udp4, Kind::Udp6].into_iter().enumerate() {
        let socket = client.open(kind, None).unwrap();
        let [dns, other] = [10, 11].map(|number| cluster_ips(number, 53)[family]);
        let ask_unconnected = |to: SocketAddr| {
            socket.send_to(to, "question").unwrap();
            socket.receive(TIMEOUT).unwrap().from
        };
        assert_eq!(ask_unconnected(dns), Some(dns));
        socket.connect(other).unwrap();
        assert_eq!((peer(&socket), socket.ask("who").unwrap().from), (Some(other), Some(other)));
        // The answer can't arrive, since a connected socket receives from its peer alone. But sending to another
        // address must not change the peer.
        socket.send_to(dns, "elsewhere").unwrap();
        assert_eq!(socket.receive(WHILE).unwrap_err().errno, "ETIMEDOUT");
        assert_eq!((peer(&socket), socket.ask("who").unwrap().from), (Some(other), Some(other)));
        socket.disconnect().unwrap();
        assert_eq!(peer(&socket), None);
        // A disconnected IPv6 socket of Linux still receives from its last peer only.
        let hears = if kind == Kind::Udp4 { &[dns, other, dns][..] } else { &[other] };
        for to in hears {
            assert_eq!(ask_unconnected(*to), Some(*to));
        }
        socket.connect(dns).unwrap();
        assert_eq!((peer(&socket), socket.ask("who").unwrap().from), (Some(dns), Some(dns)));
    }
}

#[test]
fn s29_tcp_connections_are_never_cut() {
    let scene = Setup::new("tcp").backends(2).build();
    let (client, p1, p2, mut waggle) = (&scene.from_pod, scene.pod(1), scene.pod(2), scene.agent(&[]));
    let port = |slice: SliceBuilder| slice.port(8080);
    scene.put(&dual("web", 10).port(80, 8080).build());
    scene.endpoints("web", port, &[p1]);
    until("served", || cluster_ips(10, 80).iter().all(|to| client.tcp(to).is_ok()));
    let connections = cluster_ips(10, 80).map(|to| client.connect_tcp(to).unwrap());
    let alive = |when: &str| {
        for (connection, to) in connections.iter().zip(cluster_ips(10, 80)) {
            assert_eq!(connection.ask(when).unwrap().backend(), "p1", "{when}");
            assert_eq!(peer(connection), Some(to), "{when}");
        }
    };
    let all = |backend: &str| {
        cluster_ips(10, 80).iter().all(|to| client.tcp(to).is_ok_and(|reply| reply.backend() == backend))
    };
    alive("at first");
    for slice in slices("web", port, &[p2, p1]) {
        scene.put(&slice.draining().build());
    }
    until("the draining backend gets nothing new", || (0..10).all(|_| all("p2")));
    alive("terminating");
    scene.endpoints("web", port, &[p2]);
    until("the backend is gone", || !scene.get("backends").to_string().contains(&p1.v4().to_string()) || all("p2"));
    alive("removed");
    scene.endpoints("web", port, &[]);
    until("refused", || cluster_ips(10, 80).iter().all(|to| client.tcp(to).is_err()));
    alive("without any backend");
    scene.remove("web");
    until("unreachable", || {
        cluster_ips(10, 80).iter().all(|to| client.tcp(to).is_err_and(|failure| failure.errno == "EHOSTUNREACH"))
    });
    alive("without the Service");
    waggle.kill().unwrap();
    alive("without the agent");
}

#[test]
fn processes_of_the_nodes_cgroup_are_served_and_no_others() {
    let mut scene = Setup::new("cgroup").backends(1).build();
    scene.put(&dual("web", 10).port(80, 8080).build());
    scene.endpoints("web", |slice| slice.port(8080), &[scene.pod(1)]);
    scene.start();
    let nested = scene.client.cgroup().join("nested");
    fs::create_dir(&nested).unwrap();
    for host in [&*scene.node, &**scene.client] {
        let client = host.client().unwrap();
        let moved_to =
            |cgroup: &std::path::Path| fs::write(cgroup.join("cgroup.procs"), client.id().to_string()).unwrap();
        for to in cluster_ips(10, 80) {
            assert_eq!(client.tcp(to).unwrap().backend(), "p1", "{} {to}", host.name());
        }
        moved_to(&nested);
        for to in cluster_ips(10, 80) {
            assert_eq!(client.tcp(to).unwrap().backend(), "p1", "{} {to} from a cgroup inside", host.name());
        }
        moved_to(scene.lab.cgroup());
        for to in cluster_ips(10, 80) {
            let dial = Dial::new(Transport::Tcp, to).timeout(WHILE);
            assert_eq!(client.dial(&dial).unwrap_err().errno, "ETIMEDOUT", "{} {to} from outside", host.name());
        }
        moved_to(scene.node.cgroup());
        for to in cluster_ips(10, 80) {
            assert_eq!(client.tcp(to).unwrap().backend(), "p1", "{} {to} back again", host.name());
        }
    }
}
