//! Foreign flows, which another proxy translated before the node had an agent: left alone until they end (S31).

use harness::{
    packet::{ErrorKind, Packet, icmp_error, tcp, udp},
    scene::Family,
    test_run::{Action, BenchNode, Device, Hook, Row, check_rows, egress, ingress, places::*, row},
};
use proxy_common::State;

use super::*;

fn foreign(packet: Packet) -> [Step; 1] {
    [Step::Foreign(packet)]
}

/// A packet of a foreign TCP connection of FROM with `frontend`.
fn of_connection(name: &'static str, frontend: End, packet: fn(Packet) -> Packet) -> Row {
    row(name, ingress(packet(tcp(FROM, frontend)))).serving(web()).after(foreign(tcp(FROM, frontend))).flows(1, 0)
}

/// A datagram of a foreign flow of FROM with `frontend`.
fn of_datagrams(name: &'static str, frontend: End) -> Row {
    row(name, ingress(udp(FROM, frontend))).serving(dns()).after(foreign(udp(FROM, frontend))).flows(1, 0)
}

#[test]
fn s31_packets_of_a_foreign_flow_pass_untouched() {
    let (cluster_ip, external) = (CLUSTER_IP.at(80), EXTERNAL.at(80));
    let rows = vec![
        of_connection("s31_data", NODE_PORT, Packet::data),
        of_connection("s31_data_to_a_cluster_ip", cluster_ip, Packet::data),
        of_connection("s31_data_to_an_external_ip", external, Packet::data),
        of_connection("s31_data_to_a_load_balancer", BALANCER.at(80), Packet::data),
        of_connection("s31_fin", external, Packet::fin),
        of_connection("s31_reset", external, Packet::rst),
        of_connection("s31_data_after_a_reset", external, Packet::data).after([ingress(tcp(FROM, external).rst())]),
        of_connection("s31_ack_after_a_fin", external, Packet::ack).after([ingress(tcp(FROM, external).fin())]),
        of_connection("s31_without_a_backend_of_ours", external, Packet::data).after([Step::Serve(vec![bare()])]),
        of_connection("s31_without_a_service_of_ours", NODE_PORT, Packet::data).after([Step::Serve(vec![])]),
        of_datagrams("s31_datagram", NODE_PORT),
        of_datagrams("s31_datagram_to_a_cluster_ip", cluster_ip),
        of_datagrams("s31_datagram_without_a_backend_of_ours", cluster_ip).after([Step::Serve(vec![bare()])]),
        // The packets that the other proxy has translated also pass these hooks.
        row("s31_on_its_way_to_a_pod", egress(tcp(FROM, HERE).data()))
            .serving(web_here())
            .after(foreign(tcp(FROM, external))),
        row("s31_answer_of_a_pod", egress(tcp(external, FROM).data()))
            .serving(web_here())
            .after(foreign(tcp(FROM, external))),
        row("s31_answer_of_a_pod_before_it_is_translated", egress(tcp(HERE, FROM).data()))
            .serving(web_here())
            .after(foreign(tcp(FROM, external))),
        row("s31_answer_of_another_node", ingress(tcp(BACKEND, SNAT).data()))
            .serving(web())
            .after(foreign(tcp(FROM, NODE_PORT))),
        row("s31_answer_to_the_clients_address", ingress(tcp(BACKEND, FROM).data()))
            .serving(web())
            .after(foreign(tcp(FROM, NODE_PORT))),
    ];
    check_rows(rows);
}

#[test]
fn s31_errors_about_foreign_flows_pass_untouched() {
    let external = EXTERNAL.at(80);
    let mut rows = Vec::new();
    for (name, frontend) in [("s31_error", NODE_PORT), ("s31_error_external", external)] {
        let error = icmp_error(ROUTER, frontend.place, ErrorKind::TooBig(1400), tcp(frontend, FROM).data());
        rows.push(row(name, ingress(error)).serving(web()).after(foreign(tcp(FROM, frontend))));
    }
    let about_request = icmp_error(NODE, CLIENT, ErrorKind::HostUnreachable, tcp(FROM, external).data());
    rows.push(row("s31_error_to_the_client", egress(about_request)).serving(web()).after(foreign(tcp(FROM, external))));
    check_rows(rows);
}

#[test]
fn s31_fragments_of_foreign_flows_pass_untouched() {
    let mut rows = Vec::new();
    for (names, frontend) in [
        (["s31_first", "s31_last"], NODE_PORT),
        (["s31_first_to_a_cluster_ip", "s31_last_to_a_cluster_ip"], CLUSTER_IP.at(80)),
    ] {
        let fragment = |range| ingress(udp(FROM, frontend).payload_length(100).may_fragment().fragment(range));
        let of_flow = |name, step| row(name, step).serving(dns()).after(foreign(udp(FROM, frontend)));
        rows.push(of_flow(names[0], fragment(0..56)));
        rows.push(of_flow(names[1], fragment(56..108)).after([fragment(0..56)]));
    }
    check_rows(rows);
}

#[test]
fn s31_after_a_foreign_flow_ours_begin() {
    let rows = vec![
        row("s31_a_new_connection", ingress(tcp(FROM, NODE_PORT).syn()))
            .serving(web())
            .after(foreign(tcp(FROM, NODE_PORT)))
            .leaves_as(tcp(SNAT, BACKEND).syn().ttl(63))
            .counts(&OPENED)
            .flows(0, 1),
        row("s31_a_new_connection_here", ingress(tcp(FROM, EXTERNAL.at(80)).syn()))
            .serving(web_here())
            .after(foreign(tcp(FROM, EXTERNAL.at(80))))
            .becomes(tcp(FROM, HERE).syn())
            .counts(&OPENED_HERE)
            .flows(0, 1),
        row("s31_a_datagram_after_its_end", ingress(udp(FROM, NODE_PORT)))
            .serving(dns())
            .after(foreign(udp(FROM, NODE_PORT)))
            .after([Step::Expire])
            .leaves_as(udp(SNAT, BACKEND).ttl(63))
            .counts(&OPENED),
        row("s31_a_connection_after_its_end", ingress(tcp(FROM, EXTERNAL.at(80)).data()))
            .serving(web())
            .after(foreign(tcp(FROM, EXTERNAL.at(80))))
            .after([Step::Expire])
            .is_answered_by(reset(EXTERNAL.at(80), 5001, 0, tcp_flags::RST))
            .counts(&[Counter::RejectUnknownConnection]),
    ];
    check_rows(rows);
}

/// By how many jiffies a packet puts off the end of the foreign flow that the packet `opened`.
fn refreshes_by(node: &mut BenchNode, (hook, packet): (Hook, &Packet), opened: &Packet, family: Family) -> i32 {
    node.state().forget();
    node.state().set_foreign(opened.tuple(family), 10);
    let ended = node.state().assured()[0].1.meta.expires;
    assert_eq!(node.run(hook, Device::Uplink, packet, family), (Action::Pass, packet.bytes(family)));
    let entry = node.state().assured()[0].1;
    assert_eq!(entry.meta.state(), State::Foreign);
    entry.meta.expires.wrapping_sub(ended).cast_signed()
}

#[test]
fn s31_a_foreign_connection_lives_on_with_each_packet() {
    let shared = shared();
    let mut node = shared.lock();
    node.serve(&[web()]);
    for (hook, family) in [(Hook::Xdp, Family::Ipv4), (Hook::TcIngress, Family::Ipv6)] {
        for packet in [tcp(FROM, NODE_PORT).data(), tcp(FROM, NODE_PORT).rst()] {
            assert!(refreshes_by(&mut node, (hook, &packet), &packet, family) > 0, "{packet:?}");
        }
    }
}

#[test]
fn s31_only_replies_keep_a_foreign_flow_of_datagrams() {
    let shared = shared();
    let mut node = shared.lock();
    node.serve(&[dns()]);
    for (hook, family) in [(Hook::Xdp, Family::Ipv4), (Hook::TcIngress, Family::Ipv6)] {
        for frontend in [NODE_PORT, CLUSTER_IP.at(80), EXTERNAL.at(80)] {
            let (asks, answers) = (udp(FROM, frontend), udp(frontend, FROM));
            assert_eq!(refreshes_by(&mut node, (hook, &asks), &asks, family), 0, "{frontend:?}");
            let ticks = refreshes_by(&mut node, (Hook::TcEgress, &answers), &asks, family);
            assert!(ticks > 0, "{frontend:?}: {ticks}");
        }
    }
}
