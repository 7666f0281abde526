//! Many clients, and many ports.

use std::{
    collections::VecDeque,
    fs, io,
    net::{SocketAddr, TcpStream},
    os::unix::fs::PermissionsExt as _,
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
    thread,
    time::{Duration, Instant},
};

use harness::{
    lab::{Netns, OutsideClient, Pod, find_program},
    objects::service,
    scene::{Scene, Setup, until},
};

use super::{PORT, TIMEOUT, ask, asked_at, balanced, expect, nodes, put, receive, request, send};

/// Connections that the agent keeps open at a port.
const PLACES: usize = 64;
/// How long a connection keeps its place when a port is crowded: the agent's promise to clients that send at once.
const GRACE: Duration = Duration::from_millis(50);

/// A load balancer's request while others crowd the port.
#[derive(Debug)]
struct Probe {
    /// Time from the connection until the request was sent, in which the agent has kept its place.
    sent_after: Duration,
    /// Connections of the crowd that arrived before the response.
    overtaken_by: usize,
    status: io::Result<u16>,
}

impl Probe {
    fn send(client: &Netns, to: SocketAddr, crowd: &AtomicUsize) -> Self {
        let before = crowd.load(Ordering::Relaxed);
        let (sent_after, status) = client.inside(|| timed_request(to)).expect("enter the client's namespace");
        Self { sent_after, overtaken_by: crowd.load(Ordering::Relaxed) - before, status }
    }

    /// Whether this machine let the client send at once.
    fn is_prompt(&self) -> bool {
        self.sent_after < GRACE
    }

    /// Whether the response came before the crowd had filled all places of the port.
    fn is_answered(&self) -> bool {
        self.status.as_ref().is_ok_and(|status| *status == 200) && self.overtaken_by < PLACES
    }
}

/// Makes one request, and returns how long after its connection it was sent.
fn timed_request(to: SocketAddr) -> (Duration, io::Result<u16>) {
    let stream = TcpStream::connect_timeout(&to, TIMEOUT);
    let connected = Instant::now();
    let stream = stream.and_then(send);
    let sent_after = connected.elapsed();
    (sent_after, stream.and_then(receive).map(|(status, ..)| status))
}

/// A node that a load balancer and a crowd ask. Its fields are dropped in this order.
struct CrowdedPort {
    client: OutsideClient,
    crowd: OutsideClient,
    pod: Pod,
    scene: Scene,
}

impl CrowdedPort {
    fn new(name: &str) -> Self {
        let mut scene = Setup::new(name).build();
        let [pod] = scene.add_pods(["a1"]);
        let [client, crowd] = ["lb", "crowd"].map(|name| scene.lab.client(name).expect("make a client"));
        scene.put(&asked_at(balanced("web", 10), PORT));
        put(&scene, "web", &[&pod], |slice| slice);
        scene.start();
        expect(&scene, client.netns(), 1);
        Self { client, crowd, pod, scene }
    }

    /// The address of the port.
    fn address(&self) -> SocketAddr {
        nodes(&self.scene, PORT)[0]
    }
}

#[test]
fn n08_slow_or_frequent_clients_keep_no_other_from_an_answer() {
    let crowded = CrowdedPort::new("health-slow");
    let CrowdedPort { client, scene, .. } = &crowded;
    // More clients than are served at the same time, and they send nothing.
    let to = crowded.address();
    let connect = || (0..PLACES + 40).map(|_| TcpStream::connect_timeout(&to, TIMEOUT)).collect::<io::Result<Vec<_>>>();
    let silent = client.netns().inside(connect).unwrap().unwrap();
    let answer = ask(client.netns(), to);
    assert!(answer.as_ref().is_ok_and(|(status, ..)| *status == 200), "{answer:?}");
    drop(silent);
    // Changes of Services are still followed.
    scene.put(&asked_at(balanced("web", 10), PORT + 1));
    until("the change", || ask(client.netns(), nodes(scene, PORT + 1)[0]).is_ok());
}

#[test]
fn n08_many_silent_clients_keep_no_other_from_an_answer() {
    let crowded = CrowdedPort::new("health-mob");
    let CrowdedPort { client, crowd, .. } = &crowded;
    let (to, is_over, arrivals) = (crowded.address(), AtomicBool::new(false), AtomicUsize::new(0));
    // Two hundred new connections a second; the last 400 of them stay open.
    let come = || {
        let mut silent = VecDeque::new();
        while !is_over.load(Ordering::Relaxed) {
            silent.extend(TcpStream::connect_timeout(&to, TIMEOUT));
            arrivals.fetch_add(1, Ordering::Relaxed);
            silent.drain(..silent.len().saturating_sub(400));
            thread::sleep(Duration::from_millis(5));
        }
    };
    let probes = thread::scope(|scope| {
        scope.spawn(|| crowd.netns().inside(come).unwrap());
        until("a crowd", || arrivals.load(Ordering::Relaxed) > 400);
        let probes: Vec<_> = (0..10).map(|_| Probe::send(client.netns(), to, &arrivals)).collect();
        is_over.store(true, Ordering::Relaxed);
        probes
    });
    println!("{probes:?}");
    assert!(probes.iter().any(Probe::is_prompt), "{probes:?}");
    assert!(probes.iter().filter(|probe| probe.is_prompt()).all(Probe::is_answered), "{probes:?}");
}

#[test]
fn n08_a_flood_of_requests_delays_neither_answers_nor_changes() {
    let crowded = CrowdedPort::new("health-rush");
    let CrowdedPort { client, crowd, pod, scene, .. } = &crowded;
    let (to, is_over, answered) = (crowded.address(), AtomicBool::new(false), AtomicUsize::new(0));
    let flood = || {
        while !is_over.load(Ordering::Relaxed) {
            answered.fetch_add(usize::from(request(to).is_ok()), Ordering::Relaxed);
        }
    };
    let probes = thread::scope(|scope| {
        (0..8).for_each(|_| drop(scope.spawn(|| crowd.netns().inside(flood).unwrap())));
        let probes: Vec<_> = (0..20).map(|_| ask(client.netns(), to).map(|(status, ..)| status)).collect();
        put(scene, "web", &[pod], |slice| slice.node("elsewhere"));
        until("the change", || ask(client.netns(), to).is_ok_and(|(status, ..)| status == 503));
        is_over.store(true, Ordering::Relaxed);
        probes
    });
    assert!(answered.into_inner() > probes.len(), "the flood is one");
    assert!(probes.iter().all(|status| status.as_ref().is_ok_and(|status| *status == 200)), "{probes:?}");
}

#[test]
fn n08_more_ports_than_the_soft_limit_of_open_files_are_answered() {
    let scene = Setup::new("health-many").build();
    let client = scene.lab.client("lb").unwrap();
    let ports: Vec<u16> = (31_000..31_300).collect();
    for port in &ports {
        let service = service(&format!("web{port}")).kind("LoadBalancer").port(80, 8080).external_local();
        scene.put(&asked_at(service, *port));
    }
    let waggle = find_program("waggle", "WAGGLE_BIN").unwrap();
    let limited = scene.folder().allocations().with_file_name("limited");
    fs::write(&limited, format!("#!/bin/sh\nulimit -Sn 200\nexec {} \"$@\"\n", waggle.display())).unwrap();
    fs::set_permissions(&limited, fs::Permissions::from_mode(0o755)).unwrap();
    let _waggle = scene.command(&[]).program(&limited).start().unwrap();
    for port in ports {
        until("an answer", || ask(client.netns(), nodes(&scene, port)[0]).is_ok_and(|(status, ..)| status == 503));
    }
}
