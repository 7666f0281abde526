//! Packets that belong to no Service although a Service has their address and port (S39): replies to packets that the node has
//! sent from there, or that netfilter has masqueraded.

use std::net::UdpSocket;

use harness::{
    packet::{ErrorKind, Packet, icmp_error, sctp, tcp, udp},
    scene::Family,
    test_run::{Action, Device, Hook, Row, check_rows, egress, ingress, places::*, row},
};

use super::*;

/// A server outside that the node sends requests to.
const SERVER: End = CLIENT.at(9000);
/// A frontend at an address that the node has, but that has no node ports.
const SHARED: End = NODE_OTHER.at(80);
/// A frontend at an address that the node does not have.
const FLOATING: End = EXTERNAL.at(80);

/// A Service with a node port and with frontends at these two addresses, by any protocol.
fn served(protocol: Protocol) -> Service {
    web().external_ip(NODE_OTHER).protocol(protocol)
}

/// The packet passes untouched.
fn passes(name: &'static str, protocol: Protocol, packet: Packet, before: Vec<Step>) -> Row {
    row(name, ingress(packet)).serving(served(protocol)).after(before)
}

#[test]
fn w03_tcp_that_opens_nothing_is_the_stacks_at_its_own_addresses() {
    let answer = |name, packet| passes(name, Protocol::Tcp, packet, vec![]).flows(0, 0);
    let (to_node_port, to_shared) = (|| tcp(SERVER, NODE_PORT), || tcp(SERVER, SHARED));
    let rows = vec![
        answer("w03_the_servers_answer", to_node_port().syn_ack()),
        answer("w03_its_data", to_node_port().data()),
        answer("w03_its_acknowledgment", to_node_port().ack()),
        answer("w03_its_end", to_node_port().fin()),
        answer("w03_its_reset", to_node_port().rst()),
        answer("w03_nonsense", to_node_port().flags(tcp_flags::SYN | tcp_flags::FIN)),
        answer("w03_the_answer_at_a_shared_address", to_shared().syn_ack()),
        answer("w03_data_at_a_shared_address", to_shared().data()),
        answer("w03_before_a_backend_has_answered", to_node_port().data())
            .after([ingress(tcp(SERVER, NODE_PORT).syn())])
            .flows(0, 1),
        answer("w03_after_the_end_of_a_flow", tcp(FROM, NODE_PORT).data())
            .after(handshake())
            .after([Step::Expire])
            .flows(0, 0),
        row("w03_from_outside_the_source_ranges", ingress(to_shared().data()))
            .serving(bare().load_balancer(NODE_OTHER).ranges(&["198.18.0.0/15", "2001:db8:18::/48"])),
        row("w03_where_no_process_serves", ingress(to_node_port().syn_ack())).serving(bare()),
        row("w03_a_connection_all_the_same", ingress(to_node_port().syn()))
            .serving(served(Protocol::Tcp))
            .leaves_as(tcp(NODE.at(9000), BACKEND).syn().ttl(63))
            .counts(&OPENED),
    ];
    check_rows(rows);
}

/// Makes a packet from one end to another.
type Make = fn(End, End) -> Packet;

/// The INIT ACK of an association that begins (RFC 9260 §3.2).
fn init_ack(from: End, to: End) -> Packet {
    sctp(from, to).transport_byte(12, 2)
}

#[test]
fn w03_answers_to_what_the_node_has_sent_pass() {
    let mut rows = Vec::new();
    let ways: [(_, Make, _, _); 7] = [
        ("w03_udp", udp, Protocol::Udp, NODE_PORT),
        ("w03_udp_at_a_shared_address", udp, Protocol::Udp, SHARED),
        ("w03_udp_at_a_floating_address", udp, Protocol::Udp, FLOATING),
        ("w03_sctp", init_ack, Protocol::Sctp, NODE_PORT),
        ("w03_sctp_at_a_shared_address", init_ack, Protocol::Sctp, SHARED),
        ("w03_tcp_at_a_floating_address", |from, to| tcp(from, to).syn_ack(), Protocol::Tcp, FLOATING),
        ("w03_tcp_data_at_a_floating_address", |from, to| tcp(from, to).data(), Protocol::Tcp, FLOATING),
    ];
    for (name, packet, protocol, from) in ways {
        let question = match protocol {
            Protocol::Tcp => tcp(from, SERVER).syn(),
            Protocol::Udp => udp(from, SERVER),
            Protocol::Sctp => sctp(from, SERVER),
        };
        let asked = vec![egress(question.clone())];
        rows.push(passes(name, protocol, packet(SERVER, from), asked.clone()).flows(0, 1));
        let again = [asked, vec![ingress(packet(SERVER, from)), egress(question.clone())]].concat();
        rows.push(passes(name, protocol, packet(SERVER, from), again).flows(0, 1));
        rows.push(row(name, egress(question)).serving(served(protocol)).flows(0, 1));
    }
    check_rows(rows);
}

#[test]
fn w03_only_what_was_asked_for_passes() {
    let asked = || egress(udp(NODE_PORT, SERVER));
    let opens = |name, from: End| {
        row(name, ingress(udp(from, NODE_PORT)))
            .serving(dns())
            .leaves_as(udp(NODE.at(from.port), BACKEND).ttl(63))
            .counts(&OPENED)
    };
    let rows = vec![
        opens("w03_unasked", SERVER).flows(0, 2),
        opens("w03_another_port", CLIENT.at(9001)).after([asked()]).flows(0, 3),
        opens("w03_another_host", CLIENT_OTHER.at(9000)).after([asked()]),
        opens("w03_from_another_port", SERVER).after([egress(udp(NODE.at(20_080), SERVER))]).flows(0, 2),
        opens("w03_from_another_address", SERVER).after([egress(udp(NODE_OTHER.at(20_080), SERVER))]).flows(0, 2),
        opens("w03_by_another_protocol", SERVER).after([egress(tcp(NODE_PORT, SERVER).syn())]).flows(0, 2),
        opens("w03_long_ago", SERVER).after([asked(), Step::Expire]),
        // A flow that a client has opened stays the client's.
        row("w03_a_clients_flow_stays_one", ingress(udp(FROM, NODE_PORT)))
            .serving(dns())
            .after(exchange())
            .after([egress(udp(NODE_PORT, FROM))])
            .leaves_as(udp(SNAT, BACKEND).ttl(63))
            .counts(&[Counter::PacketForwarded]),
        row("w03_an_answer_of_ours_leaves_no_note", egress(udp(NODE_PORT, FROM)))
            .serving(dns())
            .after(exchange())
            .flows(0, 2),
        row("w03_a_port_of_no_service_leaves_no_note", egress(udp(NODE.at(20_080), SERVER))).serving(dns()).flows(0, 0),
        row("w03_tcp_of_the_node_leaves_no_note", egress(tcp(NODE_PORT, SERVER).syn())).serving(web()).flows(0, 0),
    ];
    check_rows(rows);
}

#[test]
fn w03_a_connected_socket_of_the_node_is_answered() {
    let shared = shared();
    let mut node = shared.lock();
    for (family, hook) in [Family::Ipv4, Family::Ipv6].into_iter().flat_map(|f| [(f, Hook::Xdp), (f, Hook::TcIngress)])
    {
        node.state().forget();
        node.serve(&[served(Protocol::Udp)]);
        for end in [NODE_PORT, SHARED] {
            // The programs have not seen its request: it was sent before they were attached, or by another device.
            let socket = node.inside(|| UdpSocket::bind(end.socket(family)).unwrap());
            let datagram = |from| udp(from, end);
            let (action, _) = node.run(hook, Device::Uplink, &datagram(SERVER), family);
            assert_ne!(action, Action::Pass, "{family:?} {hook:?}: one that waits for anybody gets nothing");
            node.state().forget();
            socket.connect(SERVER.socket(family)).unwrap();
            let (action, out) = node.run(hook, Device::Uplink, &datagram(SERVER), family);
            assert_eq!((action, out), (Action::Pass, datagram(SERVER).bytes(family)), "{family:?} {hook:?}");
            let (action, _) = node.run(hook, Device::Uplink, &datagram(FROM), family);
            assert_ne!(action, Action::Pass, "{family:?} {hook:?}: another client's");
        }
    }
}

#[test]
fn w03_errors_and_fragments_of_the_nodes_own_pass() {
    let asked = || vec![egress(udp(NODE_PORT, SERVER))];
    let fragment = |range| udp(SERVER, NODE_PORT).payload_length(100).may_fragment().fragment(range);
    let error = |quoted| icmp_error(ROUTER, NODE, ErrorKind::HostUnreachable, quoted);
    let rows = vec![
        passes("w03_error", Protocol::Udp, error(udp(NODE_PORT, SERVER)), asked()),
        passes("w03_error_about_tcp", Protocol::Tcp, error(tcp(NODE_PORT, SERVER).syn()), vec![]),
        passes("w03_first_fragment", Protocol::Udp, fragment(0..56), asked()),
        passes(
            "w03_last_fragment",
            Protocol::Udp,
            fragment(56..108),
            [asked(), vec![ingress(fragment(0..56))]].concat(),
        ),
        // The stack holds a later fragment until the first one comes.
        passes("w03_last_fragment_first", Protocol::Udp, fragment(56..108), asked()),
    ];
    check_rows(rows);
}
