//! SCTP of the node's own processes (W13): what they send to a Service leaves for a backend, and the replies come from
//! the Service.

use harness::{
    packet::{
        ErrorKind,
        association::{
            chunk::{COOKIE_ACK, COOKIE_ECHO, DATA},
            from_backend, from_client, init, init_ack,
        },
        icmp_error,
    },
    test_run::{Hook, Step, check_rows, egress, from_pod, ingress, places::*, row},
};

use super::{
    associations::{associations, associations_here},
    *,
};

/// The end of the process, whose port source translation may keep. It equals [`SNAT`].
const OWN: End = SNAT;
/// The address that the process dials.
const DIALLED: End = CLUSTER_IP.at(80);

const TRANSLATED: [Counter; 1] = [Counter::PacketTranslated];
const FORWARDED: [Counter; 1] = [Counter::PacketForwarded];

/// An association with a backend on another node.
fn open() -> [Step; 4] {
    [
        egress(init(OWN, DIALLED)),
        ingress(init_ack(BACKEND, SNAT)),
        egress(from_client(OWN, DIALLED, COOKIE_ECHO)),
        ingress(from_backend(BACKEND, SNAT, COOKIE_ACK)),
    ]
}

#[test]
fn w13_what_the_nodes_own_processes_send_by_sctp_reaches_a_backend() {
    check_rows(vec![
        row("w13_own_init", egress(init(OWN, DIALLED)))
            .serving(associations())
            .leaves_as(init(SNAT, BACKEND).ttl(63))
            .counts(&OPENED),
        row("w13_own_init_again", egress(init(OWN, DIALLED)))
            .serving(associations())
            .after([egress(init(OWN, DIALLED))])
            .leaves_as(init(SNAT, BACKEND).ttl(63))
            .counts(&FORWARDED),
        row("w13_own_init_of_an_ephemeral_port", egress(init(NODE.at(45_000), DIALLED)))
            .serving(associations())
            .leaves_from_any_port_as(init(SNAT, BACKEND).ttl(63))
            .counts(&OPENED_CHANGED),
        row("w13_own_init_to_a_pod_here", egress(init(OWN, DIALLED)))
            .serving(associations_here())
            .leaves_as(init(SNAT, HERE).ttl(63))
            .counts(&OPENED),
        row("w13_own_data", egress(from_client(OWN, DIALLED, DATA)))
            .serving(associations())
            .after(open())
            .after([Step::Serve(vec![bare().protocol(Protocol::Sctp).remote(REMOTE_OTHER.at(8080))])])
            .leaves_as(from_client(SNAT, BACKEND, DATA).ttl(63))
            .counts(&FORWARDED)
            .flows(2, 0),
        row("w13_own_init_without_backend", egress(init(OWN, DIALLED)))
            .serving(bare().protocol(Protocol::Sctp))
            .is_answered_by(
                icmp_error(CLUSTER_IP, NODE, ErrorKind::PortUnreachable, init(OWN, DIALLED)).identification(0),
            )
            .counts(&[Counter::RejectNoBackend]),
    ]);
}

#[test]
fn w13_answers_to_the_nodes_own_processes_come_from_the_service() {
    let answer = || row("w13_own_answer", ingress(init_ack(BACKEND, SNAT)));
    let opened = [egress(init(OWN, DIALLED))];
    check_rows(vec![
        answer()
            .serving(associations())
            .after(opened.clone())
            .at(Hook::TcIngress)
            .becomes(init_ack(DIALLED, OWN))
            .counts(&TRANSLATED),
        // XDP leaves such replies to TC, which has the programs for them.
        answer().serving(associations()).after(opened.clone()).at(Hook::Xdp),
        row("w13_own_answer_of_a_pod_here", from_pod(init_ack(HERE, SNAT)))
            .serving(associations_here())
            .after(opened)
            .redirected_to_ingress_as(init_ack(DIALLED, OWN))
            .counts(&TRANSLATED),
        row("w13_own_answer_has_come_in", ingress(init_ack(DIALLED, OWN))).serving(associations_here()).after(open()),
        row("w13_own_answer_data", ingress(from_backend(BACKEND, SNAT, DATA)))
            .serving(associations())
            .after(open())
            .at(Hook::TcIngress)
            .becomes(from_backend(DIALLED, OWN, DATA))
            .counts(&TRANSLATED),
    ]);
}

#[test]
fn w13_what_else_the_nodes_own_processes_send_goes_its_way() {
    check_rows(vec![
        row("w13_own_to_no_service", egress(init(OWN, CLIENT.at(80)))).serving(associations()),
        row("w13_own_to_a_port_that_is_not_served", egress(init(OWN, EXTERNAL.at(81)))).serving(associations()),
        // TCP sockets have already been connected to a backend, where they can be.
        row("w13_own_tcp", egress(tcp(OWN, DIALLED).syn())).serving(web()),
        row("w13_own_answer_to_a_client", egress(init_ack(OWN, FROM))).serving(associations()),
    ]);
}
