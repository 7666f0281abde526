//! Packets longer than a page, which reach XDP in several pieces (`xdp.frags`): translated like others, and the bytes
//! in the later pieces stay unchanged. TC's test run takes no more than a page.

use std::collections::BTreeMap;

use harness::{
    packet::{ErrorKind, Packet, echo_request, icmp_error, sctp, tcp, udp},
    scene::Family,
    test_run::{Action, BenchNode, Device, Hook, Row, check_rows, ingress, row},
};

use super::*;

/// Bytes of payload that, with headers, fill the wide link.
const JUMBO: usize = 8900;
/// The backend over the wide link.
const WIDE: End = FAR.at(8080);
const FORWARDED: [Counter; 1] = [Counter::PacketForwarded];

fn wide() -> Service {
    bare().remote(WIDE)
}

fn jumbo(packet: Packet) -> Packet {
    packet.payload_length(JUMBO)
}

/// An INIT with many parameters.
fn long_init(from: End, to: End) -> Packet {
    let packet = sctp(from, to);
    let mut payload = packet.payload.clone();
    payload.resize(JUMBO, 0x5a);
    packet.payload(&payload)
}

/// FROM's connection with `wide`.
fn connection() -> [Step; 3] {
    let answer = tcp(WIDE, SNAT).syn_ack();
    [ingress(tcp(FROM, NODE_PORT).syn()), Step::Ingress(Device::Second, answer), ingress(tcp(FROM, NODE_PORT).ack())]
}

fn at_xdp(rows: Vec<Row>) -> Vec<Row> {
    rows.into_iter().map(|row| row.at(Hook::Xdp)).collect()
}

#[test]
fn s28_jumbo_packets_are_translated() {
    let data = || jumbo(tcp(FROM, NODE_PORT).data());
    let rows = vec![
        row("s28_jumbo_tcp", ingress(data()))
            .serving(wide())
            .after(connection())
            .leaves_as(data().from(SNAT).to(WIDE).ttl(63))
            .counts(&FORWARDED)
            .flows(2, 0),
        row("s28_jumbo_wrong_checksum", ingress(data().wrong_checksum()))
            .serving(wide())
            .after(connection())
            .leaves_as(data().wrong_checksum().from(SNAT).to(WIDE).ttl(63))
            .counts(&FORWARDED),
        row("s28_jumbo_udp", ingress(jumbo(udp(FROM, NODE_PORT))))
            .serving(wide().protocol(Protocol::Udp))
            .leaves_as(jumbo(udp(SNAT, WIDE)).ttl(63))
            .counts(&OPENED),
        row("s28_jumbo_sctp", ingress(long_init(FROM, NODE_PORT)))
            .serving(wide().protocol(Protocol::Sctp))
            .leaves_as(long_init(SNAT, WIDE).ttl(63))
            .counts(&OPENED),
        row("s28_jumbo_first_fragment", ingress(jumbo(udp(FROM, NODE_PORT)).fragment(0..8000)))
            .serving(wide().protocol(Protocol::Udp))
            .leaves_as(jumbo(udp(SNAT, WIDE)).fragment(0..8000).ttl(63))
            .counts(&OPENED),
        row("s26_jumbo_here", ingress(jumbo(udp(FROM, NODE_PORT))))
            .serving(dns_here())
            .becomes(jumbo(udp(FROM, HERE)))
            .counts(&OPENED_HERE),
        row("s27_jumbo_answer", Step::Ingress(Device::Second, jumbo(tcp(WIDE, SNAT).data())))
            .serving(wide())
            .after([Step::Ingress(Device::Second, tcp(FAR.at(20_001), NODE_PORT).syn())])
            .leaves_as(jumbo(tcp(NODE_PORT, FAR.at(20_001)).data()).ttl(63))
            .counts(&FORWARDED),
        row("s20_jumbo_bystander", ingress(jumbo(tcp(FROM, NODE.at(22)).data()))).serving(wide()),
        row("s28_jumbo_echo", ingress(jumbo(echo_request(CLIENT, CLUSTER_IP))))
            .serving(wide())
            .is_answered_by(jumbo(echo_request(CLIENT, CLUSTER_IP)).answered())
            .counts(&[Counter::EchoReply]),
        row("s28_jumbo_cut_short", ingress(jumbo(tcp(FROM, CLUSTER_IP.at(80)).syn()).truncated(JUMBO)))
            .serving(wide())
            .drops()
            .counts(&[Counter::DropMalformed]),
    ];
    check_rows(at_xdp(rows));
}

#[test]
fn s28_jumbo_packets_are_refused() {
    let question = || jumbo(udp(FROM, NODE_PORT));
    let icmp = |kind| icmp_error(NODE, CLIENT, kind, question()).identification(0);
    let rows = vec![
        row("s16_jumbo_udp", ingress(question()))
            .serving(bare().protocol(Protocol::Udp))
            .is_answered_by(icmp(ErrorKind::PortUnreachable))
            .counts(&[Counter::RejectNoBackend]),
        row("s28_jumbo_to_a_narrower_link", ingress(question()))
            .serving(dns())
            .is_answered_by(icmp(ErrorKind::TooBig(1500)))
            .counts(&[Counter::FlowOpened, Counter::DropTooBig]),
        row("s28_jumbo_of_no_connection", ingress(jumbo(tcp(FROM, CLUSTER_IP.at(80)).data())))
            .serving(wide())
            .is_answered_by(reset(CLUSTER_IP.at(80), 5001, 0, tcp_flags::RST))
            .counts(&[Counter::RejectUnknownConnection]),
    ];
    check_rows(at_xdp(rows));
}

/// Lengths from less than a page on: around the end of XDP's first piece, and beyond it.
#[test]
fn s28_packets_of_every_length_around_a_page_are_translated() {
    let shared = shared();
    let mut node = shared.lock();
    node.serve(&[wide()]);
    for step in connection() {
        let Step::Ingress(device, packet) = step else { continue };
        node.run(Hook::Xdp, device, &packet, Family::Ipv4);
    }
    for length in (1500..9000).step_by(97).chain(3400..4200) {
        let data = |from, to| tcp(from, to).data().payload_length(length);
        let (action, out) = node.run(Hook::Xdp, Device::Uplink, &data(FROM, NODE_PORT), Family::Ipv4);
        let wanted = data(SNAT, WIDE).ttl(63).ethernet(Device::Second.mac(), [2, 0, 0, 0, 2, 0x20]);
        assert_eq!(action, Action::Redirect, "{length}");
        assert!(out == wanted.bytes(Family::Ipv4), "{length}");
    }
}

/// A device may deliver the headers themselves in pieces.
#[test]
fn s28_headers_in_two_pieces_are_never_half_translated() {
    let shared = shared();
    let mut node = shared.lock();
    let udp_service = wide().named("dns").protocol(Protocol::Udp);
    node.serve(&[wide(), udp_service]);
    for family in Family::BOTH {
        for (packet, length) in [(tcp(FROM, CLUSTER_IP.at(80)).syn(), 20), (udp(FROM, CLUSTER_IP.at(80)), 8)] {
            let packet = packet.payload_length(200);
            let network = if family == Family::Ipv4 { 34 } else { 54 };
            for first in 14..=120 {
                node.state().forget();
                let Some((action, out, counts)) = split(&mut node, &packet, family, first) else {
                    return println!("this kernel tests no packets in pieces");
                };
                let seen = (action, counts.keys().copied().collect::<Vec<_>>());
                let wanted = packet.clone().from(SNAT).to(WIDE).ttl(63);
                let wanted = wanted.ethernet(Device::Second.mac(), [2, 0, 0, 0, 2, 0x20]).bytes(family);
                let what = format!("{family:?}, {first} bytes in the first piece of {packet:?}: {seen:?}");
                if first < network {
                    assert_eq!((seen, out == packet.bytes(family)), ((Action::Pass, vec![]), true), "{what}");
                } else if first < network + length {
                    assert_eq!(seen, (Action::Drop, vec![Counter::DropMalformed]), "{what}");
                } else {
                    assert_eq!((seen.0, out == wanted), (Action::Redirect, true), "{what}");
                }
            }
        }
    }
}

type Outcome = (Action, Vec<u8>, BTreeMap<Counter, u64>);

/// `None` where the kernel can't run this test: before 6.18.
fn split(node: &mut BenchNode, packet: &Packet, family: Family, first: usize) -> Option<Outcome> {
    let before = node.state().counts();
    let (action, out) = node.try_pieces(Device::Uplink, &packet.bytes(family), first)?;
    Some((action, out, node.state().counts_since(&before)))
}
