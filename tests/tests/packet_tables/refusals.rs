//! Refusals (S16, S20): resets and ICMP errors, from the frontend's address and by the way that the packet came.

use harness::{
    packet::{ErrorKind, Packet, echo_request, icmp_error, sctp, tcp, tcp_flags::*, udp},
    scene::Family,
    test_run::{Hook, Row, check_rows, ingress, places::*, row},
};

use super::*;

fn refused_by_icmp(name: &'static str, packet: Packet, counter: Counter) -> Row {
    let (from, to) = (packet.destination.place, packet.source.place);
    let answer = icmp_error(from, to, ErrorKind::PortUnreachable, packet.clone()).identification(0);
    row(name, ingress(packet)).is_answered_by(answer).counts(&[counter]).flows(0, 0)
}

#[test]
fn s16_a_connection_to_no_backend_is_reset() {
    let refused = |name, packet: Packet, next| {
        let answer = reset(packet.destination, 0, next, RST | ACK);
        row(name, ingress(packet))
            .serving(bare())
            .is_answered_by(answer)
            .counts(&[Counter::RejectNoBackend])
            .flows(0, 0)
    };
    let syn = |frontend: End| tcp(FROM, frontend).syn();
    let rows = vec![
        refused("s16_node_port", syn(NODE_PORT), 1001),
        refused("s16_cluster_ip", syn(CLUSTER_IP.at(80)), 1001),
        refused("s16_external_ip", syn(EXTERNAL.at(80)), 1001),
        refused("s16_load_balancer", syn(BALANCER.at(80)), 1001),
        refused("s16_policies_do_not_matter", syn(NODE_PORT), 1001).serving(service("more").external_local()),
        refused("s16_a_syn_with_data", syn(NODE_PORT).payload(b"fast open"), 1010),
        refused("s16_a_syn_with_options", syn(NODE_PORT).tcp_options(&[2, 4, 5, 180, 4, 2, 1, 1]), 1001),
        refused("s16_a_padded_syn", syn(NODE_PORT).padded(6), 1001),
        refused("s16_a_long_syn", syn(NODE_PORT).payload_length(1400), 2401),
        refused("s16_a_syn_with_ip_options", syn(NODE_PORT).options(&[1, 1, 1, 0]), 1001).only(Family::Ipv4),
        refused("s16_the_last_hop", syn(NODE_PORT).ttl(1), 1001),
    ];
    check_rows(rows);
}

#[test]
fn s16_a_datagram_to_no_backend_is_answered_by_icmp() {
    let none = Counter::RejectNoBackend;
    let dns = || bare().protocol(Protocol::Udp);
    let refused = |name, packet| refused_by_icmp(name, packet, none).serving(dns());
    let rows = vec![
        refused("s16_udp_node_port", udp(FROM, NODE_PORT)),
        refused("s16_udp_cluster_ip", udp(FROM, CLUSTER_IP.at(80))),
        refused("s16_udp_external_ip", udp(FROM, EXTERNAL.at(80))),
        refused("s16_udp_of_no_payload", udp(FROM, NODE_PORT).payload(&[])),
        refused("s16_udp_long", udp(FROM, NODE_PORT).payload_length(1300)),
        refused("s16_udp_padded", udp(FROM, NODE_PORT).payload(&[1]).padded(17)),
        refused("s16_udp_without_checksum", udp(FROM, NODE_PORT).no_checksum()).only(Family::Ipv4),
        refused("s16_udp_with_options", udp(FROM, NODE_PORT).options(&[1; 40])).only(Family::Ipv4),
        refused("s28_a_wrong_checksum_is_quoted_as_it_is", udp(FROM, NODE_PORT).wrong_checksum()),
        refused_by_icmp("s16_sctp", sctp(FROM, NODE_PORT), none).serving(bare().protocol(Protocol::Sctp)),
    ];
    check_rows(rows);
}

#[test]
fn s20_an_unserved_port_of_a_cluster_ip_is_refused() {
    let unserved = Counter::RejectUnservedPort;
    let rows = vec![
        row("s20_tcp", ingress(tcp(FROM, CLUSTER_IP.at(81)).syn()))
            .serving(web())
            .is_answered_by(reset(CLUSTER_IP.at(81), 0, 1001, RST | ACK))
            .counts(&[unserved]),
        row("s20_tcp_to_the_node_port_there", ingress(tcp(FROM, CLUSTER_IP.at(30_080)).syn()))
            .serving(web())
            .is_answered_by(reset(CLUSTER_IP.at(30_080), 0, 1001, RST | ACK))
            .counts(&[unserved]),
        row("s20_tcp_in_the_middle", ingress(tcp(FROM, CLUSTER_IP.at(81)).data()))
            .serving(web())
            .is_answered_by(reset(CLUSTER_IP.at(81), 5001, 0, RST))
            .counts(&[unserved]),
        row("s20_a_reset_is_not_answered", ingress(tcp(FROM, CLUSTER_IP.at(81)).rst()))
            .serving(web())
            .drops()
            .counts(&[unserved]),
        refused_by_icmp("s20_udp", udp(FROM, CLUSTER_IP.at(81)), unserved).serving(web()),
        refused_by_icmp("s20_sctp", sctp(FROM, CLUSTER_IP.at(80)), unserved).serving(web()),
        refused_by_icmp("s10_the_port_by_another_protocol", udp(FROM, CLUSTER_IP.at(80)), unserved).serving(web()),
    ];
    check_rows(rows);
}

/// The client may be in a VLAN whose tag the card has taken off: XDP would answer without the tag.
#[test]
fn s16_xdp_leaves_answers_to_tc_whose_way_is_another_device() {
    let client = FAR.at(20_001);
    let (syn, datagram) = (tcp(client, NODE_PORT).syn(), udp(client, CLUSTER_IP.at(81)));
    let reset = tcp(NODE_PORT, client).flags(RST | ACK).sequence(0, 1001).window(0).identification(0);
    let error = icmp_error(CLUSTER_IP, FAR, ErrorKind::PortUnreachable, datagram.clone()).identification(0);
    let ping = || echo_request(FAR, CLUSTER_IP);
    let rows = vec![
        row("s16_a_reset_by_tc", ingress(syn.clone()))
            .serving(bare())
            .at(Hook::TcIngress)
            .is_answered_by(reset)
            .counts(&[Counter::RejectNoBackend]),
        row("s16_no_reset_by_xdp", ingress(syn)).serving(bare()).at(Hook::Xdp),
        row("s20_an_error_by_tc", ingress(datagram.clone()))
            .serving(web())
            .at(Hook::TcIngress)
            .is_answered_by(error)
            .counts(&[Counter::RejectUnservedPort]),
        row("s20_no_error_by_xdp", ingress(datagram)).serving(web()).at(Hook::Xdp),
        row("s20_an_echo_by_tc", ingress(ping()))
            .serving(web())
            .at(Hook::TcIngress)
            .is_answered_by(ping().answered())
            .counts(&[Counter::EchoReply]),
        row("s20_no_echo_by_xdp", ingress(ping())).serving(web()).at(Hook::Xdp),
    ];
    check_rows(rows);
}
