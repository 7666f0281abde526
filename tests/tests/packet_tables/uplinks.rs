//! Replies of backends on this node that rules of policy routing have sent to another device than the frontend's
//! (W10).

use harness::{
    packet::{Packet, tcp, udp},
    test_run::{Device, Row, check_rows, ingress, places::*, row},
};

use super::*;

const FORWARDED: [Counter; 1] = [Counter::PacketForwarded];
const TRANSLATED: [Counter; 1] = [Counter::PacketTranslated];

/// The stack sends a reply to `device`, on a node with such rules.
fn by(name: &'static str, device: Device, answer: Packet) -> Row {
    row(name, Step::Egress(device, answer)).after([Step::Rules])
}

#[test]
fn w10_answers_go_to_the_device_of_what_comes_from_the_frontend() {
    let asked = || [ingress(tcp(FROM, NODE_PORT).syn())];
    let rows = vec![
        by("w10_syn_ack", Device::Second, tcp(HERE, FROM).syn_ack())
            .serving(web_here())
            .after(asked())
            .leaves_as(tcp(NODE_PORT, FROM).syn_ack())
            .counts(&FORWARDED)
            .flows(0, 2),
        by("w10_data", Device::Second, tcp(HERE, FROM).data())
            .serving(web_here())
            .after(handshake_here())
            .leaves_as(tcp(NODE_PORT, FROM).data())
            .counts(&FORWARDED)
            .flows(2, 0),
        by("w10_udp", Device::Narrow, udp(HERE, FROM))
            .serving(dns_here())
            .after([ingress(udp(FROM, NODE_PORT))])
            .leaves_as(udp(NODE_PORT, FROM))
            .counts(&FORWARDED),
        by("w10_there_already", Device::Uplink, tcp(HERE, FROM).syn_ack())
            .serving(web_here())
            .after(asked())
            .becomes(tcp(NODE_PORT, FROM).syn_ack())
            .counts(&TRANSLATED),
        by("w10_what_the_pod_begins_goes_its_own_way", Device::Second, tcp(HERE, FROM).syn()).serving(web_here()),
        // No route leads to the client, so the reply leaves as it would without rules.
        by("w10_no_way", Device::Second, tcp(HERE, LOST.at(40_000)).syn_ack())
            .serving(web_here())
            .after([ingress(tcp(LOST.at(40_000), NODE_PORT).syn())])
            .becomes(tcp(NODE_PORT, LOST.at(40_000)).syn_ack())
            .counts(&TRANSLATED),
    ];
    check_rows(rows);
}
