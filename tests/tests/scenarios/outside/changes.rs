//! Services, agents and devices change while clients outside are served: no connection fails.

#![expect(clippy::unwrap_used, reason = "a step that fails fails the test")]

use std::{
    net::{IpAddr, SocketAddr},
    process::Command,
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
    thread,
    time::Duration,
};

use harness::{
    lab::{Client, Dial, Host, Kind, OutsideClient, Socket, Transport},
    scene::{
        Family, NODE_PORT, Outside, Setup, expect, from_outside, from_outside_over_both, over_both, until, web_slice,
    },
};

/// More bytes than are transferred before a backend is removed.
const LONG: u64 = 512 << 20;

/// Repeats connections and datagrams to all of `to` while `work` runs; each must be answered.
fn under_load<T>(host: &OutsideClient, to: &[SocketAddr], work: impl FnOnce() -> T) -> T {
    let (stop, served) = (AtomicBool::new(false), AtomicUsize::new(0));
    let client = host.client().unwrap();
    let load = || {
        while !stop.load(Ordering::Relaxed) {
            for (to, transport) in to.iter().flat_map(|to| [(to, Transport::Tcp), (to, Transport::UdpConnected)]) {
                for outcome in client.dial_all(&Dial::new(transport, *to).count(20)) {
                    outcome.unwrap_or_else(|failure| panic!("{transport:?} to {to}: {failure}"));
                    served.fetch_add(1, Ordering::Relaxed);
                }
            }
        }
    };
    // A round that began before now may still be counted: so the goal is more than one round.
    let await_rounds = || {
        let goal = served.load(Ordering::Relaxed) + 80 * to.len();
        until("answers under load", || served.load(Ordering::Relaxed) >= goal);
    };
    thread::scope(|scope| {
        let load = scope.spawn(load);
        let ends = StopAtEnd(&stop);
        await_rounds();
        let value = work();
        await_rounds();
        drop(ends);
        load.join().unwrap();
        value
    })
}

/// Ends the load, also when the work panics.
struct StopAtEnd<'a>(&'a AtomicBool);

impl Drop for StopAtEnd<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// A connection to `to` that `name` has answered.
fn open<'a>(client: &'a Client, to: SocketAddr, name: &str) -> Socket<'a> {
    let find = || {
        let socket = client.connect_tcp(to).unwrap();
        (socket.ask("who").unwrap().backend() == name).then_some(socket)
    };
    (0..200).find_map(|_| find()).expect("one backend in two answers within 200 connections")
}

#[test]
fn s29_connections_to_a_removed_backend_drain_and_datagrams_move() {
    from_outside_over_both("removed", |outside, family| {
        let (near, far) = (outside.scene.pod(1), &outside.remote);
        let to = outside.node_port(family);
        for (gone, stays) in [(near, far), (far, near)] {
            outside.serve(family, &outside.web(family), &[gone]);
            expect(&outside.client, to, &[gone.name()]);
            let datagrams = outside.client.open(if to.is_ipv4() { Kind::Udp4 } else { Kind::Udp6 }, None).unwrap();
            let answer = || {
                datagrams.send_to(to, "who").unwrap();
                datagrams.receive(Duration::from_secs(2)).map(|message| message.backend().to_owned())
            };
            assert_eq!(answer().unwrap(), gone.name());
            outside.serve_by(family, &[near, far]);
            expect(&outside.client, to, &[near.name(), far.name()]);
            assert_eq!(answer().unwrap(), gone.name(), "a flow stays");
            let connection = open(&outside.client, to, gone.name());
            under_load(&outside.host, &[to], || {
                outside.serve_by(family, &[stays]);
                until("the datagrams move", || answer().is_ok_and(|name| name == stays.name()));
            });
            expect(&outside.client, to, &[stays.name()]);
            assert_eq!(connection.ask("still").unwrap().backend(), gone.name(), "a connection drains");
        }
        outside.scene.delete("Service", "web");
    });
}

#[test]
fn s29_a_transfer_goes_on_while_its_backend_is_removed() {
    from_outside_over_both("drained", |outside, family| {
        let (near, far) = (outside.scene.pod(1), &outside.remote);
        let to = outside.node_port(family);
        let newcomer = outside.host.client().unwrap();
        for (gone, stays) in [(near, far), (far, near)] {
            outside.serve_echo(family, gone);
            thread::scope(|scope| {
                let transfer = scope.spawn(|| outside.client.bulk(to, None, LONG));
                let known = || Command::new("ss").args(["-Htn", "state", "established"]).output();
                let connected = |host: &Host| {
                    let output = host.netns().inside(known).unwrap().unwrap();
                    String::from_utf8_lossy(&output.stdout).contains(":9000 ")
                };
                until("the transfer's connection", || connected(gone));
                outside.scene.waggle.settle(|| outside.echo_by(family, stays)).unwrap();
                for _ in 0..10 {
                    newcomer.tcp(to).unwrap();
                }
                assert!(connected(gone) && !connected(stays) && !transfer.is_finished(), "it is under way");
                transfer.join().unwrap().unwrap();
            });
        }
        outside.scene.delete("Service", "web");
    });
}

/// Gives the node and the client outside a second wire, with addresses that the node serves node ports on.
fn add_device(outside: &Outside) {
    let (node, client) = (outside.scene.node.netns(), outside.host.netns());
    let pair = format!("link add name eth1 type veth peer name eth1 netns {}", client.name());
    node.batch(&[pair]).unwrap();
    client.batch(&device_commands(2)).unwrap();
    node.batch(&device_commands(1)).unwrap();
    outside.scene.lab.finish_wire((node, "eth1"), (client, "eth1")).unwrap();
}

fn device_commands(number: u8) -> [String; 3] {
    [
        format!("address add 192.0.2.{number}/24 dev eth1"),
        format!("address add fd00:52::{number}/64 dev eth1 nodad"),
        "link set dev eth1 up".to_owned(),
    ]
}

fn second(family: Family) -> SocketAddr {
    let address: IpAddr = match family {
        Family::Ipv4 => "192.0.2.1".parse().unwrap(),
        Family::Ipv6 => "fd00:52::1".parse().unwrap(),
    };
    SocketAddr::new(address, NODE_PORT)
}

const EVERYWHERE: [&str; 2] = ["--nodeport-addresses", "192.0.0.0/8,fd00::/16"];

#[test]
fn s19_a_device_that_comes_is_served_and_one_that_goes_breaks_nothing() {
    from_outside(Setup::new("device").args(EVERYWHERE), |outside| {
        over_both(|family| {
            outside.serve(family, &outside.web(family), &[outside.scene.pod(1), &outside.remote]);
            let to = outside.node_port(family);
            expect(&outside.client, to, &["p1", "far"]);
            under_load(&outside.host, &[to], || {
                add_device(outside);
                expect(&outside.client, second(family), &["p1", "far"]);
                outside.scene.node.netns().batch(&["link del eth1".into()]).unwrap();
            });
            outside.scene.delete("Service", "web");
        });
    });
}

#[test]
fn s19_an_address_that_comes_serves_node_ports() {
    from_outside(Setup::new("address").args(EVERYWHERE), |outside| {
        over_both(|family| {
            outside.serve(family, &outside.web(family), &[outside.scene.pod(1), &outside.remote]);
            let old = outside.node_port(family);
            expect(&outside.client, old, &["p1", "far"]);
            let (address, new) = match family {
                Family::Ipv4 => ("192.168.50.77/24", "192.168.50.77"),
                Family::Ipv6 => ("fd00:50::77/64", "fd00:50::77"),
            };
            let new = SocketAddr::new(new.parse().unwrap(), NODE_PORT);
            let netns = outside.scene.node.netns();
            under_load(&outside.host, &[old], || {
                netns
                    .batch(&[format!("address add {address} dev eth0{}", if new.is_ipv6() { " nodad" } else { "" })])
                    .unwrap();
                expect(&outside.client, new, &["p1", "far"]);
            });
            under_load(&outside.host, &[old, new], || ());
            netns.batch(&[format!("address del {address} dev eth0")]).unwrap();
            outside.scene.delete("Service", "web");
        });
    });
}

#[test]
fn s31_an_agent_that_is_killed_and_started_again_fails_no_connection() {
    from_outside("killed", |outside| {
        let frontends: Vec<_> = Family::BOTH.into_iter().map(|family| outside.node_port(family)).collect();
        let service = outside.web(Family::Ipv4);
        outside.scene.put(&service.cluster_ip(&Family::Ipv6.cluster_ip(1).to_string()).build());
        for family in Family::BOTH {
            let slice = web_slice("web", family).name(&family.name("web"));
            outside.scene.put(&slice.pod(outside.scene.pod(1)).pod(&outside.remote).build());
            expect(&outside.client, outside.node_port(family), &["p1", "far"]);
        }
        let connections: Vec<_> = frontends
            .iter()
            .flat_map(|to| ["p1", "far"].map(|name| (open(&outside.client, *to, name), name)))
            .collect();
        under_load(&outside.host, &frontends, || {
            for _ in 0..3 {
                outside.scene.waggle.kill().unwrap();
                outside.scene.waggle.restart().unwrap();
            }
        });
        for (connection, name) in connections {
            assert_eq!(connection.ask("still").unwrap().backend(), name);
        }
    });
}
