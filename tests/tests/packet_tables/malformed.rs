//! Packets whose headers are truncated or contradict themselves (S28): dropped when they are for a Service's address,
//! passed untouched when they may be for the host, never half-translated.

use std::collections::BTreeSet;

use harness::{
    packet::{Packet, check::check, sctp, tcp, udp},
    scene::Family,
    test_run::{Action, BenchNode, Device, Hook, Row, check_rows, ingress, places::*, row},
};

use super::*;

/// Packets of more than 128 bytes to each kind of destination: a name, the packet, and whether the address is a
/// Service's alone.
fn long_packets() -> Vec<(&'static str, Packet, bool)> {
    let cluster_ip = CLUSTER_IP.at(80);
    vec![
        ("TCP to a cluster IP", tcp(FROM, cluster_ip).syn().payload_length(120), true),
        ("UDP to a cluster IP", udp(FROM, CLUSTER_IP_OTHER.at(80)).payload_length(120), true),
        ("SCTP to a cluster IP", sctp(FROM, cluster_ip).payload_length(120), true),
        ("TCP to the node port", tcp(FROM, NODE_PORT).syn().payload_length(120), false),
        ("UDP to a node port", udp(FROM, NODE.at(30_053)).payload_length(120), false),
        ("TCP to a port of the node", tcp(FROM, NODE.at(22)).syn().payload_length(120), false),
        ("UDP to an address beside", udp(FROM, BESIDE.at(80)).payload_length(120), false),
        ("a tagged packet", tcp(FROM, cluster_ip).syn().payload_length(120).vlans(&[7]), true),
    ]
}

#[test]
fn s28_truncated_packets_of_every_length_are_passed_or_dropped() {
    let shared = shared();
    let mut node = shared.lock();
    let other = service("dns").protocol(Protocol::Udp).cluster_ip(CLUSTER_IP_OTHER).node_port(30_053);
    node.serve(&[web(), other.remote(BACKEND)]);
    // The kernel runs no program on less than an Ethernet header: 0 to 13 can't come from a device either.
    for length in 14..=128 {
        for (name, packet, is_service) in long_packets() {
            for family in Family::BOTH {
                for hook in [Hook::Xdp, Hook::TcIngress, Hook::TcEgress] {
                    let what = format!("{name}, {length} bytes, {family:?}, {hook:?}");
                    truncated(&mut node, &packet.clone().truncated(length), is_service, family, hook, &what);
                }
            }
        }
    }
}

fn truncated(node: &mut BenchNode, packet: &Packet, is_service: bool, family: Family, hook: Hook, what: &str) {
    let before = node.state().counts();
    let frame = packet.bytes(family);
    // For TC the kernel first makes a packet of the frame, which takes a whole network header.
    let Some((action, out)) = node.try_frame(hook, Device::Uplink, &frame) else {
        return assert!(hook != Hook::Xdp && frame.len() < 60, "{what}");
    };
    let moved = node.state().counts_since(&before);
    let headers = packet.ethernet.vlans.len() * 4 + if family == Family::Ipv4 { 34 } else { 54 };
    if frame.len() >= headers && is_service && hook != Hook::TcEgress {
        assert_eq!(action, Action::Drop, "{what}");
        assert_eq!(moved.keys().copied().collect::<BTreeSet<_>>(), BTreeSet::from([Counter::DropMalformed]), "{what}");
    } else {
        assert_eq!((action, &out), (Action::Pass, &frame), "{what}");
        assert!(moved.is_empty(), "{what}: {moved:?}");
    }
    assert!(node.state().embryonic().is_empty(), "{what}");
}

#[test]
fn s28_a_whole_packet_is_not_taken_for_a_truncated_one() {
    let shared = shared();
    let mut node = shared.lock();
    node.serve(&[web(), dns_other()]);
    let before = node.state().counts();
    for (name, packet, _) in long_packets() {
        for family in Family::BOTH {
            let (_, out) = node.run(Hook::Xdp, Device::Uplink, &packet, family);
            assert!(check(&out).is_ok(), "{name} {family:?}");
        }
    }
    assert!(!node.state().counts_since(&before).contains_key(&Counter::DropMalformed));
}

fn dns_other() -> Service {
    service("dns").protocol(Protocol::Udp).cluster_ip(CLUSTER_IP_OTHER).node_port(30_053).remote(BACKEND)
}

#[test]
fn s28_headers_that_contradict_themselves_are_not_served() {
    let cluster_ip = CLUSTER_IP.at(80);
    let segment = || tcp(FROM, cluster_ip).syn().payload_length(40);
    let dropped = |name, packet: Packet| -> Row {
        row(name, ingress(packet)).serving(web()).drops().counts(&[Counter::DropMalformed]).flows(0, 0)
    };
    let passed = |name, packet: Packet| row(name, ingress(packet)).serving(web()).flows(0, 0);
    let rows = vec![
        dropped("s28_tcp_header_of_no_length", segment().transport_byte(12, 0)),
        dropped("s28_tcp_header_too_short", segment().transport_byte(12, 0x40)),
        dropped("s28_tcp_header_beyond_the_packet", tcp(FROM, cluster_ip).syn().transport_byte(12, 0xf0)),
        dropped("s28_packet_ends_in_the_tcp_header", segment().network_byte(3, 30)).only(Family::Ipv4),
        dropped("s28_packet_ends_in_the_tcp_header_6", segment().network_byte(5, 10)).only(Family::Ipv6),
        dropped("s28_more_than_has_come", segment().network_byte(2, 4)).only(Family::Ipv4),
        dropped("s28_more_than_has_come_6", segment().network_byte(4, 4)).only(Family::Ipv6),
        dropped("s28_udp_header_cut_short", udp(FROM, cluster_ip).network_byte(3, 27)).only(Family::Ipv4),
        dropped("s28_udp_header_cut_short_6", udp(FROM, cluster_ip).network_byte(5, 7)).only(Family::Ipv6),
        dropped("s28_sctp_header_cut_short", sctp(FROM, cluster_ip).network_byte(3, 31)).only(Family::Ipv4),
        dropped("s28_sctp_header_cut_short_6", sctp(FROM, cluster_ip).network_byte(5, 11)).only(Family::Ipv6),
        passed("s28_another_version", segment().network_byte(0, 0x55)).only(Family::Ipv4),
        passed("s28_another_version_6", segment().network_byte(0, 0x50)).only(Family::Ipv6),
        passed("s28_ip_header_too_short", segment().network_byte(0, 0x44)).only(Family::Ipv4),
        passed("s28_ip_header_longer_than_the_packet", segment().network_byte(3, 19).network_byte(2, 0))
            .only(Family::Ipv4),
        passed("s28_to_a_port_of_the_node", tcp(FROM, NODE.at(22)).syn().transport_byte(12, 0)),
        passed("s28_to_the_node_port", tcp(FROM, NODE_PORT).syn().transport_byte(12, 0)),
        passed("s28_to_an_address_beside", tcp(FROM, BESIDE.at(80)).syn().transport_byte(12, 0)),
        dropped("s28_to_an_external_ip", tcp(FROM, EXTERNAL.at(80)).syn().transport_byte(12, 0)),
    ];
    check_rows(rows);
}

#[test]
fn s28_mapped_addresses_are_dropped() {
    let mapped = harness::packet::Place::new([0; 4], [0, 0, 0, 0, 0, 0xffff, 0xc633, 0x640a]);
    let mapped_node = harness::packet::Place::new([0; 4], [0, 0, 0, 0, 0, 0xffff, 0xc000, 0x0201]);
    let dropped = |name, packet: Packet| {
        row(name, ingress(packet)).serving(web()).only(Family::Ipv6).drops().counts(&[Counter::DropMappedAddress])
    };
    let rows = vec![
        dropped("s20_source", tcp(mapped.at(20_001), NODE_PORT).syn()),
        dropped("s20_destination", tcp(FROM, mapped_node.at(30_080)).syn()),
        dropped("s20_both", udp(mapped.at(20_001), mapped_node.at(30_080))),
        dropped("s20_of_no_service", tcp(mapped.at(20_001), NODE.at(22)).syn()),
    ];
    check_rows(rows);
}
