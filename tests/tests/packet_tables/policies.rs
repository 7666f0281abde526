//! Traffic policies for packets from outside (S12–S17): which list is used, and what an empty one means.

use harness::{
    packet::{Place, tcp, tcp_flags::RST, udp},
    test_run::{Row, check_rows, ingress, places::*, row},
};

use super::*;

fn both() -> Service {
    bare().remote(BACKEND).local(HERE)
}

fn opened(name: &'static str, frontend: End) -> Row {
    row(name, ingress(tcp(FROM, frontend).syn()))
}

#[test]
fn s14_each_policy_chooses_the_list_of_its_frontends() {
    let external: [(&'static str, End); 3] =
        [("s14_node_port", NODE_PORT), ("s14_external_ip", EXTERNAL.at(80)), ("s14_load_balancer", BALANCER.at(80))];
    let mut rows = Vec::new();
    for (name, frontend) in external {
        rows.push(
            opened(name, frontend).serving(both().external_local()).becomes(tcp(FROM, HERE).syn()).counts(&OPENED_HERE),
        );
    }
    rows.extend([
        opened("s14_internal_policy_local", CLUSTER_IP.at(80))
            .serving(both().internal_local())
            .becomes(tcp(FROM, HERE).syn())
            .counts(&OPENED_HERE),
        opened("s14_external_policy_leaves_cluster_ips_alone", CLUSTER_IP.at(80))
            .serving(web().external_local())
            .leaves_as(tcp(SNAT, BACKEND).syn().ttl(63))
            .counts(&OPENED),
        opened("s14_internal_policy_leaves_node_ports_alone", NODE_PORT)
            .serving(web().internal_local())
            .leaves_as(tcp(SNAT, BACKEND).syn().ttl(63))
            .counts(&OPENED),
        row("s14_by_udp", ingress(udp(FROM, NODE_PORT)))
            .serving(both().protocol(Protocol::Udp).external_local())
            .becomes(udp(FROM, HERE))
            .counts(&OPENED_HERE),
    ]);
    check_rows(rows);
}

#[test]
fn s16_an_empty_local_list_drops() {
    let dropped = |name, packet, service| {
        row(name, ingress(packet)).serving(service).drops().counts(&[Counter::DropNoLocalBackend]).flows(0, 0)
    };
    let external = |place: Place| tcp(FROM, place.at(80)).syn();
    let rows = vec![
        dropped("s16_node_port", tcp(FROM, NODE_PORT).syn(), web().external_local()),
        dropped("s16_external_ip", external(EXTERNAL), web().external_local()),
        dropped("s16_load_balancer", external(BALANCER), web().external_local()),
        dropped("s16_cluster_ip", external(CLUSTER_IP), web().internal_local()),
        dropped("s16_node_port_udp", udp(FROM, NODE_PORT), dns().external_local()),
        dropped("s16_cluster_ip_udp", udp(FROM, CLUSTER_IP.at(80)), dns().internal_local()),
    ];
    check_rows(rows);
}

#[test]
fn s16_established_flows_outlive_their_list() {
    let rows = vec![
        row("s16_a_connection_goes_on", ingress(tcp(FROM, NODE_PORT).data()))
            .serving(web())
            .after(handshake())
            .after([Step::Serve(vec![web().external_local()])])
            .leaves_as(tcp(SNAT, BACKEND).data().ttl(63))
            .counts(&[Counter::PacketForwarded]),
        row("s16_a_connection_goes_on_without_any_backend", ingress(tcp(FROM, NODE_PORT).data()))
            .serving(web())
            .after(handshake())
            .after([Step::Serve(vec![bare()])])
            .leaves_as(tcp(SNAT, BACKEND).data().ttl(63))
            .counts(&[Counter::PacketForwarded]),
        row("s16_a_connection_to_this_node_goes_on", ingress(tcp(FROM, NODE_PORT).data()))
            .serving(web_here())
            .after(handshake_here())
            .after([Step::Serve(vec![bare()])])
            .becomes(tcp(FROM, HERE).data())
            .counts(&[Counter::PacketTranslated]),
        row("s16_a_connection_outlives_its_frontend", ingress(tcp(FROM, CLUSTER_IP.at(80)).data()))
            .serving(web())
            .after([
                ingress(tcp(FROM, CLUSTER_IP.at(80)).syn()),
                ingress(tcp(BACKEND, SNAT).syn_ack()),
                ingress(tcp(FROM, CLUSTER_IP.at(80)).ack()),
                Step::Serve(vec![web().port(81)]),
            ])
            .leaves_as(tcp(SNAT, BACKEND).data().ttl(63))
            .counts(&[Counter::PacketForwarded]),
        row("s16_the_middle_of_an_unknown_connection", ingress(tcp(FROM, EXTERNAL.at(80)).data()))
            .serving(web().external_local())
            .is_answered_by(reset(EXTERNAL.at(80), 5001, 0, RST))
            .counts(&[Counter::RejectUnknownConnection]),
    ];
    check_rows(rows);
}
