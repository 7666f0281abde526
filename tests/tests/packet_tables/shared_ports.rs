//! Source ports that the host itself uses for the same backend are not taken (S28). The host's own ports are shared
//! with its sockets where there are no others, and netfilter masquerades from any port.

use std::net::UdpSocket;

use harness::{
    packet::{Packet, tcp, udp},
    scene::Family,
    test_run::{BenchNode, Device, Hook, Row, check_rows, egress, ingress, places::*, row},
};
use socket2::{Domain, Protocol as Transport, Socket, Type};

use super::*;

/// Another backend than BACKEND.
const BESIDE_IT: End = REMOTE_OTHER.at(8080);

#[test]
fn w02_ports_of_masqueraded_connections_are_not_taken() {
    let changed = |name, packet: Packet, service: Service, as_sent: Packet| {
        row(name, ingress(packet))
            .serving(service)
            .after([egress(as_sent.clone())])
            .leaves_from_any_port_as(as_sent.ttl(63))
            .counts(&OPENED_CHANGED)
    };
    let kept = |name, before: Packet| {
        row(name, ingress(udp(FROM, NODE_PORT)))
            .serving(dns())
            .after([egress(before)])
            .leaves_as(udp(SNAT, BACKEND).ttl(63))
            .counts(&OPENED)
    };
    let rows: Vec<Row> = vec![
        changed("w02_tcp", tcp(FROM, NODE_PORT).syn(), web(), tcp(SNAT, BACKEND).syn()),
        changed("w02_udp", udp(FROM, NODE_PORT), dns(), udp(SNAT, BACKEND)),
        kept("w02_to_another_backend", udp(SNAT, BESIDE_IT)),
        kept("w02_to_another_port", udp(SNAT, REMOTE.at(8081))),
        kept("w02_from_another_port", udp(NODE.at(20_003), BACKEND)),
        kept("w02_by_another_protocol", tcp(SNAT, BACKEND).syn()),
        row("w02_a_connection_to_a_backend_is_noted", egress(tcp(SNAT, BACKEND).syn())).serving(web()).flows(0, 1),
        row("w02_its_other_packets_are_not", egress(tcp(SNAT, BACKEND).data())).serving(web()).flows(0, 0),
        row("w02_one_to_no_service_is_not", egress(tcp(SNAT, CLIENT.at(80)).syn())).serving(web()).flows(0, 0),
        row("w02_one_from_an_ephemeral_port_is_not", egress(tcp(NODE.at(40_000), BACKEND).syn()))
            .serving(web())
            .flows(0, 0),
        row("w02_its_answer_passes", ingress(tcp(BACKEND, SNAT).syn_ack())).serving(web()).after([
            ingress(tcp(FROM, NODE_PORT).syn()),
            Step::Expire,
            egress(tcp(SNAT, BACKEND).syn()),
        ]),
        // A packet that TC forwards passes this hook, too.
        row("w02_what_is_forwarded_is_not_noted", egress(udp(SNAT, BACKEND)))
            .serving(dns())
            .after(exchange())
            .flows(0, 2),
    ];
    check_rows(rows);
}

/// A socket of the node that is connected or connecting.
fn connected(node: &BenchNode, kind: Type, from: End, to: End, family: Family) -> Socket {
    node.inside(|| {
        let (domain, transport) = match (family, kind) {
            (Family::Ipv4, Type::STREAM) => (Domain::IPV4, Transport::TCP),
            (Family::Ipv6, Type::STREAM) => (Domain::IPV6, Transport::TCP),
            (Family::Ipv4, _) => (Domain::IPV4, Transport::UDP),
            (Family::Ipv6, _) => (Domain::IPV6, Transport::UDP),
        };
        let socket = Socket::new(domain, kind, Some(transport)).expect("make a socket");
        socket.set_nonblocking(true).expect("make it nonblocking");
        socket.bind(&from.socket(family).into()).expect("bind it");
        // No host answers here, so a stream stays in SYN-SENT.
        let outcome = socket.connect(&to.socket(family).into());
        assert!(
            outcome.as_ref().err().is_none_or(|error| error.raw_os_error() == Some(libc::EINPROGRESS)),
            "{outcome:?}"
        );
        socket
    })
}

/// The source port that a client's first packet gets.
fn port_of(node: &mut BenchNode, hook: Hook, packet: &Packet, family: Family) -> u16 {
    node.state().forget();
    let (_, out) = node.run(hook, Device::Uplink, packet, family);
    harness::packet::check::check(&out).expect("a whole packet").ports.expect("with ports").0
}

#[test]
fn w02_ports_of_sockets_are_not_taken() {
    let shared = shared();
    let mut node = shared.lock();
    node.serve(&[web(), dns().named("dns")]);
    node.keep_ports("1024 65535", "");
    for (family, hook) in [Family::Ipv4, Family::Ipv6].into_iter().flat_map(|f| [(f, Hook::Xdp), (f, Hook::TcIngress)])
    {
        let packets = [(Type::STREAM, tcp(FROM, NODE_PORT).syn()), (Type::DGRAM, udp(FROM, NODE_PORT))];
        for (kind, packet) in packets {
            let what = format!("{kind:?} {family:?} {hook:?}");
            assert_eq!(port_of(&mut node, hook, &packet, family), FROM.port, "{what}: no socket has it");
            let socket = connected(&node, kind, SNAT, BESIDE_IT, family);
            assert_eq!(port_of(&mut node, hook, &packet, family), FROM.port, "{what}: for another backend");
            drop(socket);
            let socket = connected(&node, kind, SNAT, BACKEND, family);
            assert_ne!(port_of(&mut node, hook, &packet, family), FROM.port, "{what}: for the same backend");
            drop(socket);
        }
        let _waits = node.inside(|| UdpSocket::bind(SNAT.socket(family)).unwrap());
        let datagram = udp(FROM, NODE_PORT);
        assert_ne!(port_of(&mut node, hook, &datagram, family), FROM.port, "it may wait for a reply from any address");
    }
}

#[test]
fn w02_every_flow_finds_a_port_whatever_the_host_keeps() {
    const CLIENTS: u16 = 300;
    let shared = shared();
    let mut node = shared.lock();
    node.serve(&[web()]);
    for (range, reserved) in [
        ("1024 65535", ""),
        ("2048 65535", ""),
        ("1024 65000", ""),
        ("10240 65535", ""),
        ("32768 60999", "1024-32767,61000-65535"),
        ("32768 60999", "61000-65535,1024-28671"),
    ] {
        node.keep_ports(range, reserved);
        for (family, hook) in [(Family::Ipv4, Hook::Xdp), (Family::Ipv6, Hook::TcIngress)] {
            node.state().forget();
            let before = node.state().counts();
            for client in 0..CLIENTS {
                node.run(hook, Device::Uplink, &tcp(CLIENT.at(1024 + client * 211), NODE_PORT).syn(), family);
            }
            let counts = node.state().counts_since(&before);
            let opened = counts.get(&Counter::FlowOpened).copied();
            assert_eq!(opened, Some(CLIENTS.into()), "{range:?} {reserved:?} {family:?}: {counts:?}");
            assert_eq!(counts.get(&Counter::DropSnatPortsExhausted), None, "{range:?} {reserved:?} {family:?}");
        }
    }
}
