//! Unconnected UDP flows (S29), with real agents and sockets.

#![expect(clippy::unwrap_used, reason = "a step that fails fails the test")]

use std::{
    collections::BTreeSet,
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use harness::{
    lab::{Kind, Message, Pod, Server, Socket, TIMEOUT},
    objects::SliceBuilder,
    scene::{Scene, Setup, cluster_ips, dual, slices, until},
};

/// How long an answer may take.
const SOON: Duration = Duration::from_secs(2);

/// Two sockets of a pod, one a family, with source port 5555.
fn fixed(client: &harness::lab::Client) -> [Socket<'_>; 2] {
    ["0.0.0.0:5555", "[::]:5555"].map(|bind| {
        let bind: SocketAddr = bind.parse().unwrap();
        client.open(if bind.is_ipv4() { Kind::Udp4 } else { Kind::Udp6 }, Some(bind)).unwrap()
    })
}

/// The answer to one datagram, if it comes soon. Late answers to earlier datagrams are discarded.
fn ask(socket: &Socket, to: SocketAddr) -> Result<Message, String> {
    socket.send_to(to, "question").map_err(|failure| failure.errno)?;
    let answer = socket.receive(SOON).map_err(|failure| failure.errno)?;
    assert_eq!(answer.from, Some(to), "the frontend answers, not the backend");
    Ok(answer)
}

/// Waits for an answer that satisfies the condition.
fn ask_until(what: &str, socket: &Socket, to: SocketAddr, wanted: impl Fn(&Message) -> bool) -> Message {
    let mut last = Err(String::new());
    until(what, || {
        last = ask(socket, to);
        last.as_ref().is_ok_and(&wanted)
    });
    last.unwrap()
}

fn server_of<'a>(servers: &'a [Server], name: &str) -> &'a Server {
    servers.iter().find(|server| server.name() == name).unwrap()
}

/// A Service `dns` and as many servers, none of which is its backend yet.
fn dns(name: &str, servers: usize) -> Scene {
    Setup::new(name).backends(servers).serving(&[5353]).object(dual("dns", 10).udp_port(53, 5353).build()).build()
}

/// Makes these the backends of `dns`.
fn list(scene: &Scene, backends: &[&Pod]) {
    scene.endpoints("dns", |slice| slice.udp_port(5353), backends);
}

#[test]
fn s29_a_flow_keeps_its_backend_until_that_leaves() {
    let mut scene = dns("flow", 4);
    list(&scene, &scene.pods.iter().collect::<Vec<_>>());
    scene.start();
    for (socket, to) in fixed(&scene.from_pod).iter().zip(cluster_ips(10, 53)) {
        let first = ask(socket, to).unwrap().backend().to_owned();
        for _ in 0..30 {
            assert_eq!(ask(socket, to).unwrap().backend(), first, "one backend for the flow");
        }
        let rest: Vec<_> = scene.pods.iter().filter(|pod| pod.name() != first).collect();
        server_of(&scene.servers, &first).stop().unwrap();
        list(&scene, &rest);
        let second = ask_until("the flow has moved", socket, to, |_| true).backend().to_owned();
        assert_ne!(second, first);
        for _ in 0..30 {
            assert_eq!(ask(socket, to).unwrap().backend(), second, "one backend again");
        }
        server_of(&scene.servers, &first).resume().unwrap();
        list(&scene, &scene.pods.iter().collect::<Vec<_>>());
        until("the backend is back", || scene.get("services").to_string().matches(":5353").count() == 16);
        assert_eq!(ask(socket, to).unwrap().backend(), second, "a flow does not go back");
    }
}

/// A backend that terminates keeps its flows and connected sockets as long as it serves; new flows go elsewhere (KEP-5989).
#[test]
fn w12_a_terminating_backend_keeps_its_flows_as_long_as_it_serves() {
    let mut scene = dns("leaving", 2);
    list(&scene, &[scene.pod(1)]);
    scene.start();
    let client = &scene.from_pod;
    let (sockets, connected) = (fixed(client), cluster_ips(10, 53).map(|to| client.connect_udp(to).unwrap()));
    let all_on = |backend: &str| {
        for ((socket, connected), to) in sockets.iter().zip(&connected).zip(cluster_ips(10, 53)) {
            assert_eq!(ask(socket, to).unwrap().backend(), backend);
            assert_eq!(connected.ask("who").unwrap().backend(), backend);
        }
    };
    let put = |leaves: fn(SliceBuilder) -> SliceBuilder| {
        for slice in slices("dns", |slice| slice.udp_port(5353), &[scene.pod(2), scene.pod(1)]) {
            scene.put(&leaves(slice).build());
        }
    };
    all_on("p1");
    put(SliceBuilder::draining);
    let is_new_elsewhere = || cluster_ips(10, 53).iter().all(|to| client.udp(*to).unwrap().backend() == "p2");
    until("new flows go elsewhere", is_new_elsewhere);
    for _ in 0..10 {
        assert!(is_new_elsewhere(), "none comes back");
        all_on("p1");
    }
    put(|slice| slice.draining().serving(false));
    for ((socket, connected), to) in sockets.iter().zip(&connected).zip(cluster_ips(10, 53)) {
        ask_until("the flow leaves the backend that serves no more", socket, to, |answer| answer.backend() == "p2");
        let is_ended = || connected.receive(SOON).is_err_and(|failure| failure.errno == "ECONNABORTED");
        until("the connected socket is aborted", is_ended);
    }
}

#[test]
fn s29_a_flow_that_began_too_early_is_answered_later() {
    let mut scene = dns("early", 1);
    scene.start();
    let sockets = fixed(&scene.from_pod);
    for (socket, to) in sockets.iter().zip(cluster_ips(10, 53)) {
        assert_eq!(ask(socket, to).unwrap_err(), "ECONNREFUSED", "no backend yet");
    }
    for (socket, to) in sockets.iter().zip(cluster_ips(11, 53)) {
        assert_eq!(ask(socket, to).unwrap_err(), "EHOSTUNREACH", "no Service yet");
    }
    list(&scene, &[scene.pod(1)]);
    scene.endpoints("late", |slice| slice.udp_port(5353), &[scene.pod(1)]);
    scene.put(&dual("late", 11).udp_port(53, 5353).build());
    for (socket, to) in sockets.iter().zip(cluster_ips(10, 53)).chain(sockets.iter().zip(cluster_ips(11, 53))) {
        until("the first backend", || socket.send_to(to, "question").is_ok());
        assert_eq!(socket.receive(TIMEOUT).unwrap().backend(), "p1");
    }
}

#[test]
fn s29_a_flow_follows_its_target_port() {
    let mut scene = Setup::new("target").backends(1).serving(&[5001, 5002]).build();
    scene.put(&dual("dns", 10).udp_port(53, 5001).build());
    scene.endpoints("dns", |slice| slice.udp_port(5001), &[scene.pod(1)]);
    scene.start();
    let sockets = fixed(&scene.from_pod);
    for (socket, to) in sockets.iter().zip(cluster_ips(10, 53)) {
        assert!(ask(socket, to).unwrap().text.contains(":5001 "));
    }
    scene.put(&dual("dns", 10).udp_port(53, 5002).build());
    scene.endpoints("dns", |slice| slice.udp_port(5002), &[scene.pod(1)]);
    for (socket, to) in sockets.iter().zip(cluster_ips(10, 53)) {
        ask_until("the other port", socket, to, |answer| answer.text.contains(":5002 "));
    }
}

#[test]
fn s29_one_socket_talks_to_many_services() {
    const SERVICES: u8 = 50;
    let ports: Vec<u16> = (0..u16::from(SERVICES)).map(|number| 5000 + number).collect();
    let mut scene = Setup::new("many").backends(1).serving(&ports).build();
    for (number, port) in (1..=SERVICES).zip(&ports) {
        let name = format!("dns{number}");
        scene.put(&dual(&name, number).udp_port(53, *port).build());
        scene.endpoints(&name, |slice| slice.udp_port(*port), &[scene.pod(1)]);
    }
    scene.start();
    let sockets = fixed(&scene.from_pod);
    for round in 0..3 {
        for (number, port) in (1..=SERVICES).zip(&ports) {
            for (socket, to) in sockets.iter().zip(cluster_ips(number, 53)) {
                // `ask` compares the shown address with the dialled one.
                let answer = ask(socket, to).unwrap();
                assert!(answer.text.contains(&format!(":{port} ")), "round {round}: {to} {answer:?}");
            }
        }
    }
    // All questions are sent first, then all answers are received: each comes from the frontend that was asked.
    for (family, socket) in sockets.iter().enumerate() {
        let asked: BTreeSet<_> = (1..=SERVICES).map(|number| cluster_ips(number, 53)[family]).collect();
        for to in &asked {
            socket.send_to(to, "question").unwrap();
        }
        let answers: BTreeSet<_> = asked.iter().map(|_| socket.receive(TIMEOUT).unwrap().from.unwrap()).collect();
        assert_eq!(answers, asked);
    }
    // Every flow still follows its own Service's changes.
    scene.endpoints("dns7", |slice| slice.udp_port(5000 + 40), &[scene.pod(1)]);
    for (socket, to) in sockets.iter().zip(cluster_ips(7, 53)) {
        let follows = |answer: &Message| answer.text.contains(":5040 ");
        until("the seventh Service's change", || {
            socket.send_to(to, "question").unwrap();
            socket.receive(TIMEOUT).is_ok_and(|answer| follows(&answer))
        });
    }
}

#[test]
fn s29_two_frontends_of_one_backend_answer_in_turn() {
    let mut scene = Setup::new("shared").backends(2).serving(&[5353]).build();
    for (name, number, pod) in [("dns1", 10, 1), ("dns2", 11, 1), ("dns3", 12, 2), ("dns4", 13, 2)] {
        scene.put(&dual(name, number).udp_port(53, 5353).build());
        scene.endpoints(name, |slice| slice.udp_port(5353), &[scene.pod(pod)]);
    }
    scene.start();
    for (family, socket) in fixed(&scene.from_pod).iter().enumerate() {
        for number in [10, 11, 10, 12, 11, 13, 12, 13, 10, 12, 11] {
            // `ask` compares the shown address with the one dialled last.
            ask(socket, cluster_ips(number, 53)[family]).unwrap();
        }
    }
}

#[test]
fn s29_a_backends_own_address_answers_under_its_own_name() {
    let mut scene = dns("own", 1);
    list(&scene, &[scene.pod(1)]);
    scene.start();
    for (family, socket) in fixed(&scene.from_pod).iter().enumerate() {
        let own: IpAddr = scene.pod(1).addresses()[family];
        ask(socket, SocketAddr::new(own, 5353)).unwrap();
        assert_eq!(ask(socket, cluster_ips(10, 53)[family]).unwrap().backend(), "p1");
    }
}

#[test]
fn s29_ipv4_on_an_ipv6_socket_is_a_flow_like_others() {
    let mut scene = dns("mapped", 4);
    list(&scene, &scene.pods.iter().collect::<Vec<_>>());
    scene.start();
    let socket = scene.from_pod.open(Kind::Udp6, Some("[::]:5555".parse().unwrap())).unwrap();
    let to = "[::ffff:10.96.0.10]:53".parse().unwrap();
    let first = ask(&socket, to).unwrap().backend().to_owned();
    for _ in 0..20 {
        assert_eq!(ask(&socket, to).unwrap().backend(), first);
    }
    let rest: Vec<_> = scene.pods.iter().filter(|pod| pod.name() != first).collect();
    list(&scene, &rest);
    ask_until("the flow has moved", &socket, to, |answer| answer.backend() != first);
    // One socket with both families.
    ask(&socket, cluster_ips(10, 53)[1]).unwrap();
    ask(&socket, to).unwrap();
}
