//! ICMP errors about translated packets: the error is translated like a reply, and the packet that it quotes is turned
//! back into what its sender sent (S28).

use harness::{
    packet::{ErrorKind, Packet, Place, icmp_error, sctp, tcp, udp},
    scene::Family,
    test_run::{Row, check_rows, egress, ingress, places::*, row},
};

use super::*;

const KINDS: [(ErrorKind, [&str; 4]); 4] = [
    (ErrorKind::PortUnreachable, ["s28_port", "s28_port_back", "s28_port_here", "s28_port_from_here"]),
    (ErrorKind::HostUnreachable, ["s28_host", "s28_host_back", "s28_host_here", "s28_host_from_here"]),
    (ErrorKind::TooBig(1400), ["s28_too_big", "s28_too_big_back", "s28_too_big_here", "s28_too_big_from_here"]),
    (ErrorKind::TimeExceeded, ["s28_time", "s28_time_back", "s28_time_here", "s28_time_from_here"]),
];

/// An error by `from` about the packet `sent` to another node; the client gets an error about `quoted`.
fn about_request(name: &'static str, from: Place, kind: ErrorKind, sent: Packet, quoted: Packet) -> Row {
    let frontend = quoted.destination.place;
    row(name, ingress(icmp_error(from, NODE, kind, sent)))
        .leaves_as(icmp_error(frontend, CLIENT, kind, quoted).ttl(63))
        .counts(&[Counter::PacketForwarded])
}

#[test]
fn s28_errors_about_requests_reach_the_client() {
    let mut rows = Vec::new();
    for (kind, names) in KINDS {
        let (sent, quoted) = (tcp(SNAT, BACKEND).data().ttl(60), tcp(FROM, NODE_PORT).data().ttl(60));
        rows.push(about_request(names[0], REMOTE, kind, sent, quoted).serving(web()).after(handshake()));
    }
    let port = ErrorKind::PortUnreachable;
    let too_big = ErrorKind::TooBig(1280);
    rows.extend([
        about_request("s28_from_a_router", ROUTER, too_big, tcp(SNAT, BACKEND).data(), tcp(FROM, NODE_PORT).data())
            .serving(web())
            .after(handshake()),
        about_request("s28_about_udp", REMOTE, port, udp(SNAT, BACKEND).ttl(60), udp(FROM, NODE_PORT).ttl(60))
            .serving(dns())
            .after([ingress(udp(FROM, NODE_PORT))]),
        about_request("s28_about_sctp", REMOTE, port, sctp(SNAT, BACKEND), sctp(FROM, NODE_PORT))
            .serving(web().protocol(Protocol::Sctp))
            .after([ingress(sctp(FROM, NODE_PORT))]),
        about_request("s28_cluster_ip", REMOTE, port, udp(SNAT, BACKEND), udp(FROM, CLUSTER_IP.at(80)))
            .serving(dns())
            .after([ingress(udp(FROM, CLUSTER_IP.at(80)))]),
    ]);
    let whole = |packet: Packet| packet.quoting(200);
    rows.push(
        row(
            "s28_quoted_whole",
            ingress(whole(icmp_error(REMOTE, NODE, too_big, tcp(SNAT, BACKEND).data().tcp_options(&[1; 8])))),
        )
        .serving(web())
        .after(handshake())
        .leaves_as(whole(icmp_error(NODE, CLIENT, too_big, tcp(FROM, NODE_PORT).data().tcp_options(&[1; 8]))).ttl(63))
        .counts(&[Counter::PacketForwarded]),
    );
    rows.push(
        about_request(
            "s28_quoted_with_options",
            REMOTE,
            port,
            udp(SNAT, BACKEND).options(&[1, 1, 1, 0]),
            udp(FROM, NODE_PORT).options(&[1, 1, 1, 0]),
        )
        .serving(dns())
        .only(Family::Ipv4)
        .after([ingress(udp(FROM, NODE_PORT))]),
    );
    rows.push(
        about_request(
            "s28_quoted_without_checksum",
            REMOTE,
            port,
            udp(SNAT, BACKEND).no_checksum(),
            udp(FROM, NODE_PORT).no_checksum(),
        )
        .serving(dns())
        .only(Family::Ipv4)
        .after([ingress(udp(FROM, NODE_PORT))]),
    );
    check_rows(rows);
}

#[test]
fn s28_errors_about_answers_reach_the_backend() {
    let mut rows = Vec::new();
    for (kind, names) in KINDS {
        let heard = tcp(NODE_PORT, FROM).data().ttl(50);
        rows.push(
            row(names[1], ingress(icmp_error(CLIENT, NODE, kind, heard.clone())))
                .serving(web())
                .after(handshake())
                .leaves_as(icmp_error(NODE, REMOTE, kind, tcp(BACKEND, SNAT).data().ttl(50)).ttl(63))
                .counts(&[Counter::PacketForwarded]),
        );
        rows.push(
            row(names[2], ingress(icmp_error(CLIENT, NODE, kind, heard)))
                .serving(web_here())
                .after(handshake_here())
                .becomes(icmp_error(CLIENT, POD, kind, tcp(HERE, FROM).data().ttl(50)))
                .counts(&[Counter::PacketTranslated]),
        );
        rows.push(
            row(names[3], egress(icmp_error(POD, CLIENT, kind, udp(FROM, HERE).ttl(50))))
                .serving(dns_here())
                .after([ingress(udp(FROM, NODE_PORT))])
                .becomes(icmp_error(NODE, CLIENT, kind, udp(FROM, NODE_PORT).ttl(50)))
                .counts(&[Counter::PacketTranslated]),
        );
    }
    rows.push(
        row(
            "s28_of_the_nodes_own_stack",
            egress(icmp_error(NODE, CLIENT, ErrorKind::TooBig(1400), udp(FROM, HERE).ttl(50))),
        )
        .serving(dns_here())
        .after([ingress(udp(FROM, CLUSTER_IP.at(80)))])
        .becomes(icmp_error(CLUSTER_IP, CLIENT, ErrorKind::TooBig(1400), udp(FROM, CLUSTER_IP.at(80)).ttl(50)))
        .counts(&[Counter::PacketTranslated]),
    );
    check_rows(rows);
}

#[test]
fn s28_errors_about_nothing_known_are_not_translated() {
    let port = ErrorKind::PortUnreachable;
    let asked = || [ingress(udp(FROM, NODE_PORT))];
    let rows = vec![
        row("s28_unknown_flow_of_the_node", ingress(icmp_error(REMOTE, NODE, port, udp(NODE.at(7777), BACKEND))))
            .serving(dns()),
        row(
            "s28_unknown_flow_of_a_cluster_ip",
            ingress(icmp_error(CLIENT, CLUSTER_IP, port, udp(CLUSTER_IP.at(80), CLIENT.at(7777)))),
        )
        .serving(dns()),
        row("s28_about_the_opposite_direction", ingress(icmp_error(REMOTE, NODE, port, udp(BACKEND, SNAT))))
            .serving(dns())
            .after(asked()),
        row("s28_padding_is_not_quoted", ingress(about_answered().padded(20))).serving(web()).after(handshake()),
        row("s28_a_quotation_cut_short", ingress(about_answered().truncated(68))).serving(web()).after(handshake()),
        row("s28_about_a_later_fragment", ingress(later_fragment())).serving(dns()).after(asked()),
        row("s28_leaving_about_nothing", egress(icmp_error(POD, CLIENT, port, udp(CLIENT.at(7777), HERE))))
            .serving(dns_here())
            .after(asked()),
        row(
            "s28_parameter_problem_of_no_flow",
            ingress(icmp_error(REMOTE, NODE, ErrorKind::ParameterProblem, udp(NODE.at(1), BACKEND))),
        )
        .serving(dns()),
    ];
    check_rows(rows);
}

/// The error quotes eight bytes behind the headers, which do not include the checksum.
fn about_answered() -> Packet {
    icmp_error(REMOTE, NODE, ErrorKind::PortUnreachable, tcp(SNAT, BACKEND).data())
}

fn later_fragment() -> Packet {
    icmp_error(REMOTE, NODE, ErrorKind::HostUnreachable, udp(SNAT, BACKEND).payload_length(100).fragment(56..108))
}
