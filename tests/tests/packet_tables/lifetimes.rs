//! How long connections live, and what does not shorten that (S40): late duplicates and forged segments, half-closed
//! connections, ports that are used again.

use harness::{
    packet::{Packet, tcp, tcp_flags::*},
    test_run::{Row, check_rows, egress, ingress, places::*, row},
};

use super::*;

const FORWARDED: [Counter; 1] = [Counter::PacketForwarded];
const TRANSLATED: [Counter; 1] = [Counter::PacketTranslated];
/// A sequence number that no receiver accepts.
const WRONG: u32 = 1 << 31;

fn client() -> Packet {
    tcp(FROM, NODE_PORT)
}

/// A segment of the backend on another node: its numbers are the client's in reverse.
fn backend(flags: u8) -> Packet {
    tcp(BACKEND, SNAT).flags(flags).sequence(5001, 1019)
}

/// A segment of the backend on this node.
fn backend_here(flags: u8) -> Packet {
    tcp(HERE, FROM).flags(flags).sequence(5001, 1019)
}

/// The client's next data.
fn more(packet: Packet) -> Packet {
    packet.flags(ACK | PSH).sequence(1019, 5001).payload(b"more")
}

/// An open connection to a backend on another node. The client has sent data up to number 1019, and the backend has
/// acknowledged it.
fn open() -> Vec<Step> {
    let mut steps = handshake().to_vec();
    steps.extend([ingress(client().data()), ingress(backend(ACK))]);
    steps
}

/// An open connection to a backend on this node, with such data.
fn open_here() -> Vec<Step> {
    let mut steps = handshake_here().to_vec();
    steps.extend([ingress(client().data()), egress(backend_here(ACK))]);
    steps
}

/// The Service gets one more backend.
fn wider() -> Step {
    Step::Serve(vec![web().remote(REMOTE_OTHER.at(8080))])
}

/// The Service gets another backend, and another Service gets the old one.
fn moved() -> Step {
    let other = service("other").node_port(30_081).remote(BACKEND);
    Step::Serve(vec![bare().remote(REMOTE_OTHER.at(8080)), other])
}

/// The client's data still goes to its backend.
fn goes_on(name: &'static str, steps: impl IntoIterator<Item = Step>) -> Row {
    row(name, ingress(more(client())))
        .serving(web())
        .after(open())
        .after(steps)
        .leaves_as(more(tcp(SNAT, BACKEND)).ttl(63))
        .counts(&FORWARDED)
        .flows(2, 0)
}

/// The client's data still goes to its backend on this node.
fn goes_on_here(name: &'static str, steps: impl IntoIterator<Item = Step>) -> Row {
    row(name, ingress(more(client())))
        .serving(web_here())
        .after(open_here())
        .after(steps)
        .becomes(more(tcp(FROM, HERE)))
        .counts(&TRANSLATED)
        .flows(2, 0)
}

/// The connection has ended: the client's data is left to the stack, which refuses it.
fn has_ended(name: &'static str, steps: impl IntoIterator<Item = Step>) -> Row {
    row(name, ingress(more(client()))).serving(web()).after(open()).after(steps)
}

#[test]
fn w07_a_stray_segment_does_not_shorten_a_connection() {
    let pause = || Step::Idle(11);
    let stray = |sequence| [ingress(client().rst().sequence(sequence, 0)), pause()];
    let forged = |flags, sequence, ack| [ingress(backend(flags).sequence(sequence, ack)), pause()];
    let rows = vec![
        goes_on("w07_the_clients_reset_with_a_wrong_number", stray(1019 + WRONG)),
        goes_on("w07_the_clients_reset_of_before", stray(1001)),
        goes_on("w07_the_clients_reset_in_the_window", stray(1020)),
        goes_on(
            "w07_the_clients_reset_with_the_right_acknowledgment",
            [ingress(client().flags(RST | ACK).sequence(1019 + WRONG, 5001)), pause()],
        ),
        goes_on("w07_the_backends_reset_with_a_wrong_number", forged(RST, 5001 + WRONG, 0)),
        goes_on("w07_the_backends_reset_with_the_right_acknowledgment", forged(RST | ACK, 0, 1019)),
        goes_on(
            "w07_a_reset_behind_an_invented_segment",
            [ingress(client().ack().sequence(WRONG, 5001)), ingress(client().rst().sequence(WRONG, 0)), pause()],
        ),
        goes_on(
            "w07_a_reset_behind_an_invented_syn",
            [ingress(client().syn().sequence(WRONG, 0)), ingress(client().rst().sequence(WRONG + 1, 0)), pause()],
        ),
        goes_on(
            "w07_a_fin_with_a_wrong_number",
            [
                ingress(client().fin().sequence(1019 + WRONG, 5001)),
                ingress(backend(FIN | ACK).sequence(5001 + WRONG, 1019)),
                Step::Idle(4000),
            ],
        ),
        goes_on("w07_a_reset_during_the_handshake", []).after([Step::Expire]).after([
            ingress(client().syn()),
            ingress(tcp(BACKEND, SNAT).rst().sequence(7, 0)),
            ingress(tcp(BACKEND, SNAT).syn_ack()),
            ingress(client().rst().sequence(7, 0)),
            ingress(client().ack()),
            pause(),
        ]),
        goes_on("w07_a_syn_again_after_its_answer", []).after([Step::Expire]).after([
            ingress(client().syn().sequence(WRONG, 0)),
            ingress(tcp(BACKEND, SNAT).syn_ack().sequence(5000, WRONG + 1)),
            Step::Idle(3),
            ingress(client().syn().sequence(WRONG, 0)),
            ingress(client().ack().sequence(WRONG + 1, 5001)),
        ]),
        goes_on_here("w07_to_this_node_a_wrong_number", stray(1019 + WRONG)),
        goes_on_here(
            "w07_a_wrong_number_from_this_node",
            [egress(backend_here(RST).sequence(5001 + WRONG, 0)), pause()],
        ),
    ];
    check_rows(rows);
}

#[test]
fn w07_a_syn_does_not_take_a_connections_place() {
    let syn = |sequence| ingress(client().syn().sequence(sequence, 0));
    let passes = |name, steps: Vec<Step>| {
        row(name, syn(70_000))
            .serving(web())
            .after(open())
            .after(steps)
            .leaves_as(tcp(SNAT, BACKEND).syn().sequence(70_000, 0).ttl(63))
            .counts(&FORWARDED)
            .flows(2, 0)
    };
    let stray = || ingress(client().rst().sequence(1019 + WRONG, 0));
    let rows = vec![
        passes("w07_a_syn_behind_a_stray_reset", vec![stray(), wider()]),
        passes("w07_a_syn_when_the_service_leads_elsewhere", vec![stray(), moved()]),
        passes("w07_a_syn_over_a_half_closed_one", vec![ingress(client().fin()), ingress(backend(ACK)), wider()]),
        passes(
            "w07_a_syn_when_the_backend_serves_until_it_ends",
            vec![Step::Serve(vec![bare().remote(REMOTE_OTHER.at(8080)).draining(BACKEND)])],
        ),
        goes_on("w07_data_after_a_syn", [stray(), wider(), syn(70_000), Step::Idle(11)]),
        goes_on("w07_a_challenge_and_no_reset", [syn(70_000), ingress(backend(ACK)), Step::Idle(11)]),
        row("w07_an_answer_after_a_half_close_and_a_syn", ingress(backend(ACK).payload(b"late")))
            .serving(web())
            .after(open())
            .after([ingress(client().fin()), ingress(backend(ACK)), syn(70_000), Step::Idle(3000)])
            .leaves_as(tcp(NODE_PORT, FROM).flags(ACK).sequence(5001, 1019).payload(b"late").ttl(63))
            .counts(&FORWARDED),
    ];
    check_rows(rows);
}

#[test]
fn w07_a_true_reset_frees_a_connection() {
    let after = |packet| [ingress(packet), Step::Idle(11)];
    let rows = vec![
        has_ended("w07_the_clients", after(client().rst().sequence(1019, 0))),
        has_ended(
            "w07_the_clients_behind_data",
            [ingress(more(client())), ingress(client().flags(RST | ACK).sequence(1023, 5001)), Step::Idle(11)],
        ),
        has_ended("w07_the_backends", after(backend(RST).sequence(5001, 0))),
        has_ended("w07_the_backends_with_ack", after(backend(RST | ACK))),
        has_ended(
            "w07_the_backends_behind_data",
            [ingress(backend(ACK).payload(b"data")), ingress(backend(RST).sequence(5005, 0)), Step::Idle(11)],
        ),
    ];
    check_rows(rows);
}

/// The client has forgotten its connection, and dials from that port again.
#[test]
fn w07_a_client_that_uses_its_port_again_connects() {
    let isn = 900_000;
    let syn = || ingress(client().syn().sequence(isn, 0));
    let again = |name, steps: Vec<Step>| {
        row(name, syn())
            .serving(web())
            .after(open())
            .after(steps)
            .leaves_as(tcp(SNAT, REMOTE_OTHER.at(8080)).syn().sequence(isn, 0).ttl(63))
            .counts(&OPENED)
    };
    let accepted = || ingress(backend(SYN | ACK).sequence(8000, isn + 1));
    let moved = || Step::Serve(vec![bare().remote(REMOTE_OTHER.at(8080))]);
    let rows = vec![
        again("w07_after_a_true_reset", vec![ingress(client().rst().sequence(1019, 0)), moved()]),
        again(
            "w07_after_the_backends_challenge",
            vec![syn(), ingress(backend(ACK)), ingress(client().rst().sequence(1019, 0)), moved()],
        ),
        again("w07_after_the_backends_refusal", vec![syn(), ingress(backend(RST | ACK).sequence(0, isn + 1)), moved()]),
        row("w07_the_backend_has_forgotten_it_too", ingress(client().ack().sequence(isn + 1, 8001)))
            .serving(web())
            .after(open())
            .after([syn(), accepted()])
            .leaves_as(tcp(SNAT, BACKEND).ack().sequence(isn + 1, 8001).ttl(63))
            .counts(&FORWARDED)
            .flows(2, 0),
        row("w07_the_backend_had_closed_it", ingress(client().ack().sequence(isn + 1, 8001)))
            .serving(web())
            .after(open())
            .after([ingress(backend(FIN | ACK)), syn(), accepted(), Step::Idle(4000)])
            .leaves_as(tcp(SNAT, BACKEND).ack().sequence(isn + 1, 8001).ttl(63))
            .counts(&FORWARDED)
            .flows(2, 0),
    ];
    check_rows(rows);
}

#[test]
fn w07_a_direct_connection_from_an_open_ones_port_passes() {
    let accepts = |name, steps: Vec<Step>| {
        row(name, egress(backend_here(SYN | ACK).sequence(777_000, 2001)))
            .serving(web_here())
            .after(open_here())
            .after(steps)
            .flows(0, 0)
    };
    let rows = vec![
        accepts("w07_over_an_open_one", vec![]),
        accepts("w07_over_a_half_closed_one", vec![ingress(client().fin()), egress(backend_here(ACK))]),
        row("w07_the_end_of_the_handshake_was_lost", egress(tcp(HERE, FROM).syn_ack()))
            .serving(web_here())
            .after(handshake_here())
            .becomes(tcp(NODE_PORT, FROM).syn_ack())
            .counts(&TRANSLATED)
            .flows(2, 0),
    ];
    check_rows(rows);
}

#[test]
fn w06_half_closed_connections_live_as_long_as_kube_proxys() {
    let late = |packet: Packet| packet.flags(ACK | PSH).sequence(5001, 1020).payload(b"at last");
    let closed = || [ingress(client().fin()), ingress(backend(ACK).sequence(5001, 1020))];
    let closed_here = || [ingress(client().fin()), egress(backend_here(ACK).sequence(5001, 1020))];
    let by_backend = || [ingress(backend(FIN | ACK)), ingress(client().ack().sequence(1019, 5002))];
    let rows = vec![
        row("w06_an_answer_from_another_node", ingress(late(backend(ACK))))
            .serving(web())
            .after(open())
            .after(closed())
            .after([Step::Idle(3500)])
            .leaves_as(late(tcp(NODE_PORT, FROM)).ttl(63))
            .counts(&FORWARDED)
            .flows(2, 0),
        row("w06_an_answer_from_this_node", egress(late(backend_here(ACK))))
            .serving(web_here())
            .after(open_here())
            .after(closed_here())
            .after([Step::Idle(3500)])
            .becomes(late(tcp(NODE_PORT, FROM)))
            .counts(&TRANSLATED)
            .flows(2, 0),
        goes_on("w06_a_client_whose_backend_has_closed", by_backend().into_iter().chain([Step::Idle(3500)])),
        has_ended("w06_not_for_longer", by_backend().into_iter().chain([Step::Idle(3601)])),
        has_ended("w06_a_fin_without_an_acknowledgement", [ingress(backend(FIN | ACK)), Step::Idle(121)]),
        has_ended(
            "w06_both_sides_have_closed",
            by_backend().into_iter().chain([ingress(client().fin()), Step::Idle(121)]),
        ),
    ];
    check_rows(rows);
}

#[test]
fn s40_an_established_connection_lives_for_a_day() {
    let rows = vec![
        goes_on("s40_after_almost_a_day", [Step::Idle(86_300)]),
        goes_on_here("s40_after_almost_a_day_here", [Step::Idle(86_300)]),
        has_ended("s40_after_a_day", [Step::Idle(86_401)]),
    ];
    check_rows(rows);
}
