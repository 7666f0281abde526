//! The agent's own ports under load: its probes are answered, and changes take effect.

use std::{
    io::{self, Write as _},
    net::{SocketAddr, TcpStream},
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
    thread,
    time::{Duration, Instant},
};

use harness::scene::{Scene, Setup, cluster_ips, dual, until};

use super::{METRICS, fetch, receive_text, send_for};

const HEALTH: u16 = 10_256;
/// How long a kubelet waits for the response to a probe by default.
const DEADLINE: Duration = Duration::from_secs(1);
/// How long a flood lasts at least.
const FLOOD: Duration = Duration::from_secs(10);
/// Clients that ask each port as fast as they get responses.
const CLIENTS: usize = 8;

fn local(port: u16) -> SocketAddr {
    ([127, 0, 0, 1], port).into()
}

/// Asks for `/livez` as the kubelet does; returns how long the response took.
fn probe(scene: &Scene) -> Duration {
    let asked = Instant::now();
    let ask = || -> io::Result<u16> {
        let stream = TcpStream::connect_timeout(&local(HEALTH), DEADLINE)?;
        let stream = send_for(stream, "/livez")?;
        stream.set_read_timeout(Some(DEADLINE))?;
        receive_text(stream).map(|(code, ..)| code)
    };
    let code = scene.node.netns().inside(ask).expect("enter the node");
    let took = asked.elapsed();
    assert!(code.as_ref().is_ok_and(|code| *code == 200) && took < DEADLINE, "{code:?} after {took:?}");
    took
}

/// Moves the Service to the other backend, and back; returns how long it took until a client noticed.
fn change(scene: &Scene, backend: usize) -> Duration {
    let changed = Instant::now();
    scene.endpoints("web", |slice| slice.port(8080), &[scene.pod(backend)]);
    let [to, _] = cluster_ips(10, 80);
    let wanted = scene.pod(backend).name();
    until("the change", || scene.from_pod.tcp(to).is_ok_and(|reply| reply.backend() == wanted));
    changed.elapsed()
}

/// The longest of ten probes and of ten changes.
fn longest(scene: &Scene) -> [Duration; 2] {
    let probes = (0..10).map(|_| probe(scene)).max();
    let changes = (0..10).map(|number| change(scene, 1 + number % 2)).max();
    [probes, changes].map(Option::unwrap_or_default)
}

fn served(name: &str) -> Scene {
    let scene = Setup::new(name).backends(2).start();
    scene.put(&dual("web", 10).port(80, 8080).build());
    change(&scene, 2);
    scene
}

/// Ends a flood when it is dropped.
struct Over<'a>(&'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[test]
fn n08_a_flood_at_the_agent_s_ports_delays_neither_probes_nor_changes() {
    let scene = served("hz-flood");
    let quiet = longest(&scene);
    let (is_over, answered) = (AtomicBool::new(false), [HEALTH, METRICS].map(|_| AtomicUsize::new(0)));
    let flood = |port: u16, path: &str, answered: &AtomicUsize| {
        while !is_over.load(Ordering::Relaxed) {
            answered.fetch_add(usize::from(fetch(local(port), path).is_ok()), Ordering::Relaxed);
        }
    };
    let (began, node, flood) = (Instant::now(), scene.node.netns(), &flood);
    let flooded = thread::scope(|scope| {
        for (port, path, answered) in [(HEALTH, "/healthz", &answered[0]), (METRICS, "/metrics", &answered[1])] {
            let flood = move || node.inside(|| flood(port, path, answered)).expect("enter the node");
            (0..CLIENTS).for_each(|_| drop(scope.spawn(flood)));
        }
        // A failure ends it, too.
        let _over = Over(&is_over);
        until("a flood", || answered.iter().all(|answered| answered.load(Ordering::Relaxed) > 100));
        let mut flooded = [Duration::ZERO; 2];
        while began.elapsed() < FLOOD {
            let again = longest(&scene);
            flooded = [flooded[0].max(again[0]), flooded[1].max(again[1])];
        }
        flooded
    });
    let rates = answered.map(|answered| answered.into_inner() as u64 / began.elapsed().as_secs());
    println!("longest probe and change: {quiet:?} when quiet, {flooded:?} with {rates:?} requests/s");
}

#[test]
fn n08_clients_that_send_nothing_too_slowly_or_too_much_keep_no_probe_from_its_response() {
    let scene = served("hz-slow");
    let open = |port| TcpStream::connect_timeout(&local(port), DEADLINE);
    let crowd = || -> io::Result<Vec<TcpStream>> {
        let mut crowd = Vec::new();
        for port in [HEALTH, METRICS] {
            for number in 0..300 {
                let mut stream = open(port)?;
                if number % 2 == 0 {
                    // The head of a request that never ends. Earlier ones may be closed already.
                    let _ = stream.write_all(b"GET /livez HTTP/1.1\r\nHost: ");
                }
                crowd.push(stream);
            }
        }
        Ok(crowd)
    };
    let crowd = scene.node.netns().inside(crowd).expect("enter the node").expect("connect");
    longest(&scene);
    drop(crowd);
    for port in [HEALTH, METRICS] {
        let large = || -> io::Result<u16> {
            let mut stream = open(port)?;
            stream.set_read_timeout(Some(DEADLINE))?;
            write!(stream, "GET /livez HTTP/1.1\r\nHost: node\r\nX: {}\r\n\r\n", "x".repeat(1 << 20))?;
            receive_text(stream).map(|(code, ..)| code)
        };
        // It may get a response, or a reset while it sends.
        let code = scene.node.netns().inside(large).expect("enter the node");
        assert!(code.as_ref().map_or(true, |code| *code == 431), "{code:?}");
    }
    longest(&scene);
}
