//! SCTP associations: how they open, live and end (field case S13, S29, S40), as with nf_conntrack.

use harness::{
    packet::{
        ErrorKind, Packet,
        association::{BACKEND_TAG, CLIENT_TAG, chunk::*, from_backend, from_client, init, init_ack},
        icmp_error,
    },
    test_run::{Row, check_rows, egress, ingress, places::*, row},
};

use super::*;

const FORWARDED: [Counter; 1] = [Counter::PacketForwarded];
const TRANSLATED: [Counter; 1] = [Counter::PacketTranslated];

/// Another packet of the client as it arrives.
fn client(kind: u8) -> Packet {
    from_client(FROM, NODE_PORT, kind)
}

/// Another packet of the backend on another node as it arrives.
fn backend(kind: u8) -> Packet {
    from_backend(BACKEND, SNAT, kind)
}

pub(super) fn associations() -> Service {
    web().protocol(Protocol::Sctp)
}

pub(super) fn associations_here() -> Service {
    web_here().protocol(Protocol::Sctp)
}

/// The Service has another backend now.
fn moved() -> Step {
    Step::Serve(vec![bare().protocol(Protocol::Sctp).remote(REMOTE_OTHER.at(8080))])
}

/// An open association with a backend on another node.
pub(super) fn open() -> [Step; 4] {
    [
        ingress(init(FROM, NODE_PORT)),
        ingress(init_ack(BACKEND, SNAT)),
        ingress(client(COOKIE_ECHO)),
        ingress(backend(COOKIE_ACK)),
    ]
}

/// An open association with the backend on this node.
fn open_here() -> [Step; 4] {
    [
        ingress(init(FROM, NODE_PORT)),
        egress(init_ack(HERE, FROM)),
        ingress(client(COOKIE_ECHO)),
        egress(from_backend(HERE, FROM, COOKIE_ACK)),
    ]
}

/// The client's data still goes to its backend, whatever backend the Service has now.
fn goes_on(name: &'static str, steps: impl IntoIterator<Item = Step>) -> Row {
    row(name, ingress(client(DATA)))
        .serving(associations())
        .after(open())
        .after(steps)
        .after([moved()])
        .leaves_as(from_client(SNAT, BACKEND, DATA).ttl(63))
        .counts(&FORWARDED)
        .flows(2, 0)
}

/// The association has ended: the client's next one, from the same port, goes to the Service's current backend.
fn has_ended(name: &'static str, steps: impl IntoIterator<Item = Step>) -> Row {
    row(name, ingress(init(FROM, NODE_PORT)))
        .serving(associations())
        .after(open())
        .after(steps)
        .after([moved()])
        .leaves_as(init(SNAT, REMOTE_OTHER.at(8080)).ttl(63))
        .counts(&OPENED)
}

/// The flow is not known any more: the client's data is left to the stack.
fn is_forgotten(name: &'static str, steps: impl IntoIterator<Item = Step>) -> Row {
    row(name, ingress(client(DATA))).serving(associations()).after(open()).after(steps)
}

#[test]
fn field_s13_an_association_outlives_quiet_minutes() {
    let cookie = || open().into_iter().take(3);
    let rows = vec![
        goes_on("field_s13_quiet_for_150_seconds", [Step::Idle(150)]),
        goes_on("field_s13_quiet_for_209_seconds", [Step::Idle(209)]),
        goes_on(
            "field_s13_a_heartbeat_puts_its_end_off",
            [
                Step::Idle(150),
                ingress(client(HEARTBEAT)),
                Step::Idle(150),
                ingress(backend(HEARTBEAT)),
                Step::Idle(150),
            ],
        ),
        row("field_s13_quiet_after_the_cookie", ingress(client(DATA)))
            .serving(associations())
            .after(cookie())
            .after([Step::Idle(150), moved()])
            .leaves_as(from_client(SNAT, BACKEND, DATA).ttl(63))
            .counts(&FORWARDED)
            .flows(2, 0),
        row("field_s13_the_backends_data", ingress(backend(DATA)))
            .serving(associations())
            .after(open())
            .after([Step::Idle(150)])
            .leaves_as(from_backend(NODE_PORT, FROM, DATA).ttl(63))
            .counts(&FORWARDED)
            .flows(2, 0),
        row("field_s13_to_a_backend_here", ingress(client(DATA)))
            .serving(associations_here())
            .after(open_here())
            .after([Step::Idle(150)])
            .becomes(from_client(FROM, HERE, DATA))
            .counts(&TRANSLATED)
            .flows(2, 0),
        row("field_s13_from_a_backend_here", egress(from_backend(HERE, FROM, DATA)))
            .serving(associations_here())
            .after(open_here())
            .after([Step::Idle(150)])
            .becomes(from_backend(NODE_PORT, FROM, DATA))
            .counts(&TRANSLATED)
            .flows(2, 0),
        is_forgotten("field_s13_quiet_for_longer", [Step::Idle(211)]),
    ];
    check_rows(rows);
}

#[test]
fn field_s13_only_an_init_opens_an_association() {
    let at_cluster_ip = |kind| from_client(FROM, CLUSTER_IP.at(80), kind);
    let error = icmp_error(CLUSTER_IP, CLIENT, ErrorKind::PortUnreachable, at_cluster_ip(DATA));
    let mut rows = vec![
        row("field_s13_data_for_a_cluster_ip", ingress(at_cluster_ip(DATA)))
            .serving(associations())
            .is_answered_by(error.ttl(64).identification(0))
            .counts(&[Counter::RejectUnknownConnection])
            .flows(0, 0),
        // RFC 9260 §8.5.1 A.
        row("field_s13_an_init_with_a_tag", ingress(init(FROM, NODE_PORT).tag(5))).serving(associations()).flows(0, 0),
        row("field_s13_data_before_the_answer", ingress(client(DATA)))
            .serving(associations())
            .after([ingress(init(FROM, NODE_PORT))])
            .leaves_as(from_client(SNAT, BACKEND, DATA).ttl(63))
            .counts(&FORWARDED)
            .flows(0, 2),
    ];
    let others = [DATA, INIT_ACK, HEARTBEAT, ABORT, SHUTDOWN, SHUTDOWN_ACK, COOKIE_ECHO, COOKIE_ACK, SHUTDOWN_COMPLETE];
    // At the node's own address the stack answers, or has asked for this packet.
    rows.extend(others.map(|kind| row("field_s13_at_a_node_port", ingress(client(kind))).serving(associations())));
    check_rows(rows);
}

#[test]
fn field_s13_a_blind_sender_opens_no_association() {
    let embryonic = || [ingress(init(FROM, NODE_PORT)), ingress(init_ack(BACKEND, SNAT))];
    let rows = vec![
        row("field_s13_a_cookie_with_a_wrong_tag", ingress(client(COOKIE_ECHO).tag(5)))
            .serving(associations())
            .after(embryonic())
            .leaves_as(from_client(SNAT, BACKEND, COOKIE_ECHO).tag(5).ttl(63))
            .counts(&FORWARDED)
            .flows(0, 2),
        row("field_s13_an_answer_with_a_wrong_tag", ingress(client(COOKIE_ECHO)))
            .serving(associations())
            .after([ingress(init(FROM, NODE_PORT)), ingress(init_ack(BACKEND, SNAT).tag(5))])
            .leaves_as(from_client(SNAT, BACKEND, COOKIE_ECHO).ttl(63))
            .counts(&FORWARDED)
            .flows(0, 2),
        row("field_s13_the_true_cookie", ingress(client(COOKIE_ECHO)))
            .serving(associations())
            .after(embryonic())
            .after([ingress(client(COOKIE_ECHO).tag(5))])
            .leaves_as(from_client(SNAT, BACKEND, COOKIE_ECHO).ttl(63))
            .counts(&FORWARDED)
            .flows(0, 2),
        row("field_s13_its_acknowledgment", ingress(backend(COOKIE_ACK)))
            .serving(associations())
            .after(embryonic())
            .after([ingress(client(COOKIE_ECHO).tag(5)), ingress(client(COOKIE_ECHO))])
            .leaves_as(from_backend(NODE_PORT, FROM, COOKIE_ACK).ttl(63))
            .counts(&FORWARDED)
            .flows(2, 0),
        row("field_s13_unanswered_for_longer_than_three_seconds", ingress(client(DATA)))
            .serving(associations())
            .after([ingress(init(FROM, NODE_PORT)), Step::Idle(4)])
            .flows(0, 2),
    ];
    check_rows(rows);
}

#[test]
fn field_s13_what_ends_an_association_needs_its_tag() {
    let pause = || Step::Idle(12);
    let reflected = |packet: Packet| packet.chunk(ABORT, 1, 77);
    let rows = vec![
        goes_on("field_s13_a_forged_abort", [ingress(client(ABORT).tag(5)), pause()]),
        goes_on("field_s13_an_abort_with_the_other_tag", [ingress(client(ABORT).tag(CLIENT_TAG)), pause()]),
        goes_on("field_s13_an_abort_without_a_tag", [ingress(client(ABORT).tag(0)), pause()]),
        goes_on("field_s13_a_reflected_abort_with_its_own_tag", [ingress(reflected(client(ABORT))), pause()]),
        goes_on("field_s13_the_backends_forged_abort", [ingress(backend(ABORT).tag(5)), pause()]),
        goes_on("field_s13_a_forged_shutdown", [ingress(client(SHUTDOWN).tag(5)), pause()]),
        goes_on(
            "field_s13_a_forged_end",
            [ingress(client(SHUTDOWN).tag(5)), ingress(backend(SHUTDOWN_ACK).tag(5)), pause()],
        ),
        goes_on("field_s13_an_init_over_it", [ingress(init(FROM, NODE_PORT)), pause()]),
        has_ended("field_s13_an_abort", [ingress(client(ABORT))]),
        has_ended("field_s13_the_backends_abort", [ingress(backend(ABORT))]),
        has_ended("field_s13_a_reflected_abort", [ingress(reflected(client(ABORT)).tag(CLIENT_TAG))]),
        has_ended("field_s13_the_backends_reflected_abort", [ingress(reflected(backend(ABORT)).tag(BACKEND_TAG))]),
        row("field_s13_a_refusal", ingress(init(FROM, NODE_PORT)))
            .serving(associations())
            .after([ingress(init(FROM, NODE_PORT)), ingress(backend(ABORT)), moved()])
            .leaves_as(init(SNAT, REMOTE_OTHER.at(8080)).ttl(63))
            .counts(&OPENED),
        is_forgotten("field_s13_an_aborted_one_after_ten_seconds", [ingress(client(ABORT)), Step::Idle(11)]),
    ];
    check_rows(rows);
}

#[test]
fn s29_associations_stay_and_end_as_connections_do() {
    let end = || [ingress(client(SHUTDOWN)), ingress(backend(SHUTDOWN_ACK)), ingress(client(SHUTDOWN_COMPLETE))];
    let rows = vec![
        goes_on("s29_sctp_data_to_a_lost_backend", []),
        row("s29_sctp_shutdown_of_a_lost_backend", ingress(client(SHUTDOWN)))
            .serving(associations())
            .after(open())
            .after([moved()])
            .leaves_as(from_client(SNAT, BACKEND, SHUTDOWN).ttl(63))
            .counts(&FORWARDED),
        has_ended("s29_sctp_after_a_shutdown", end().into_iter().take(1)),
        has_ended("s29_sctp_after_its_acknowledgment", end().into_iter().take(2)),
        has_ended("s29_sctp_after_its_end", end()),
        is_forgotten("s29_sctp_a_shutdown_after_three_seconds", end().into_iter().take(1).chain([Step::Idle(4)])),
        // A repeated INIT goes to the same backend as long as no backend has replied.
        row("s29_sctp_an_init_that_comes_again", ingress(init(FROM, NODE_PORT)))
            .serving(associations())
            .after([ingress(init(FROM, NODE_PORT))])
            .leaves_as(init(SNAT, BACKEND).ttl(63))
            .counts(&FORWARDED)
            .flows(0, 2),
        row("s29_sctp_an_init_that_has_been_answered", ingress(init(FROM, NODE_PORT)))
            .serving(associations())
            .after(open().into_iter().take(2))
            .after([Step::Serve(vec![associations().remote(REMOTE_OTHER.at(8080))])])
            .leaves_as(init(SNAT, BACKEND).ttl(63))
            .counts(&FORWARDED)
            .flows(0, 2),
        row("s29_sctp_an_init_to_a_lost_backend", ingress(init(FROM, NODE_PORT)))
            .serving(associations())
            .after([ingress(init(FROM, NODE_PORT)), moved()])
            .leaves_as(init(SNAT, REMOTE_OTHER.at(8080)).ttl(63))
            .counts(&OPENED),
    ];
    check_rows(rows);
}
