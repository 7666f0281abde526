//! Checksums are changed by exactly what the translation changes: right ones stay right, wrong ones stay wrong by the
//! same amount, absent ones stay absent (S28).

use harness::{
    packet::{Packet, sctp, tcp, udp},
    scene::Family,
    test_run::{Hook, Row, check_rows, egress, ingress, row},
};

use super::*;

/// A packet of each protocol after `change`, to a backend on another node.
fn forwarded(names: [&'static str; 3], change: impl Fn(Packet) -> Packet) -> Vec<Row> {
    let out = |row: Row, packet: Packet| row.leaves_as(change(packet).ttl(63)).counts(&OPENED);
    vec![
        out(row(names[0], ingress(change(tcp(FROM, NODE_PORT).syn()))).serving(web()), tcp(SNAT, BACKEND).syn()),
        out(row(names[1], ingress(change(udp(FROM, NODE_PORT)))).serving(dns()), udp(SNAT, BACKEND)),
        out(
            row(names[2], ingress(change(sctp(FROM, NODE_PORT)))).serving(web().protocol(Protocol::Sctp)),
            sctp(SNAT, BACKEND),
        ),
    ]
}

#[test]
fn s28_a_wrong_checksum_stays_wrong() {
    let mut rows = forwarded(["s28_wrong_tcp", "s28_wrong_udp", "s28_wrong_sctp"], Packet::wrong_checksum);
    rows.extend(
        forwarded(["s28_wrong_ip_tcp", "s28_wrong_ip_udp", "s28_wrong_ip_sctp"], Packet::wrong_header_checksum)
            .into_iter()
            .map(|row| row.only(Family::Ipv4)),
    );
    rows.extend([
        row("s28_wrong_here", ingress(udp(FROM, NODE_PORT).wrong_checksum()))
            .serving(dns_here())
            .becomes(udp(FROM, HERE).wrong_checksum())
            .counts(&OPENED_HERE),
        row("s28_wrong_answer", ingress(tcp(BACKEND, SNAT).data().wrong_checksum()))
            .serving(web())
            .after(handshake())
            .leaves_as(tcp(NODE_PORT, FROM).data().wrong_checksum().ttl(63))
            .counts(&[Counter::PacketForwarded]),
        row("s28_wrong_answer_of_this_node", egress(tcp(HERE, FROM).data().wrong_checksum()))
            .serving(web_here())
            .after(handshake_here())
            .becomes(tcp(NODE_PORT, FROM).data().wrong_checksum())
            .counts(&[Counter::PacketTranslated]),
    ]);
    check_rows(rows);
}

#[test]
fn s28_an_absent_checksum_stays_absent() {
    let rows = vec![
        row("s28_absent", ingress(udp(FROM, NODE_PORT).no_checksum()))
            .serving(dns())
            .leaves_as(udp(SNAT, BACKEND).no_checksum().ttl(63))
            .counts(&OPENED),
        row("s28_absent_here", ingress(udp(FROM, NODE_PORT).no_checksum()))
            .serving(dns_here())
            .becomes(udp(FROM, HERE).no_checksum())
            .counts(&OPENED_HERE),
        row("s28_absent_answer", egress(udp(HERE, FROM).no_checksum()))
            .serving(dns_here())
            .after([ingress(udp(FROM, NODE_PORT))])
            .becomes(udp(NODE_PORT, FROM).no_checksum())
            .counts(&[Counter::PacketTranslated]),
    ];
    check_rows(rows.into_iter().map(|row| row.only(Family::Ipv4)).collect());
    // IPv6 allows it for tunnels (RFC 6935).
    let over_ipv6 = vec![
        row("s28_absent_6", ingress(udp(FROM, NODE_PORT).no_checksum()))
            .serving(dns())
            .leaves_as(udp(SNAT, BACKEND).no_checksum().ttl(63))
            .counts(&OPENED),
        row("s28_absent_here_6", ingress(udp(FROM, NODE_PORT).no_checksum()))
            .serving(dns_here())
            .becomes(udp(FROM, HERE).no_checksum())
            .counts(&OPENED_HERE),
    ];
    check_rows(over_ipv6.into_iter().map(|row| row.only(Family::Ipv6)).collect());
}

/// Payloads for which the checksum before or after translation takes its rarest value.
#[test]
fn s28_checksums_that_come_out_as_zero_are_sent_as_ones() {
    let mut rows = Vec::new();
    for family in Family::BOTH {
        for before in [true, false] {
            let pair = |payload: [u8; 2]| {
                (udp(FROM, NODE_PORT).payload(&payload), udp(SNAT, BACKEND).payload(&payload).ttl(63))
            };
            let checksum = |packet: &Packet| {
                let at = if family == Family::Ipv4 { 40 } else { 60 };
                let bytes = packet.bytes(family);
                u16::from_be_bytes([bytes[at], bytes[at + 1]])
            };
            let rare = (0..=u16::MAX)
                .map(|word| pair(word.to_be_bytes()))
                .find(|(given, out)| checksum(if before { given } else { out }) == 0xffff);
            let (given, out) = rare.unwrap();
            rows.push(row("s28_zero", ingress(given)).serving(dns()).only(family).leaves_as(out).counts(&OPENED));
        }
    }
    check_rows(rows);
}

/// XDP can't tell finished checksums of this value from pending ones.
#[test]
fn w04_xdp_leaves_to_tc_what_looks_unfinished() {
    let mut rows = Vec::new();
    for family in Family::BOTH {
        let word = udp(FROM, NODE_PORT).looking_pending(family).payload;
        let datagram = |from: End, to: End| udp(from, to).payload(&word);
        let given = || row("w04_datagram", ingress(datagram(FROM, NODE_PORT))).serving(dns()).only(family);
        rows.push(given().at(Hook::Xdp));
        rows.push(given().at(Hook::TcIngress).leaves_as(datagram(SNAT, BACKEND).ttl(63)).counts(&OPENED));
        let word = tcp(FROM, NODE_PORT).data().looking_pending(family).payload;
        let segment = |from: End, to: End| tcp(from, to).data().payload(&word);
        let given =
            || row("w04_segment", ingress(segment(FROM, NODE_PORT))).serving(web()).after(handshake()).only(family);
        rows.push(given().at(Hook::Xdp));
        let forwarded = [Counter::PacketForwarded];
        rows.push(given().at(Hook::TcIngress).leaves_as(segment(SNAT, BACKEND).ttl(63)).counts(&forwarded));
    }
    check_rows(rows);
}
