//! Tests of the lab: what its clients and servers report of their sockets.

use std::{
    collections::BTreeMap,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use harness::{
    lab::{Dial, Kind, Lab, Mode, Step, TIMEOUT, Transport},
    scene::expect_by,
};

#[test]
fn failures_have_step_and_name() {
    let lab = Lab::new("errno").unwrap();
    let node = lab.node("a").unwrap();
    let (pod, other) = (node.pod("p1").unwrap(), node.pod("p2").unwrap());
    let client = pod.client().unwrap();
    let closed = (other.v4(), 81);
    let short = |transport, to| client.dial(&Dial::new(transport, to).timeout(Duration::from_millis(50)));
    for (outcome, step, errno) in [
        (client.tcp(closed), Step::Connect, "ECONNREFUSED"),
        (client.tcp((other.v6(), 81)), Step::Connect, "ECONNREFUSED"),
        (client.udp(closed), Step::Receive, "ECONNREFUSED"),
        (short(Transport::Tcp, "10.96.99.99:80".parse().unwrap()), Step::Connect, "ETIMEDOUT"),
        (client.tcp("255.255.255.255:80"), Step::Connect, "ENETUNREACH"),
        (
            client.dial(&Dial::new(Transport::Tcp, closed.into()).bind("10.9.9.9:0".parse().unwrap())),
            Step::Bind,
            "EADDRNOTAVAIL",
        ),
        (short(Transport::UdpUnconnected, closed.into()), Step::Receive, "ETIMEDOUT"),
    ] {
        let failure = outcome.unwrap_err();
        assert_eq!((failure.step, failure.errno.as_str()), (step, errno));
    }
}

#[test]
fn sockets_stay_open_between_steps_and_servers_come_and_go() {
    let lab = Lab::new("sockets").unwrap();
    let node = lab.node("a").unwrap();
    let (p1, p2) = (node.pod("p1").unwrap(), node.pod("p2").unwrap());
    let server = p1.serve(&[80, 81]).unwrap();
    let client = p2.client().unwrap();
    let tcp = client.connect_tcp((p1.v4(), 80)).unwrap();
    let udp = client.open(Kind::Udp4, Some("0.0.0.0:5555".parse().unwrap())).unwrap();
    udp.send_to((p1.v4(), 81), "one").unwrap();
    let answer = udp.receive(TIMEOUT).unwrap();
    assert_eq!(answer.from, Some((p1.v4(), 81).into()));
    assert_eq!(answer.seen_client(), Some((p2.v4(), 5555).into()));
    assert_eq!(udp.names().unwrap().peer, None);

    // Once it answers, the server has accepted the connection. Others end with its listener.
    assert_eq!(tcp.ask("there?").unwrap().backend(), "p1");
    server.stop().unwrap();
    assert_eq!(client.tcp((p1.v4(), 80)).unwrap_err().errno, "ECONNREFUSED");
    assert_eq!(client.udp((p1.v4(), 80)).unwrap_err().errno, "ECONNREFUSED");
    assert_eq!(tcp.ask("still there?").unwrap().backend(), "p1", "an accepted connection stays");
    assert_eq!(tcp.names().unwrap().peer, Some((p1.v4(), 80).into()));
    server.resume().unwrap();
    assert_eq!(client.tcp((p1.v4(), 80)).unwrap().backend(), "p1");

    let mapped = client.tcp("[::ffff:10.244.1.1]:80").unwrap();
    assert_eq!(mapped.peer(), Some("[::ffff:10.244.1.1]:80".parse().unwrap()), "an IPv6 socket");
    drop(server);
    assert_eq!(tcp.receive(TIMEOUT).unwrap_err().errno, "EOF");
}

#[test]
fn a_destroyed_socket_tells_its_process() {
    let lab = Lab::new("destroy").unwrap();
    let pod = lab.node("a").unwrap().pod("p1").unwrap();
    let client = pod.client().unwrap();
    let socket = client.connect_udp("10.244.1.77:53").unwrap();
    let mut destroy = Command::new("ss");
    destroy.args(["--kill", "--udp", "dst", "10.244.1.77"]).stdout(Stdio::null());
    assert!(pod.spawn(destroy).unwrap().wait(Duration::from_secs(5)).unwrap().success());
    assert_eq!(socket.receive(TIMEOUT).unwrap_err().errno, "ECONNABORTED");
}

#[test]
fn many_connections_are_tallied() {
    let lab = Lab::new("tally").unwrap();
    let (a, b) = (lab.node("a").unwrap(), lab.node("b").unwrap());
    let (p1, p2) = (a.pod("p1").unwrap(), b.pod("p2").unwrap());
    let _server = p2.serve(&[80]).unwrap();
    let client = p1.client().unwrap();
    let start = Instant::now();
    assert_eq!(client.tally((p2.v4(), 80), 1000), BTreeMap::from([("p2".to_owned(), 1000)]));
    println!("1000 connections in {:?}", start.elapsed());
    let mut outcomes = client.dial_all(&Dial::new(Transport::Tcp, (p2.v6(), 80).into()).count(1001));
    outcomes.sort_by_key(|outcome| outcome.as_ref().unwrap().connect);
    println!("median connect {:?}", outcomes[500].as_ref().unwrap().connect);
}

#[test]
fn refusals_of_datagrams_are_seen_however_often_they_are_looked_at() {
    let lab = Lab::new("refusals").unwrap();
    let node = lab.node("a").unwrap();
    let (client, other) = (node.pod("p1").unwrap().client().unwrap(), node.pod("p2").unwrap());
    for _ in 0..4 {
        for to in [(other.v4(), 81).into(), (other.v6(), 81).into()] {
            expect_by(&client, Transport::UdpConnected, to, &["ECONNREFUSED"]);
        }
    }
}

#[test]
fn echo_returns_the_bytes() {
    let lab = Lab::new("echo").unwrap();
    let pod = lab.node("a").unwrap().pod("p1").unwrap();
    let _server = pod.serve_at(&[(pod.v4(), 7).into()], Mode::Echo).unwrap();
    let client = pod.client().unwrap();
    assert_eq!(client.tcp((pod.v4(), 7)).unwrap().message.text, "hello");
    assert_eq!(client.udp((pod.v4(), 7)).unwrap().message.text, "hello");
}
