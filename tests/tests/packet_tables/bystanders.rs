//! Packets that belong to no Service: untouched and uncounted, whatever they are.

use harness::{
    packet::{ErrorKind, Extension, Packet, echo_reply, echo_request, icmp_error, other, sctp, tcp, udp},
    scene::Family,
    test_run::{Device, Hook, Row, check_rows, egress, ingress, places::*, row},
};

use super::*;

fn untouched(name: &'static str, packet: Packet) -> Row {
    row(name, ingress(packet)).serving(web()).flows(0, 0)
}

#[test]
fn s19_packets_to_the_node_itself_pass_untouched() {
    let rows = vec![
        untouched("s19_another_port", tcp(FROM, NODE.at(22)).syn()),
        untouched("s19_the_services_port_at_the_node", tcp(FROM, NODE.at(80)).syn()),
        untouched("s19_the_backends_port_at_the_node", tcp(FROM, NODE.at(8080)).syn()),
        untouched("s19_the_node_port_by_another_protocol", udp(FROM, NODE_PORT)),
        untouched("s19_the_node_port_by_sctp", sctp(FROM, NODE_PORT)),
        untouched("s19_the_node_port_at_another_address_of_the_node", tcp(FROM, NODE_OTHER.at(30_080)).syn()),
        untouched("s19_an_answer_to_a_socket_of_the_node", tcp(CLIENT.at(443), NODE.at(45_000)).syn_ack()),
        untouched("s19_an_answer_from_a_backend_that_was_not_asked", tcp(BACKEND, NODE.at(20_777)).syn_ack()),
        untouched("s19_a_datagram_from_a_backend_that_was_not_asked", udp(BACKEND, NODE.at(20_777))),
        untouched("s19_echo_request_to_the_node", echo_request(CLIENT, NODE)),
        untouched("s19_echo_reply_to_the_node", echo_reply(CLIENT, NODE)),
        untouched("s19_another_protocol", other(47, CLIENT, NODE)),
        untouched("s19_a_neighbour_asks", echo_request(ROUTER, NODE).transport_byte(0, 135)).only(Family::Ipv6),
        untouched("s19_a_neighbour_answers", echo_request(ROUTER, NODE).transport_byte(0, 136)).only(Family::Ipv6),
        untouched("s19_a_router_redirects", echo_request(ROUTER, NODE).transport_byte(0, 5)).only(Family::Ipv4),
        untouched(
            "s19_behind_a_hop_by_hop_header",
            tcp(FROM, NODE.at(22)).syn().extension(Extension::HopByHop { units: 1 }),
        )
        .only(Family::Ipv6),
        untouched(
            "s28_an_error_about_the_nodes_own_packet",
            icmp_error(ROUTER, NODE, ErrorKind::HostUnreachable, tcp(NODE.at(45_000), CLIENT.at(443)).syn()),
        ),
    ];
    check_rows(rows);
}

#[test]
fn s20_packets_to_others_pass_untouched() {
    let rows = vec![
        untouched("s20_an_address_beside_a_frontend", tcp(FROM, BESIDE.at(80)).syn()),
        untouched("s20_echo_to_an_address_beside", echo_request(CLIENT, BESIDE)),
        untouched("s20_the_node_port_at_an_external_ip", tcp(FROM, EXTERNAL.at(30_080)).syn()),
        untouched("s20_an_unserved_port_of_an_external_ip", tcp(FROM, EXTERNAL.at(81)).syn()),
        untouched("s20_an_unserved_protocol_of_a_load_balancer", udp(FROM, BALANCER.at(80))),
        untouched("s20_a_backend_itself", tcp(FROM, BACKEND).syn()),
        untouched("s20_a_pod_itself", tcp(FROM, HERE).syn()),
        untouched("s20_another_host", tcp(FROM, REMOTE_OTHER.at(1)).syn()),
        row("s20_leaving_the_node", egress(tcp(NODE.at(45_000), CLIENT.at(443)).syn())).serving(web_here()),
        row("s20_a_pod_on_its_own_account", egress(tcp(POD.at(45_000), CLIENT.at(443)).syn())).serving(web_here()),
        row("s20_a_datagram_of_a_backend", egress(udp(HERE, FROM))).serving(web_here()),
        row("s20_echo_of_a_pod", egress(echo_request(POD, CLIENT))).serving(web_here()),
        row("s20_another_pod", egress(tcp(POD_OTHER.at(8080), FROM).syn_ack())).serving(web_here()),
    ];
    check_rows(rows);
}

/// Frames that are not IP unicast, as bytes.
fn strange_frames() -> Vec<(&'static str, Vec<u8>)> {
    let packet = tcp(FROM, NODE_PORT).syn();
    let arp = [
        &[0xff; 6][..],
        &[2, 0, 0, 0, 1, 0xfe, 8, 6, 0, 1, 8, 0, 6, 4, 0, 1, 2, 0, 0, 0, 1, 0xfe],
        &[192, 0, 2, 254, 0, 0, 0, 0, 0, 0, 192, 0, 2, 1],
    ];
    let mut multicast = packet.clone().ethernet([2, 0, 0, 0, 1, 0xfe], [1, 0, 0x5e, 0, 0, 1]);
    let broadcast = packet.clone().ethernet([2, 0, 0, 0, 1, 0xfe], [0xff; 6]);
    multicast.ttl = 1;
    let with_type = |high, low| {
        let mut frame = packet.bytes(Family::Ipv4);
        (frame[12], frame[13]) = (high, low);
        frame
    };
    vec![
        ("an ARP request", arp.concat()),
        ("a multicast frame", multicast.bytes(Family::Ipv4)),
        ("a broadcast frame", broadcast.bytes(Family::Ipv4)),
        ("an unknown ether type", with_type(0x12, 0x34)),
        ("LLDP", with_type(0x88, 0xcc)),
        ("MPLS", with_type(0x88, 0x47)),
        ("three VLAN tags", packet.clone().vlans(&[1, 2, 3]).bytes(Family::Ipv4)),
        ("IPv4 called IPv6", with_type(0x86, 0xdd)),
    ]
}

#[test]
fn s20_frames_that_are_not_ip_pass_untouched() {
    let shared = shared();
    let mut node = shared.lock();
    node.serve(&[web()]);
    let before = node.state().counts();
    for (name, frame) in strange_frames() {
        for hook in [Hook::Xdp, Hook::TcIngress, Hook::TcEgress] {
            let (action, out) = node.run_frame(hook, Device::Uplink, &frame);
            assert_eq!((action, out), (harness::test_run::Action::Pass, frame.clone()), "{name} at {hook:?}");
        }
    }
    assert!(node.state().counts_since(&before).is_empty() && node.state().embryonic().is_empty());
}
