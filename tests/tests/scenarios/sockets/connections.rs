//! The programs' entries of TCP sockets, and when they are removed.

#![expect(clippy::unwrap_used, reason = "a step that fails fails the test")]

use std::{net::SocketAddr, path::Path};

use harness::{
    lab::{Kind, Socket},
    scene::{BOUND_PORT, Scene, Setup, cluster_ips, dual, until},
};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

/// Streams of either family.
const KINDS: [Kind; 2] = [Kind::Tcp4, Kind::Tcp6];

/// A scene whose map a dump shows quickly.
fn small(name: &str) -> Scene {
    scene(Setup::new(name).args(["--max-socket-connections", "512"]))
}

/// The Services `web` (10) on pod `p1` and `other` (11) on pod `p2`.
fn scene(setup: Setup) -> Scene {
    let mut scene = setup.backends(2).serving(&[8080]).build();
    for (name, number, pod) in [("web", 10, 1), ("other", 11, 2)] {
        scene.put(&dual(name, number).port(80, 8080).build());
        scene.endpoints(name, |slice| slice.port(8080), &[scene.pod(pod)]);
    }
    scene.start();
    scene
}

/// How many sockets have an entry.
fn entries(scene: &Scene) -> usize {
    scene.socket_connections()
}

/// How often an entry was refused, over all CPUs.
fn refused(scene: &Scene) -> u64 {
    let counters = scene.dump("counters");
    let values = counters[8]["formatted"]["values"].as_array().unwrap();
    values.iter().map(|value| value["value"].as_u64().unwrap()).sum()
}

fn peer(socket: &Socket) -> Option<SocketAddr> {
    socket.names().unwrap().peer
}

/// Checks that the socket, newly connected to `to`, talks to `backend` and has the frontend as its peer.
#[track_caller]
fn dials(socket: &Socket, to: SocketAddr, backend: &str) {
    socket.connect(to).unwrap();
    assert_eq!(peer(socket), Some(to));
    assert_eq!(socket.ask("who").unwrap().backend(), backend);
}

#[test]
fn a_tcp_socket_that_dials_again_shows_its_last_dial() {
    let scene = small("again");
    let client = &scene.from_pod;
    for (family, kind) in KINDS.into_iter().enumerate() {
        let socket = client.open(kind, None).unwrap();
        let [web, other] = [10, 11].map(|number| cluster_ips(number, 80)[family]);
        let backend = SocketAddr::new(scene.pod(1).addresses()[family], 8080);
        for (to, name, count) in [(web, "p1", 1), (other, "p2", 1), (web, "p1", 1), (backend, "p1", 0), (web, "p1", 1)]
        {
            dials(&socket, to, name);
            assert_eq!(entries(&scene), count, "connected to {to}");
            socket.disconnect().unwrap();
            assert_eq!(peer(&socket), None);
        }
        drop(socket);
        assert_eq!(entries(&scene), 0);
    }
    let mapped: SocketAddr = "[::ffff:10.96.0.10]:80".parse().unwrap();
    dials(&client.open(Kind::Tcp6, None).unwrap(), mapped, "p1");
    assert_eq!(entries(&scene), 0);
}

#[test]
fn entries_go_with_their_sockets() {
    let scene = small("gone");
    let client = &scene.from_pod;
    let connect = || cluster_ips(10, 80).map(|to| client.connect_tcp(to).unwrap());
    let (first, second) = (connect(), connect());
    assert_eq!(entries(&scene), 4);
    drop(first);
    assert_eq!(entries(&scene), 2, "closed one by one");
    drop(second);
    let own = scene.pod(1).addresses().map(|ip| client.connect_tcp((ip, 8080)).unwrap());
    assert_eq!(entries(&scene), 0, "a socket that dials a backend directly has none");
    drop(own);

    let _open = connect();
    assert_eq!(entries(&scene), 2);
    kill(Pid::from_raw(client.id().cast_signed()), Signal::SIGKILL).unwrap();
    until("a killed process leaves nothing", || entries(&scene) == 0);
}

#[test]
fn a_refused_socket_leaves_nothing_behind() {
    let scene = small("refused");
    scene.put(&dual("closed", 12).port(80, 8081).build());
    scene.endpoints("closed", |slice| slice.port(8081), &[scene.pod(1)]);
    scene.put(&dual("empty", 13).port(80, 8080).build());
    let client = &scene.from_pod;
    for (family, kind) in KINDS.into_iter().enumerate() {
        let [web, closed, empty] = [10, 12, 13].map(|number| cluster_ips(number, 80)[family]);
        let errno = |socket: &Socket, to| socket.connect(to).map(drop).unwrap_err().errno;
        let socket = client.open(kind, None).unwrap();
        until("refused by the backend", || errno(&socket, closed) == "ECONNREFUSED");
        until("refused by the programs", || client.tcp(empty).is_err_and(|failure| failure.errno == "ECONNREFUSED"));
        assert_eq!(entries(&scene), 1, "a backend's refusal leaves the entry");
        assert_eq!(errno(&socket, empty), "ECONNREFUSED");
        assert_eq!(entries(&scene), 0, "a refusal by the programs removes it");
        assert_eq!(errno(&socket, closed), "ECONNREFUSED");
        dials(&socket, web, "p1");
        socket.disconnect().unwrap();
        assert_eq!(errno(&socket, closed), "ECONNREFUSED");
        assert_eq!(entries(&scene), 1);
        drop(socket);
        assert_eq!(entries(&scene), 0);
    }
}

#[test]
fn full_socket_connections_still_show_the_frontend() {
    // Room for one set.
    let scene = scene(Setup::new("full").args(["--max-socket-connections", "8"]));
    let client = &scene.from_pod;
    let connect = || cluster_ips(10, 80).map(|to| client.connect_tcp(to).unwrap());
    let early = [connect(), connect(), connect()];
    let holders = connect();
    assert_eq!((entries(&scene), refused(&scene)), (8, 0));
    let others = connect();
    assert_eq!((entries(&scene), refused(&scene)), (8, 2), "counted");
    for (socket, to) in holders.iter().chain(&others).zip([cluster_ips(10, 80), cluster_ips(10, 80)].concat()) {
        assert_eq!(peer(socket), Some(to));
        assert_eq!(socket.ask("who").unwrap().backend(), "p1");
    }
    for (socket, family) in holders.iter().chain(&others).zip([0, 1, 0, 1]) {
        for (number, name) in [(11, "p2"), (10, "p1"), (11, "p2")] {
            socket.disconnect().unwrap();
            dials(socket, cluster_ips(number, 80)[family], name);
        }
        let backend = SocketAddr::new(scene.pod(2).addresses()[family], 8080);
        socket.disconnect().unwrap();
        dials(socket, backend, "p2");
    }
    assert_eq!(entries(&scene), 6);
    for (socket, to) in others.iter().zip(cluster_ips(11, 80)) {
        socket.disconnect().unwrap();
        dials(socket, to, "p2");
    }
    assert_eq!(entries(&scene), 8, "there is room again");
    for (socket, to) in early.iter().flatten().zip(cluster_ips(10, 80).repeat(3)) {
        assert_eq!(peer(socket), Some(to), "no socket loses its entry");
    }
}

#[test]
fn a_bound_socket_does_without_an_entry() {
    let scene = small("bound");
    let client = &scene.from_pod;
    for (family, kind) in KINDS.into_iter().enumerate() {
        let bind = SocketAddr::new(scene.client.addresses()[family], BOUND_PORT);
        let socket = client.open(kind, Some(bind)).unwrap();
        dials(&socket, cluster_ips(10, 80)[family], "p1");
        assert_eq!((entries(&scene), socket.names().unwrap().local), (0, bind));
    }
}

#[test]
fn an_mptcp_socket_shows_the_frontend_and_leaves_nothing_behind() {
    if !Path::new("/proc/sys/net/mptcp").exists() {
        return println!("this kernel has no MPTCP");
    }
    let scene = small("mptcp");
    let client = &scene.from_pod;
    for (family, kind) in [Kind::Mptcp4, Kind::Mptcp6].into_iter().enumerate() {
        let socket = client.open(kind, None).unwrap();
        dials(&socket, cluster_ips(10, 80)[family], "p1");
        drop(socket);
        assert_eq!(entries(&scene), 0);
    }
}
