//! Destroying connected UDP sockets, against this kernel.

#![expect(clippy::unwrap_used, reason = "a step that fails fails the test")]

use std::{
    cell::RefCell,
    collections::BTreeSet,
    fs::File,
    io::{self, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream, UdpSocket},
    process::{self, Command},
    sync::{
        atomic::{AtomicUsize, Ordering},
        mpsc,
    },
    thread,
    time::{Duration, Instant},
};

use nix::sched::{CloneFlags, setns};
use proxy_userspace::sockets::destroy::{Destroyed, check, destroy_connected};
use socket2::{Domain, SockRef, Socket, Type};

const BACKEND4: &str = "10.77.0.1:5353";
const BACKEND6: &str = "[fd77::1]:5353";
const MAPPED: &str = "[::ffff:10.77.0.1]:5353";
const OTHER4: &str = "10.77.0.1:5354";

fn ip(arguments: &str) {
    let status = Command::new("ip").args(arguments.split_whitespace()).status().unwrap();
    assert!(status.success(), "ip {arguments}");
}

/// A named network namespace in which the backends' addresses are local. Removed when dropped.
struct Namespace(String);

impl Namespace {
    fn new() -> Self {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let namespace = Self(format!("termination-{}-{number}", process::id()));
        ip(&format!("netns add {}", namespace.0));
        for command in ["link set lo up", "addr add 10.77.0.1/32 dev lo", "addr add fd77::1/128 dev lo nodad"] {
            ip(&format!("-n {} {command}", namespace.0));
        }
        namespace
    }

    /// Runs `work` on a thread inside the namespace.
    fn run<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        thread::scope(|scope| {
            let thread = scope.spawn(|| {
                let file = File::open(format!("/run/netns/{}", self.0)).unwrap();
                setns(file, CloneFlags::CLONE_NEWNET).unwrap();
                work()
            });
            thread.join().unwrap()
        })
    }

    /// A UDP socket of this namespace, connected to `remote`.
    fn connected(&self, remote: &str) -> UdpSocket {
        self.run(|| {
            let remote: SocketAddr = remote.parse().unwrap();
            let own = if remote.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
            let socket = UdpSocket::bind(own).unwrap();
            socket.connect(remote).unwrap();
            socket.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
            socket
        })
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        let _ = Command::new("ip").args(["netns", "del", &self.0]).status();
    }
}

fn cookie(socket: &UdpSocket) -> u64 {
    SockRef::from(socket).cookie().unwrap()
}

fn targets(addresses: &[&str]) -> BTreeSet<SocketAddr> {
    addresses.iter().map(|address| address.parse().unwrap()).collect()
}

/// Destroys those of `sockets` that are connected to `addresses`, and no sockets of other tests.
fn terminate_own(addresses: &[&str], sockets: &[&UdpSocket]) -> Destroyed {
    let cookies: BTreeSet<_> = sockets.iter().map(|socket| cookie(socket)).collect();
    destroy_connected(&targets(addresses), &|cookie, _| cookies.contains(&cookie)).unwrap()
}

fn is_aborted(result: &io::Result<usize>) -> bool {
    result.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::ConnectionAborted)
}

#[test]
fn s29_this_kernel_can_terminate() {
    Namespace::new().run(|| check().unwrap());
}

#[test]
fn s29_connected_sockets_of_a_gone_backend_fail() {
    let namespace = Namespace::new();
    let sockets = [BACKEND4, BACKEND6, MAPPED].map(|remote| namespace.connected(remote));
    let done = terminate_own(&[BACKEND4, BACKEND6], &sockets.each_ref());
    assert_eq!((done.sockets, done.refused), (3, 0));
    assert!(is_aborted(&sockets[0].recv(&mut [0])));
    let sent = sockets[1].send(b"x").unwrap_err();
    assert_eq!(sent.raw_os_error(), Some(libc::EDESTADDRREQ), "nothing is sent to the backend any more");
    assert!(is_aborted(&sockets[1].recv(&mut [0])));
    assert!(is_aborted(&sockets[2].recv(&mut [0])));
}

#[test]
fn s29_a_waiting_recv_is_woken() {
    let namespace = Namespace::new();
    let socket = namespace.connected(BACKEND4);
    let (sender, receiver) = mpsc::channel();
    let waiting = socket.try_clone().unwrap();
    thread::spawn(move || sender.send(waiting.recv(&mut [0])));
    assert_eq!(terminate_own(&[BACKEND4], &[&socket]).sockets, 1);
    assert!(is_aborted(&receiver.recv_timeout(Duration::from_secs(5)).unwrap()));
}

#[test]
fn s29_the_owner_is_asked_with_cookie_and_plain_backend() {
    let namespace = Namespace::new();
    let sockets = [BACKEND4, BACKEND6, MAPPED].map(|remote| namespace.connected(remote));
    let cookies = sockets.each_ref().map(cookie);
    let asked = RefCell::new(Vec::new());
    let ours = |cookie, backend: SocketAddr| {
        if cookies.contains(&cookie) {
            asked.borrow_mut().push((cookie, backend.to_string()));
        }
        false
    };
    // An IPv4-mapped address means that IPv4 backend.
    destroy_connected(&targets(&[MAPPED, BACKEND6]), &ours).unwrap();
    let mut expected =
        vec![(cookies[0], BACKEND4.to_owned()), (cookies[1], BACKEND6.to_owned()), (cookies[2], BACKEND4.to_owned())];
    let mut asked = asked.into_inner();
    asked.sort();
    expected.sort();
    assert_eq!(asked, expected);
    for socket in sockets {
        assert_eq!(socket.send(b"x").unwrap(), 1, "the socket was denied, so it lives");
    }
}

#[test]
fn s29_other_sockets_survive() {
    let namespace = Namespace::new();
    let [gone, denied] = [BACKEND4, BACKEND4].map(|remote| namespace.connected(remote));
    let elsewhere = namespace.connected(OTHER4);
    let (unconnected, mut client, mut server) = namespace.run(|| {
        let listener = TcpListener::bind(BACKEND4).unwrap();
        let client = TcpStream::connect(BACKEND4).unwrap();
        (UdpSocket::bind(BACKEND4).unwrap(), client, listener.accept().unwrap().0)
    });
    let done = terminate_own(&[BACKEND4], &[&gone, &elsewhere, &unconnected]);
    assert_eq!((done.sockets, done.refused), (1, 0));
    assert!(is_aborted(&gone.recv(&mut [0])));

    let mut buffer = [0; 8];
    assert_eq!(elsewhere.peer_addr().unwrap().to_string(), OTHER4);
    denied.send(b"denied").unwrap();
    let (length, from) = unconnected.recv_from(&mut buffer).unwrap();
    assert_eq!((&buffer[..length], from), (&b"denied"[..], denied.local_addr().unwrap()));
    unconnected.send_to(b"answer", from).unwrap();
    assert_eq!(denied.recv(&mut buffer).unwrap(), 6);
    client.write_all(b"tcp").unwrap();
    assert_eq!(server.read(&mut buffer).unwrap(), 3);
}

#[test]
fn s29_sockets_with_the_same_addresses_are_all_reached() {
    let namespace = Namespace::new();
    let sockets: Vec<UdpSocket> = namespace.run(|| {
        let make = |_| {
            let socket = Socket::new(Domain::IPV4, Type::DGRAM, None).unwrap();
            socket.set_reuse_port(true).unwrap();
            socket.bind(&"10.77.0.1:40000".parse::<SocketAddr>().unwrap().into()).unwrap();
            socket.connect(&BACKEND4.parse::<SocketAddr>().unwrap().into()).unwrap();
            socket.into()
        };
        (0..4).map(make).collect()
    });
    assert_eq!(terminate_own(&[BACKEND4], &sockets.iter().collect::<Vec<_>>()).sockets, 4);
    assert!(sockets.iter().all(|socket| is_aborted(&socket.recv(&mut [0]))));
}

#[test]
fn s29_more_targets_than_a_filter_holds() {
    let namespace = Namespace::new();
    let sockets: Vec<_> = (1..=100).map(|port| namespace.connected(&format!("10.77.0.1:{port}"))).collect();
    let addresses: Vec<_> = (1..=99).map(|port| format!("10.77.0.1:{port}")).collect();
    let addresses: Vec<_> = addresses.iter().map(String::as_str).collect();
    assert_eq!(terminate_own(&addresses, &sockets.iter().collect::<Vec<_>>()).sockets, 99);
    assert!(sockets[99].peer_addr().is_ok());
}

#[test]
fn s29_namespaces_without_a_name_are_reached() {
    let mut child = Command::new("unshare")
        .args(["-n", "sh", "-c", "ip link set lo up && echo && exec cat"])
        .stdin(process::Stdio::piped())
        .stdout(process::Stdio::piped())
        .spawn()
        .unwrap();
    child.stdout.as_mut().unwrap().read_exact(&mut [0]).unwrap();
    let file = File::open(format!("/proc/{}/ns/net", child.id())).unwrap();
    let socket = thread::spawn(move || {
        setns(file, CloneFlags::CLONE_NEWNET).unwrap();
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.connect("127.0.0.1:5353").unwrap();
        socket
    });
    let done = socket.join().map(|socket| terminate_own(&["127.0.0.1:5353"], &[&socket]));
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(done.unwrap().sockets, 1);
}

#[test]
#[ignore = "a measurement: run it alone, optimised"]
fn s29_time_for_200_namespaces() {
    let namespaces: Vec<_> = (0..200).map(|_| Namespace::new()).collect();
    for (each, spread) in [(0, 1), (90, 200), (1800, 10)] {
        let _sockets: Vec<_> = namespaces
            .iter()
            .take(spread)
            .map(|namespace| {
                namespace.run(|| {
                    let connect = |_| {
                        let socket = UdpSocket::bind("0.0.0.0:0").unwrap();
                        socket.connect(OTHER4).unwrap();
                        socket
                    };
                    (0..each).map(connect).collect::<Vec<_>>()
                })
            })
            .collect();
        let victims: Vec<_> = namespaces.iter().take(spread).map(|namespace| namespace.connected(BACKEND4)).collect();
        let victims: Vec<_> = victims.iter().collect();
        let mut many: Vec<_> = (1..=100).map(|port| format!("10.78.0.1:{port}")).collect();
        for filtered in [true, false] {
            many.push(BACKEND4.into());
            let addresses: Vec<_> = if filtered { vec![BACKEND4] } else { many.iter().map(String::as_str).collect() };
            for expected in [if filtered { spread } else { 0 }, 0] {
                let start = Instant::now();
                let done = terminate_own(&addresses, &victims);
                println!(
                    "{} sockets in {spread} of 200, filter {filtered}: {:?} {done:?}",
                    each * spread + spread,
                    start.elapsed()
                );
                assert_eq!(done.sockets, expected);
            }
        }
    }
}
