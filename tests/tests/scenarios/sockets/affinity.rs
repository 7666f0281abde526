//! Session affinity (S24, S25), with real agents and sockets.

#![expect(clippy::unwrap_used, reason = "a step that fails fails the test")]

use std::{collections::BTreeSet, fs, net::SocketAddr, sync::Barrier, thread};

use harness::{
    lab::{Client, Dial, Pod, Transport},
    objects::{ServiceBuilder, SliceBuilder},
    scene::{Scene, Setup, cluster_ips, dual, until},
    test_run::{age_clients, open},
};
use proxy_userspace::maps::PinFolder;
use serde_json::Value;

/// The number of ports of the Service. Each port chooses for each family: of the 16 choices among four backends, two
/// sets are equal by chance once in four thousand million times.
const PORT_COUNT: u16 = 8;

/// A timeout that is long for every machine, but shorter than this one's uptime: the programs' clock starts at boot, so
/// no client can have been away for longer.
fn long() -> u32 {
    let uptime = fs::read_to_string("/proc/uptime").unwrap();
    let (seconds, _) = uptime.split_once('.').unwrap();
    seconds.parse::<u32>().unwrap().min(1200) / 2
}

/// The Service without affinity.
fn many_ports() -> ServiceBuilder {
    (0..PORT_COUNT)
        .fold(dual("web", 10), |service, port| service.named_port(&format!("p{port}"), "TCP", 80 + port, 8080))
}

/// Four backends, this Service, and the agent.
fn scene(name: &str, service: &ServiceBuilder) -> Scene {
    let mut scene = Setup::new(name).backends(4).object(service.build()).build();
    list(&scene, &scene.pods.iter().collect::<Vec<_>>());
    scene.start();
    scene
}

/// A client in another pod than the scene's.
fn second_client(scene: &Scene) -> Client {
    let [pod] = scene.add_pods(["second"]);
    pod.client().unwrap()
}

/// Makes these the Service's backends, and waits until each port has as many.
fn change_list(scene: &Scene, backends: &[&Pod]) {
    list(scene, backends);
    until("every port has these backends", || {
        let rows = scene.get("services");
        let listed = |row: &Value, pod: &Pod| {
            let text = row["internal"]["backends"].to_string();
            pod.addresses().iter().any(|ip| text.contains(&format!("\"{}\"", SocketAddr::new(*ip, 8080))))
        };
        let complete = |row| {
            let count = row_backends(row);
            count == backends.len() && backends.iter().all(|pod| listed(row, pod))
        };
        rows.as_array().unwrap().iter().all(complete)
    });
}

fn row_backends(row: &Value) -> usize {
    row["internal"]["backends"].as_array().unwrap().len()
}

/// Makes these the Service's backends on all its ports.
fn list(scene: &Scene, backends: &[&Pod]) {
    let ports = |slice| {
        (0..PORT_COUNT).fold(slice, |slice: SliceBuilder, port| {
            slice.named_port(&format!("p{port}"), "TCP", 8080).named_port(&format!("u{port}"), "UDP", 8080)
        })
    };
    scene.endpoints("web", ports, backends);
}

fn frontends() -> Vec<SocketAddr> {
    (0..PORT_COUNT).flat_map(|port| cluster_ips(10, 80 + port)).collect()
}

/// The backends of this client on every port and family, with one connection each.
fn choices(client: &Client) -> Vec<String> {
    frontends().iter().map(|to| client.tcp(to).unwrap().backend().to_owned()).collect()
}

/// The backends that answered `count` connections.
fn answered(client: &Client, to: SocketAddr, count: usize) -> BTreeSet<String> {
    client.tally(to, count).into_keys().collect()
}

#[test]
fn s24_a_client_keeps_one_backend_on_each_port() {
    let scene = scene("affinity", &many_ports().client_ip_affinity(None));
    let (one, two) = (&scene.from_pod, &second_client(&scene));
    let first = choices(one);
    for (to, backend) in frontends().into_iter().zip(&first) {
        assert_eq!(answered(one, to, 100), BTreeSet::from([backend.clone()]), "{to}");
    }
    assert!(first.iter().collect::<BTreeSet<_>>().len() > 1, "ports choose for themselves");
    // S25: a client is a network namespace.
    let sibling = scene.client.client().unwrap();
    assert_eq!(choices(&sibling), first, "two processes of one pod are one client");
    assert_ne!(choices(two), first, "two pods are two clients");
}

#[test]
fn s24_frontends_of_a_port_share_the_choice() {
    let service = (0..PORT_COUNT).fold(dual("web", 10).client_ip_affinity(None), |service, port| {
        service.named_port(&format!("p{port}"), "TCP", 80 + port, 8080).node_port(30080 + port)
    });
    let service = service.kind("LoadBalancer").external_ip("203.0.113.7").external_ip("fd00:113::7");
    let scene = scene("frontends", &service.load_balancer_ip("203.0.113.8").load_balancer_ip("fd00:113::8"));
    let host = scene.node.client().unwrap();
    let node = scene.node.addresses();
    for (client, loopback) in [(&*scene.from_pod, false), (&host, true)] {
        for port in 0..PORT_COUNT {
            for (family, internal) in cluster_ips(10, 80 + port).into_iter().enumerate() {
                let backend = client.tcp(internal).unwrap().backend().to_owned();
                let outside = [["203.0.113.7", "fd00:113::7"][family], ["203.0.113.8", "fd00:113::8"][family]];
                let mut others = outside.map(|ip| SocketAddr::new(ip.parse().unwrap(), 80 + port)).to_vec();
                others.push(SocketAddr::new(node[family], 30080 + port));
                if loopback {
                    let own = ["127.0.0.1", "::1"][family].parse().unwrap();
                    others.push(SocketAddr::new(own, 30080 + port));
                }
                for to in others {
                    assert_eq!(answered(client, to, 5), BTreeSet::from([backend.clone()]), "{to}");
                }
            }
        }
    }
}

#[test]
fn s24_expires_after_the_last_new_connection() {
    let timeout = long();
    let scene = scene("expiry", &many_ports().client_ip_affinity(Some(timeout)));
    let mut remembered = open(&PinFolder::new(&scene.node.instance()), "AFFINITY").unwrap();
    let client = &scene.from_pod;
    let first = choices(client);
    let established = client.connect_tcp(frontends()[0]).unwrap();
    for _ in 0..3 {
        age_clients(&mut remembered, (timeout * 2 / 3).into());
        assert_eq!(choices(client), first, "every new connection restarts the timeout");
    }
    for _ in 0..2 {
        age_clients(&mut remembered, (timeout * 2 / 3).into());
        established.ask("an established connection is no new one").unwrap();
    }
    assert_ne!(choices(client), first);
}

#[test]
fn s24_a_backend_that_leaves_loses_its_clients_for_good() {
    let scene = scene("leaves", &many_ports().client_ip_affinity(None));
    let client = &scene.from_pod;
    let (p1, p2) = (scene.pod(1), scene.pod(2));
    change_list(&scene, &[p1]);
    assert!(choices(client).iter().all(|backend| backend == "p1"));
    change_list(&scene, &[p1, p2]);
    assert!(choices(client).iter().all(|backend| backend == "p1"), "a backend that is there keeps its clients");
    change_list(&scene, &[p2]);
    assert!(choices(client).iter().all(|backend| backend == "p2"));
    change_list(&scene, &[p1, p2]);
    assert!(choices(&second_client(&scene)).contains(&"p1".to_owned()), "new clients find it again");
    for to in frontends() {
        assert_eq!(answered(client, to, 20), BTreeSet::from(["p2".to_owned()]), "{to}: clients don't go back");
    }
}

#[test]
fn s24_is_switched_and_changed_live() {
    let scene = scene("switched", &many_ports());
    let client = &scene.from_pod;
    let everybody = |to| answered(client, to, 60).len() == 4;
    let none_moves = || frontends().into_iter().all(|to| answered(client, to, 10).len() == 1);
    assert!(frontends().into_iter().all(everybody), "no affinity");
    scene.put(&many_ports().client_ip_affinity(None).build());
    until("affinity on", none_moves);
    let kept = choices(client);
    assert_eq!(choices(client), kept);
    scene.put(&many_ports().build());
    until("affinity off", || frontends().into_iter().all(everybody));
    scene.put(&many_ports().client_ip_affinity(None).build());
    until("affinity on again", none_moves);

    let kept = choices(client);
    let change_timeout = |seconds| {
        scene.put(&many_ports().client_ip_affinity(Some(seconds)).build());
        until("the changed time is in force", || {
            scene.get("services").to_string().matches(&format!("\"affinitySeconds\":{seconds},")).count() == 16
        });
    };
    change_timeout(3600);
    assert_eq!(choices(client), kept, "a changed timeout moves no client");
    let mut remembered = open(&PinFolder::new(&scene.node.instance()), "AFFINITY").unwrap();
    let timeout = long();
    change_timeout(timeout);
    age_clients(&mut remembered, (timeout + 1).into());
    assert_ne!(choices(client), kept, "the shorter timeout is in force");
    change_timeout(86400);
    let kept = choices(client);
    age_clients(&mut remembered, (timeout + 1).into());
    assert_eq!(choices(client), kept, "the longer timeout is in force");
}

#[test]
fn s24_holds_for_udp() {
    let service = (0..PORT_COUNT).fold(dual("web", 10).client_ip_affinity(None), |service, port| {
        service.named_port(&format!("u{port}"), "UDP", 80 + port, 8080)
    });
    let scene = scene("udp", &service);
    let (one, two) = (&scene.from_pod, &second_client(&scene));
    let ask = |client: &Client, to, transport, count| -> BTreeSet<String> {
        let outcomes = client.dial_all(&Dial::new(transport, to).count(count));
        outcomes.into_iter().map(|outcome| outcome.unwrap().backend().to_owned()).collect()
    };
    let mut chosen = [Vec::new(), Vec::new()];
    for to in frontends() {
        let connected = ask(one, to, Transport::UdpConnected, 50);
        assert_eq!(connected.len(), 1, "{to}");
        assert_eq!(ask(one, to, Transport::UdpUnconnected, 50), connected, "{to}: however it is sent");
        chosen[0].extend(connected);
        chosen[1].extend(ask(two, to, Transport::UdpConnected, 1));
    }
    assert_ne!(chosen[0], chosen[1], "two pods are two clients");
}

#[test]
fn s24_concurrent_first_connections_agree() {
    let scene = scene("race", &many_ports().client_ip_affinity(None));
    let clients: Vec<_> = (0..6).map(|_| scene.client.client().unwrap()).collect();
    let barrier = Barrier::new(clients.len());
    for to in frontends() {
        let answers: BTreeSet<_> = thread::scope(|scope| {
            let dial = |client| {
                barrier.wait();
                answered(client, to, 3)
            };
            let threads: Vec<_> = clients.iter().map(|client| scope.spawn(move || dial(client))).collect();
            threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
        });
        assert_eq!(answers.len(), 1, "{to}: {answers:?}");
    }
}
