//! Headers that a translation must leave alone, and headers that it must look behind: classes and labels, options,
//! extension headers, VLAN tags, padding, long packets.

use harness::{
    packet::{ErrorKind, Extension, Packet, echo_request, icmp_error, other, tcp, udp},
    scene::Family,
    test_run::{Hook, Row, check_rows, egress, ingress, row},
};

use super::*;

/// A packet after `change`, to a backend on another node.
fn forwarded(name: &'static str, change: impl Fn(Packet) -> Packet) -> Row {
    row(name, ingress(change(tcp(FROM, NODE_PORT).syn())))
        .serving(web())
        .leaves_as(change(tcp(SNAT, BACKEND).syn()).ttl(63))
        .counts(&OPENED)
}

/// A packet after `change`, to a backend on this node.
fn delivered(name: &'static str, change: impl Fn(Packet) -> Packet) -> Row {
    row(name, ingress(change(tcp(FROM, NODE_PORT).syn())))
        .serving(web_here())
        .becomes(change(tcp(FROM, HERE).syn()))
        .counts(&OPENED_HERE)
}

/// A packet after `change`, as a reply of a backend on this node.
fn answered(name: &'static str, change: impl Fn(Packet) -> Packet) -> Row {
    row(name, egress(change(tcp(HERE, FROM).syn_ack())))
        .serving(web_here())
        .after([ingress(tcp(FROM, NODE_PORT).syn())])
        .becomes(change(tcp(NODE_PORT, FROM).syn_ack()))
        .counts(&[Counter::PacketTranslated])
}

#[test]
fn s28_fields_that_say_no_address_are_left_alone() {
    let mss = [2, 4, 5, 180, 4, 2, 8, 10, 0, 0, 0, 9, 0, 0, 0, 0, 1, 3, 3, 7];
    let rows = vec![
        forwarded("s28_class", |packet| packet.tos(0xb9)),
        delivered("s28_class_here", |packet| packet.tos(0xb9)),
        answered("s28_class_of_an_answer", |packet| packet.tos(0x02)),
        forwarded("s28_flow_label", |packet| packet.flow_label(0xf_edcb)).only(Family::Ipv6),
        delivered("s28_flow_label_here", |packet| packet.flow_label(0xf_edcb)).only(Family::Ipv6),
        forwarded("s28_identification", |packet| packet.identification(0xbeef)).only(Family::Ipv4),
        forwarded("s28_may_be_fragmented", Packet::may_fragment).only(Family::Ipv4),
        forwarded("s28_tcp_options", |packet| packet.tcp_options(&mss)),
        delivered("s28_tcp_options_here", |packet| packet.tcp_options(&mss)),
        answered("s28_tcp_options_of_an_answer", |packet| packet.tcp_options(&mss)),
        forwarded("s28_all_tcp_options", |packet| packet.tcp_options(&[1; 40])),
        forwarded("s28_ecn_setup", |packet| packet.flags(0xc2)),
        forwarded("s28_fast_open", |packet| packet.payload(b"GET /")),
        forwarded("s28_padding", |packet| packet.padded(6)),
        delivered("s28_padding_here", |packet| packet.padded(6)),
        forwarded("s28_a_full_packet", |packet| packet.payload_length(1400)),
        forwarded("s28_an_odd_length", |packet| packet.payload_length(1399)),
        forwarded("s28_a_highest_hop_limit", |packet| packet.ttl(255).ttl(64)),
    ];
    check_rows(rows);
}

#[test]
fn s28_ip_options_and_extension_headers_are_looked_behind() {
    let options: [&[u8]; 2] = [&[1, 1, 1, 0], &[1; 40]];
    let hop = Extension::HopByHop { units: 1 };
    let mut rows = vec![
        forwarded("s28_ip_options", |packet| packet.options(options[0])).only(Family::Ipv4),
        forwarded("s28_all_ip_options", |packet| packet.options(options[1])).only(Family::Ipv4),
        delivered("s28_ip_options_here", |packet| packet.options(options[0])).only(Family::Ipv4),
        delivered("s28_all_ip_options_here", |packet| packet.options(options[1])).only(Family::Ipv4),
        answered("s28_ip_options_of_an_answer", |packet| packet.options(options[1])).only(Family::Ipv4),
    ];
    let extensions: [(&'static str, &'static str, Vec<Extension>); 5] = [
        ("s28_hop_by_hop", "s28_hop_by_hop_here", vec![hop]),
        ("s28_destination_options", "s28_destination_options_here", vec![Extension::Destination { units: 2 }]),
        ("s28_routing_done", "s28_routing_done_here", vec![Extension::Routing { units: 3, left: 0 }]),
        ("s28_a_long_one", "s28_a_long_one_here", vec![Extension::HopByHop { units: 8 }]),
        (
            "s28_three",
            "s28_three_here",
            vec![hop, Extension::Destination { units: 1 }, Extension::Routing { units: 1, left: 0 }],
        ),
    ];
    for (name, here, list) in extensions {
        let with = |packet: Packet| list.iter().fold(packet, |packet, extension| packet.extension(*extension));
        rows.push(forwarded(name, with).only(Family::Ipv6));
        rows.push(delivered(here, with).only(Family::Ipv6));
    }
    rows.push(answered("s28_hop_by_hop_of_an_answer", |packet| packet.extension(hop)).only(Family::Ipv6));
    check_rows(rows);
}

#[test]
fn s28_headers_that_are_not_looked_behind_keep_a_packet_from_being_served() {
    let untouched = |name, list: Vec<Extension>| {
        let with = list.into_iter().fold(tcp(FROM, CLUSTER_IP.at(80)).syn(), Packet::extension);
        row(name, ingress(with)).serving(web()).only(Family::Ipv6).flows(0, 0)
    };
    let hop = Extension::HopByHop { units: 1 };
    let rows = vec![
        untouched("s28_seven", [vec![hop], vec![Extension::Destination { units: 1 }; 6]].concat()),
        untouched("s28_beyond_reach", vec![Extension::Destination { units: 31 }, Extension::Destination { units: 31 }]),
        row("s28_a_protocol_that_services_do_not_know", ingress(other(51, CLIENT, CLUSTER_IP))).serving(web()),
    ];
    check_rows(rows);
}

/// A packet to a backend on another node passes untouched: the VLAN's own device sends it.
fn left_to_the_vlan(name: &'static str, tags: &[u16]) -> Row {
    row(name, ingress(tcp(FROM, NODE_PORT).syn().vlans(tags)))
        .serving(web())
        .at(Hook::Xdp)
        .counts(&[Counter::FlowOpened])
}

#[test]
fn s28_vlan_tags_stay() {
    let sent = udp(SNAT, BACKEND);
    let rows = vec![
        left_to_the_vlan("s28_one_tag", &[100]),
        left_to_the_vlan("s28_two_tags", &[100, 200]),
        left_to_the_vlan("s28_a_tag_with_priority", &[0xe064]),
        delivered("s28_one_tag_here", |packet| packet.vlans(&[100])).at(Hook::Xdp),
        delivered("s28_two_tags_here", |packet| packet.vlans(&[100, 200])).at(Hook::Xdp),
        row("s28_a_tagged_answer", ingress(udp(BACKEND, SNAT).vlans(&[100])))
            .serving(dns())
            .after([ingress(udp(FROM, NODE_PORT))])
            .at(Hook::Xdp),
        row("s28_a_tagged_error", ingress(icmp_error(REMOTE, NODE, ErrorKind::PortUnreachable, sent).vlans(&[100])))
            .serving(dns())
            .after([ingress(udp(FROM, NODE_PORT))])
            .at(Hook::Xdp),
        row("s28_a_tagged_refusal", ingress(tcp(FROM, NODE_PORT).syn().vlans(&[100, 200])))
            .serving(bare())
            .at(Hook::Xdp),
        row("s28_a_tagged_echo", ingress(echo_request(CLIENT, CLUSTER_IP).vlans(&[100]))).serving(web()).at(Hook::Xdp),
    ];
    check_rows(rows);
}
