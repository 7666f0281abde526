//! TCP connections: states, retransmissions, ends, and new connections after an end (S16, S28, S29).

use harness::{
    packet::{Packet, tcp, tcp_flags::*},
    test_run::{Row, check_rows, egress, ingress, places::*, row},
};

use super::*;

const FORWARDED: [Counter; 1] = [Counter::PacketForwarded];

fn from_client(name: &'static str, packet: fn(Packet) -> Packet) -> Row {
    row(name, ingress(packet(tcp(FROM, NODE_PORT))))
        .serving(web())
        .leaves_as(packet(tcp(SNAT, BACKEND)).ttl(63))
        .counts(&FORWARDED)
}

/// FROM and its backend have both closed.
fn closed() -> Vec<Step> {
    let mut steps = handshake().to_vec();
    steps.extend([ingress(tcp(FROM, NODE_PORT).fin()), ingress(last(BACKEND, SNAT))]);
    steps
}

/// The last segment of the backend: its numbers are the client's in reverse.
fn last(backend: End, client: End) -> Packet {
    tcp(backend, client).fin().sequence(5001, 1001)
}

fn elsewhere() -> Step {
    Step::Serve(vec![bare().remote(REMOTE_OTHER.at(8080))])
}

#[test]
fn s28_segments_of_a_known_connection_are_translated() {
    let syn = || [ingress(tcp(FROM, NODE_PORT).syn())];
    let rows = vec![
        from_client("s28_syn_again", Packet::syn).after(syn()).flows(0, 1),
        from_client("s28_last_of_the_handshake", Packet::ack).after(handshake().into_iter().take(2)).flows(2, 0),
        from_client("s28_data", Packet::data).after(handshake()).flows(2, 0),
        from_client("s28_fin", Packet::fin).after(handshake()).flows(2, 0),
        from_client("s28_reset", Packet::rst).after(handshake()).flows(2, 0),
        from_client("s28_syn_after_the_answer", Packet::syn).after(handshake().into_iter().take(2)).flows(0, 2),
        from_client("s28_ack_after_both_fins", Packet::ack).after(closed()).flows(2, 0),
        from_client("s28_data_after_the_backends_fin", Packet::data)
            .after(handshake())
            .after([ingress(last(BACKEND, SNAT))]),
        from_client("s28_syn_on_an_open_connection", Packet::syn).after(handshake()).flows(2, 0),
        from_client("s28_data_of_a_connection_from_the_port_of_one_that_ended", Packet::data)
            .after(handshake())
            .after([Step::Expire])
            .after(handshake())
            .flows(2, 0),
        from_client("s29_an_open_connection_stays_with_its_backend", Packet::data)
            .after(handshake())
            .after([elsewhere()]),
        from_client("s29_a_fin_drains", Packet::fin).after(handshake()).after([elsewhere()]),
    ];
    check_rows(rows);
}

#[test]
fn s29_a_syn_does_not_move_a_connection_whose_backend_is_usable() {
    let rows = vec![
        from_client("s29_syn_on_an_open_connection_stays_with_its_backend", Packet::syn)
            .after(handshake())
            .after([Step::Serve(vec![web().remote(REMOTE_OTHER.at(8080))])]),
        // While its Service has not changed. Otherwise the SYN may lead elsewhere: see the next test.
        from_client("s29_a_syn_again_stays_with_its_backend", Packet::syn).after([ingress(tcp(FROM, NODE_PORT).syn())]),
    ];
    check_rows(rows);
}

/// The backend has left its Service between a client's SYN and its retransmission, and both backends answer.
#[test]
fn s28_of_two_answers_the_first_decides() {
    let other = REMOTE_OTHER.at(8080);
    let (syn, answer, second) = (
        ingress(tcp(FROM, NODE_PORT).syn()),
        ingress(tcp(BACKEND, SNAT).syn_ack()),
        ingress(tcp(other, SNAT).syn_ack()),
    );
    let asked = || [syn.clone(), elsewhere(), syn.clone()];
    let both = |name, backend| {
        row(name, ingress(tcp(FROM, NODE_PORT).ack()))
            .serving(web())
            .after(asked())
            .leaves_as(tcp(SNAT, backend).ack().ttl(63))
            .counts(&FORWARDED)
            .flows(2, 1)
    };
    let rows = vec![
        both("s28_the_one_that_left_is_first", BACKEND).after([answer.clone(), second.clone()]),
        both("s28_the_one_that_left_is_second", other).after([second.clone(), answer.clone()]),
    ];
    check_rows(rows);
}

#[test]
fn s28_a_connection_outlives_its_service() {
    let other = service("other").node_port(30_081).remote(BACKEND);
    let gone = || [Step::Serve(vec![]), Step::Tidy(30_081)];
    let rows = vec![
        from_client("s28_an_open_one", Packet::data).serving(other.clone()).after(handshake()).after(gone()),
        from_client("s28_one_that_is_answered_after", Packet::ack)
            .serving(other)
            .after([ingress(tcp(FROM, NODE_PORT).syn())])
            .after(gone())
            .after([ingress(tcp(BACKEND, SNAT).syn_ack())]),
    ];
    check_rows(rows);
}

#[test]
fn s29_a_new_connection_after_the_old_one_selects_again() {
    let again = |name| {
        row(name, ingress(tcp(FROM, NODE_PORT).syn()))
            .serving(web())
            .leaves_as(tcp(SNAT, REMOTE_OTHER.at(8080)).syn().ttl(63))
            .counts(&OPENED)
    };
    let rows = vec![
        again("s29_after_both_fins").after(closed()).after([elsewhere()]),
        again("s29_after_a_reset")
            .after(handshake())
            .after([ingress(tcp(BACKEND, SNAT).rst().sequence(5001, 0)), elsewhere()]),
        again("s29_after_the_end_of_its_time").after(handshake()).after([elsewhere(), Step::Expire]),
        again("s29_without_an_answer_and_the_backend_is_gone")
            .after([ingress(tcp(FROM, NODE_PORT).syn()), elsewhere()]),
        row("s29_the_same_backend", ingress(tcp(FROM, NODE_PORT).syn()))
            .serving(web())
            .after(closed())
            .leaves_as(tcp(SNAT, BACKEND).syn().ttl(63))
            .counts(&OPENED),
        row("s29_from_another_node_to_this_one", ingress(tcp(FROM, NODE_PORT).syn()))
            .serving(web())
            .after(closed())
            .after([Step::Serve(vec![web_here()])])
            .becomes(tcp(FROM, HERE).syn())
            .counts(&OPENED_HERE),
        row("s16_no_backend_left", ingress(tcp(FROM, NODE_PORT).syn()))
            .serving(web())
            .after(closed())
            .after([Step::Serve(vec![bare()])])
            .is_answered_by(reset(NODE_PORT, 0, 1001, RST | ACK))
            .counts(&[Counter::RejectNoBackend]),
    ];
    check_rows(rows);
}

#[test]
fn s28_segments_of_an_unknown_connection_are_refused() {
    let unknown = |name, packet: Packet, answer| {
        row(name, ingress(packet)).serving(web()).is_answered_by(answer).counts(&[Counter::RejectUnknownConnection])
    };
    let refused = |name, packet| unknown(name, packet, reset(CLUSTER_IP.at(80), 5001, 0, RST));
    let to_service = || tcp(FROM, CLUSTER_IP.at(80));
    let rows = vec![
        refused("s28_ack", to_service().ack()).flows(0, 0),
        refused("s28_data", to_service().data()),
        refused("s28_fin", to_service().fin()),
        refused("s28_syn_ack", to_service().syn_ack().sequence(1, 5001)),
        unknown("s28_no_flags", to_service().sequence(7, 0), reset(CLUSTER_IP.at(80), 0, 7, RST | ACK)),
        unknown("s28_fin_alone", to_service().flags(FIN).sequence(7, 0), reset(CLUSTER_IP.at(80), 0, 8, RST | ACK)),
        unknown(
            "s28_syn_and_fin",
            to_service().flags(SYN | FIN).sequence(u32::MAX, 0),
            reset(CLUSTER_IP.at(80), 0, 1, RST | ACK),
        ),
        unknown("s28_at_an_external_ip", tcp(FROM, EXTERNAL.at(80)).data(), reset(EXTERNAL.at(80), 5001, 0, RST)),
        row("s28_a_reset_is_not_answered", ingress(to_service().rst()))
            .serving(web())
            .drops()
            .counts(&[Counter::RejectUnknownConnection]),
        row("s28_a_reset_with_ack_is_not_answered", ingress(to_service().flags(RST | ACK).sequence(1, 1)))
            .serving(web())
            .drops()
            .counts(&[Counter::RejectUnknownConnection]),
        row("s28_a_syn_that_resets_is_not_answered", ingress(to_service().flags(SYN | RST).sequence(1, 0)))
            .serving(web())
            .drops()
            .counts(&[Counter::RejectUnknownConnection]),
        refused("s28_all_flags_but_reset", to_service().flags(!RST).sequence(1, 5001)),
        // Before the backend's reply only a SYN belongs to the connection.
        refused("s28_data_before_the_answer", to_service().data()).after([ingress(to_service().syn())]).flows(0, 1),
        row("s28_reset_before_the_answer", ingress(to_service().rst()))
            .serving(web())
            .after([ingress(to_service().syn())])
            .drops()
            .counts(&[Counter::RejectUnknownConnection])
            .flows(0, 1),
        refused("s28_after_the_end_of_its_time", to_service().data())
            .after([ingress(to_service().syn()), ingress(tcp(BACKEND, SNAT).syn_ack()), ingress(to_service().ack())])
            .after([Step::Expire]),
        row("s28_here", ingress(to_service().data()))
            .serving(web_here())
            .is_answered_by(reset(CLUSTER_IP.at(80), 5001, 0, RST))
            .counts(&[Counter::RejectUnknownConnection]),
    ];
    check_rows(rows);
}

#[test]
fn s26_connections_to_this_node_live_the_same_life() {
    let translated = [Counter::PacketTranslated];
    let client = |name, packet: fn(Packet) -> Packet| {
        row(name, ingress(packet(tcp(FROM, NODE_PORT))))
            .serving(web_here())
            .after(handshake_here())
            .becomes(packet(tcp(FROM, HERE)))
            .counts(&translated)
            .flows(2, 0)
    };
    let rows = vec![
        client("s26_data", Packet::data),
        client("s26_fin", Packet::fin),
        client("s26_reset", Packet::rst),
        client("s26_ack_after_the_answers_fin", Packet::ack).after([egress(last(HERE, FROM))]),
        row("s26_last_of_the_handshake", ingress(tcp(FROM, NODE_PORT).ack()))
            .serving(web_here())
            .after(handshake_here().into_iter().take(2))
            .becomes(tcp(FROM, HERE).ack())
            .counts(&translated)
            .flows(2, 0),
    ];
    check_rows(rows);
}
