//! Packets of clients in pods of this node whose sockets no hook sees (`--pod-interfaces`): they are served as a
//! socket on this node is.

use harness::{
    packet::{ErrorKind, Packet, icmp_error, sctp, tcp, udp},
    test_run::{Device, Hook, Row, check_rows, from_pod, ingress, places::*, row},
};

use super::*;

/// The client in a pod.
const IN_POD: End = POD.at(20_001);
/// The backend in another pod of this node.
const BESIDE_POD: End = POD_OTHER.at(8080);
/// The Service's cluster IP.
const FRONTEND: End = CLUSTER_IP.at(80);

fn with_neighbour() -> Service {
    bare().local(BESIDE_POD)
}

/// A packet of a pod that is sent on to the backend on another node.
fn forwarded(name: &'static str, frontend: End, service: Service) -> Row {
    row(name, from_pod(tcp(IN_POD, frontend).syn()))
        .serving(service)
        .leaves_as(tcp(SNAT, BACKEND).syn().ttl(63))
        .counts(&OPENED)
        .flows(0, 1)
}

fn dropped(name: &'static str, packet: Packet, service: Service, counter: Counter) -> Row {
    row(name, from_pod(packet)).serving(service).drops().counts(&[counter]).flows(0, 0)
}

#[test]
fn s18_pods_reach_every_frontend() {
    let mut rows = Vec::new();
    for (names, frontend) in [
        (["s18_pod_cluster_ip", "s26_pod_cluster_ip"], FRONTEND),
        (["s18_pod_node_port", "s26_pod_node_port"], NODE_PORT),
        (["s18_pod_external_ip", "s26_pod_external_ip"], EXTERNAL.at(80)),
        (["s18_pod_load_balancer", "s26_pod_load_balancer"], BALANCER.at(80)),
    ] {
        rows.push(forwarded(names[0], frontend, web()));
        rows.push(
            row(names[1], from_pod(tcp(IN_POD, frontend).syn()))
                .serving(with_neighbour())
                .becomes(tcp(IN_POD, BESIDE_POD).syn())
                .counts(&OPENED_HERE)
                .flows(0, 1),
        );
    }
    rows.extend([
        row("s18_pod_udp", from_pod(udp(IN_POD, FRONTEND)))
            .serving(dns())
            .leaves_as(udp(SNAT, BACKEND).ttl(63))
            .counts(&OPENED),
        row("s26_pod_udp", from_pod(udp(IN_POD, FRONTEND)))
            .serving(with_neighbour().protocol(Protocol::Udp))
            .becomes(udp(IN_POD, BESIDE_POD))
            .counts(&OPENED_HERE),
        row("s18_pod_sctp", from_pod(sctp(IN_POD, FRONTEND)))
            .serving(web().protocol(Protocol::Sctp))
            .leaves_as(sctp(SNAT, BACKEND).ttl(63))
            .counts(&OPENED),
        row("s26_pod_to_a_process_of_the_node", from_pod(tcp(IN_POD, FRONTEND).syn()))
            .serving(bare().local(NODE.at(8080)))
            .becomes(tcp(IN_POD, NODE.at(8080)).syn())
            .counts(&OPENED_HERE),
    ]);
    check_rows(rows);
}

#[test]
fn s17_pods_get_the_cluster_list() {
    let everywhere = || web().external_local();
    let local = Counter::DropNoLocalBackend;
    let rows = vec![
        forwarded("s17_pod_node_port", NODE_PORT, everywhere()),
        forwarded("s17_pod_external_ip", EXTERNAL.at(80), everywhere()),
        forwarded("s17_pod_load_balancer", BALANCER.at(80), everywhere()),
        row("s17_pod_by_udp", from_pod(udp(IN_POD, NODE_PORT)))
            .serving(dns().external_local())
            .leaves_as(udp(SNAT, BACKEND).ttl(63))
            .counts(&OPENED),
        // For comparison, a client outside.
        row("s17_not_from_outside", ingress(tcp(FROM, NODE_PORT).syn())).serving(everywhere()).drops().counts(&[local]),
        dropped("s14_pod_internal_policy_local", tcp(IN_POD, FRONTEND).syn(), web().internal_local(), local),
        row("s14_pod_internal_policy_local_here", from_pod(tcp(IN_POD, FRONTEND).syn()))
            .serving(web().local(BESIDE_POD).internal_local())
            .becomes(tcp(IN_POD, BESIDE_POD).syn())
            .counts(&OPENED_HERE),
    ];
    check_rows(rows);
}

#[test]
fn s21_source_ranges_hold_for_pods() {
    const OTHERS: [&str; 2] = ["198.51.100.0/24", "2001:db8:51::/48"];
    const PODS: [&str; 2] = ["10.244.1.0/24", "fd00:244:1::/64"];
    let syn = |frontend| tcp(IN_POD, frontend).syn();
    let rows = vec![
        dropped("s21_pod_outside", syn(BALANCER.at(80)), web().ranges(&OTHERS), Counter::DropSourceRange),
        dropped("s21_pod_outside_none", syn(BALANCER.at(80)), bare().ranges(&OTHERS), Counter::DropSourceRange),
        forwarded("s21_pod_inside", BALANCER.at(80), web().ranges(&PODS)),
        forwarded("s21_pod_cluster_ip", FRONTEND, web().ranges(&OTHERS)),
        forwarded("s21_pod_node_port", NODE_PORT, web().ranges(&OTHERS)),
    ];
    check_rows(rows);
}

#[test]
fn s16_s20_pods_are_refused() {
    let reset_to = |from: End| tcp(from, IN_POD).flags(20).sequence(0, 1001).window(0).identification(0);
    let refused = |name, frontend: End, service, counter| {
        row(name, from_pod(tcp(IN_POD, frontend).syn()))
            .serving(service)
            .is_answered_by(reset_to(frontend))
            .counts(&[counter])
    };
    let question = || udp(IN_POD, FRONTEND);
    let unreachable = icmp_error(CLUSTER_IP, POD, ErrorKind::PortUnreachable, question()).identification(0);
    let rows = vec![
        refused("s16_pod_no_backend", FRONTEND, bare(), Counter::RejectNoBackend),
        refused("s16_pod_no_backend_by_node_port", NODE_PORT, bare(), Counter::RejectNoBackend),
        refused("s20_pod_unserved_port", CLUSTER_IP.at(81), web(), Counter::RejectUnservedPort),
        row("s16_pod_no_backend_by_udp", from_pod(question()))
            .serving(bare().protocol(Protocol::Udp))
            .is_answered_by(unreachable)
            .counts(&[Counter::RejectNoBackend]),
        dropped("s20_pod_unowned", tcp(IN_POD, UNOWNED.at(80)).syn(), web(), Counter::DropUnownedAddress),
        dropped("s20_pod_unowned_udp", udp(IN_POD, UNOWNED.at(53)), web(), Counter::DropUnownedAddress),
    ];
    check_rows(rows);
}

#[test]
fn s20_what_pods_send_to_others_passes_untouched() {
    let untouched = |name, packet: Packet| row(name, from_pod(packet)).serving(web()).serving(dns().named("dns"));
    let rows = vec![
        untouched("s20_pod_to_a_host", tcp(IN_POD, CLIENT.at(443)).syn()),
        untouched("s20_pod_to_a_pod", tcp(IN_POD, BESIDE_POD).syn()),
        untouched("s20_pod_to_a_backend", tcp(IN_POD, BACKEND).syn()),
        untouched("s20_pod_to_the_node", tcp(IN_POD, NODE.at(22)).syn()),
        untouched("s20_pod_asks_for_names_beside", udp(IN_POD, BESIDE.at(53))),
        untouched("s20_pod_answers_a_client", tcp(HERE, FROM).syn_ack()),
    ];
    check_rows(rows);
}

/// The pod has dialled the cluster IP.
fn dialled() -> [Step; 1] {
    [from_pod(tcp(IN_POD, FRONTEND).syn())]
}

#[test]
fn s28_answers_to_pods_come_from_the_frontend() {
    let answer = || tcp(BACKEND, SNAT).syn_ack();
    let rows = vec![
        row("s28_pod_answer_of_another_node", ingress(answer()))
            .serving(web())
            .at(Hook::TcIngress)
            .after(dialled())
            .leaves_as(tcp(FRONTEND, IN_POD).syn_ack().ttl(63))
            .counts(&[Counter::PacketForwarded]),
        // XDP can't send to a device without an XDP program: TC sees the packet next.
        row("s28_pod_answer_of_another_node_by_xdp", ingress(answer())).serving(web()).at(Hook::Xdp).after(dialled()),
        row("s28_pod_answer_of_another_pod", Step::Egress(Device::Pod, tcp(BESIDE_POD, IN_POD).syn_ack()))
            .serving(with_neighbour())
            .after(dialled())
            .becomes(tcp(FRONTEND, IN_POD).syn_ack())
            .counts(&[Counter::PacketTranslated]),
        row("s28_pod_answer_of_the_node", Step::Egress(Device::Pod, tcp(NODE.at(8080), IN_POD).syn_ack()))
            .serving(bare().local(NODE.at(8080)))
            .after(dialled())
            .becomes(tcp(FRONTEND, IN_POD).syn_ack())
            .counts(&[Counter::PacketTranslated]),
        row("s28_pod_data_after_the_answer", from_pod(tcp(IN_POD, FRONTEND).data()))
            .serving(web())
            .after(dialled())
            .after([ingress(answer()), from_pod(tcp(IN_POD, FRONTEND).ack())])
            .at(Hook::TcIngress)
            .leaves_as(tcp(SNAT, BACKEND).data().ttl(63))
            .counts(&[Counter::PacketForwarded])
            .flows(2, 0),
        row(
            "s28_pod_error_about_its_packet",
            ingress(icmp_error(REMOTE, NODE, ErrorKind::TooBig(1400), tcp(SNAT, BACKEND).syn())),
        )
        .serving(web())
        .at(Hook::TcIngress)
        .after(dialled())
        .leaves_as(icmp_error(CLUSTER_IP, POD, ErrorKind::TooBig(1400), tcp(IN_POD, FRONTEND).syn()).ttl(63))
        .counts(&[Counter::PacketForwarded]),
    ];
    check_rows(rows);
}

#[test]
fn s27_a_pod_reaches_itself() {
    let syn = |frontend| from_pod(tcp(IN_POD, frontend).syn());
    let forwarded = [Counter::PacketForwarded];
    // The packet does not go up the stack, which accepts none from outside with the node's own source address.
    let dials = |name, frontend| {
        row(name, syn(frontend))
            .serving(web_here())
            .leaves_as(tcp(SNAT, HERE).syn().ttl(63))
            .counts(&OPENED)
            .flows(0, 1)
    };
    let answered = |name, frontend: End, packet: fn(Packet) -> Packet| {
        row(name, from_pod(packet(tcp(HERE, SNAT))))
            .serving(web_here())
            .after([syn(frontend)])
            .leaves_as(packet(tcp(frontend, IN_POD)).ttl(63))
            .counts(&forwarded)
    };
    let asked = || [from_pod(udp(IN_POD, FRONTEND))];
    let port = ErrorKind::PortUnreachable;
    let rows = vec![
        dials("s27_pod_by_cluster_ip", FRONTEND),
        dials("s27_pod_by_node_port", NODE_PORT),
        answered("s27_pod_answers_itself", FRONTEND, Packet::syn_ack),
        answered("s27_pod_answers_itself_by_node_port", NODE_PORT, Packet::syn_ack),
        answered("s27_pod_refuses_itself", FRONTEND, Packet::rst),
        row("s27_pod_by_udp", from_pod(udp(IN_POD, FRONTEND)))
            .serving(dns_here())
            .leaves_as(udp(SNAT, HERE).ttl(63))
            .counts(&OPENED),
        row("s27_pod_answers_itself_by_udp", from_pod(udp(HERE, SNAT)))
            .serving(dns_here())
            .after(asked())
            .leaves_as(udp(FRONTEND, IN_POD).ttl(63))
            .counts(&forwarded),
        row("s27_pod_tells_itself_of_an_error", from_pod(icmp_error(POD, NODE, port, udp(SNAT, HERE))))
            .serving(dns_here())
            .after(asked())
            .leaves_as(icmp_error(CLUSTER_IP, POD, port, udp(IN_POD, FRONTEND)).ttl(63))
            .counts(&forwarded),
        row("s27_pod_leaves_again", Step::Egress(Device::Pod, tcp(SNAT, HERE).syn()))
            .serving(web_here())
            .after([syn(FRONTEND)]),
        row("s27_pod_answer_leaves_again", Step::Egress(Device::Pod, tcp(FRONTEND, IN_POD).syn_ack()))
            .serving(web_here())
            .after([syn(FRONTEND)]),
    ];
    check_rows(rows);
}
