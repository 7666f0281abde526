//! Fragments are translated, passed or dropped, never half-translated (S28).

use std::ops::Range;

use harness::{
    packet::{Packet, tcp, udp},
    scene::Family,
    test_run::{Row, check_rows, egress, ingress, places::*, row},
};

use super::*;

const FIRST: Range<usize> = 0..56;
const MIDDLE: Range<usize> = 56..80;
const LAST: Range<usize> = 80..108;
const FORWARDED: [Counter; 1] = [Counter::PacketForwarded];

fn question(destination: End) -> Packet {
    udp(FROM, destination).payload_length(100).may_fragment()
}

fn sent() -> Packet {
    udp(SNAT, BACKEND).payload_length(100).may_fragment().ttl(63)
}

fn first() -> [Step; 1] {
    [ingress(question(NODE_PORT).fragment(FIRST))]
}

#[test]
fn s28_fragments_follow_their_first_one() {
    let follows = |name, range: Range<usize>| {
        row(name, ingress(question(NODE_PORT).fragment(range.clone())))
            .serving(dns())
            .after(first())
            .leaves_as(sent().fragment(range))
            .counts(&FORWARDED)
    };
    let rows = vec![
        row("s28_first", ingress(question(NODE_PORT).fragment(FIRST)))
            .serving(dns())
            .leaves_as(sent().fragment(FIRST))
            .counts(&OPENED),
        follows("s28_middle", MIDDLE),
        follows("s28_last", LAST),
        follows("s28_last_before_middle", MIDDLE).after([ingress(question(NODE_PORT).fragment(LAST))]),
        row("s28_first_of_a_known_flow", ingress(question(NODE_PORT).fragment(FIRST)))
            .serving(dns())
            .after(exchange())
            .leaves_as(sent().fragment(FIRST))
            .counts(&FORWARDED),
        row("s28_a_fragment_that_is_whole", ingress(question(NODE_PORT).fragment(0..108)))
            .serving(dns())
            .leaves_as(sent().fragment(0..108))
            .counts(&OPENED),
        row("s28_of_tcp", ingress(tcp(FROM, NODE_PORT).data().payload_length(60).fragment(32..80)))
            .serving(web())
            .after(handshake())
            .after([ingress(tcp(FROM, NODE_PORT).data().payload_length(60).fragment(0..32))])
            .leaves_as(tcp(SNAT, BACKEND).data().payload_length(60).fragment(32..80).ttl(63))
            .counts(&FORWARDED),
        row("s28_behind_extension_headers", ingress(behind(question(NODE_PORT)).fragment(LAST)))
            .serving(dns())
            .only(Family::Ipv6)
            .after([ingress(behind(question(NODE_PORT)).fragment(FIRST))])
            .leaves_as(behind(sent()).fragment(LAST))
            .counts(&FORWARDED),
        row("s28_behind_options", ingress(question(NODE_PORT).options(&[1; 8]).fragment(LAST)))
            .serving(dns())
            .only(Family::Ipv4)
            .after(first())
            .leaves_as(sent().options(&[1; 8]).fragment(LAST))
            .counts(&FORWARDED),
    ];
    check_rows(rows);
}

fn behind(packet: Packet) -> Packet {
    packet.extension(harness::packet::Extension::HopByHop { units: 1 })
}

#[test]
fn s28_fragments_of_answers_and_to_this_node() {
    let answer = || udp(BACKEND, SNAT).payload_length(100).may_fragment();
    let here = || udp(HERE, FROM).payload_length(100).may_fragment();
    let translated = [Counter::PacketTranslated];
    let answered = |name, range: Range<usize>| {
        row(name, ingress(answer().fragment(range.clone())))
            .serving(dns())
            .after([ingress(udp(FROM, NODE_PORT))])
            .leaves_as(answer().from(NODE_PORT).to(FROM).fragment(range).ttl(63))
            .counts(&FORWARDED)
    };
    let answered_here = |name, range: Range<usize>| {
        row(name, egress(here().fragment(range.clone())))
            .serving(dns_here())
            .after([ingress(udp(FROM, NODE_PORT))])
            .becomes(here().from(NODE_PORT).fragment(range))
            .counts(&translated)
    };
    let delivered = |name, range: Range<usize>| {
        row(name, ingress(question(NODE_PORT).fragment(range.clone())))
            .serving(dns_here())
            .becomes(question(HERE).fragment(range))
    };
    let rows: Vec<Row> = vec![
        answered("s28_answer_first", FIRST),
        answered("s28_answer_last", LAST).after([ingress(answer().fragment(FIRST))]),
        answered_here("s26_answer_first", FIRST),
        answered_here("s26_answer_last", LAST).after([egress(here().fragment(FIRST))]),
        delivered("s26_first", FIRST).counts(&OPENED_HERE),
        delivered("s26_middle", MIDDLE).after(first()).counts(&translated),
        delivered("s26_last", LAST).after(first()).counts(&translated),
    ];
    check_rows(rows);
}

#[test]
fn s28_fragments_without_their_first_one_are_never_half_translated() {
    let cluster_ip = CLUSTER_IP.at(80);
    let dropped = |name, destination| {
        row(name, ingress(question(destination).fragment(LAST)))
            .serving(dns())
            .drops()
            .counts(&[Counter::DropFragmentOutOfOrder])
    };
    let rows = vec![
        row("s28_to_the_node", ingress(question(NODE_PORT).fragment(LAST))).serving(dns()),
        dropped("s28_to_a_cluster_ip", cluster_ip),
        dropped("s28_to_an_unowned_address", UNOWNED.at(80)),
        dropped("s28_of_another_packet", cluster_ip)
            .after([ingress(question(cluster_ip).identification(0x4321).fragment(FIRST))]),
        dropped("s28_of_another_client", cluster_ip)
            .after([ingress(question(cluster_ip).from(CLIENT_OTHER.at(20_001)).fragment(FIRST))]),
        row("s28_to_an_address_beside", ingress(question(BESIDE.at(80)).fragment(LAST))).serving(dns()),
        row("s28_first_without_all_of_its_header", ingress(tcp(FROM, cluster_ip).syn().fragment(0..8)))
            .serving(web())
            .drops()
            .counts(&[Counter::DropMalformed]),
        row("s28_first_to_a_port_of_the_node", ingress(question(NODE.at(53)).fragment(FIRST))).serving(dns()),
        row("s28_last_to_a_port_of_the_node", ingress(question(NODE.at(53)).fragment(LAST)))
            .serving(dns())
            .after([ingress(question(NODE.at(53)).fragment(FIRST))]),
        row("s28_leaving_without_the_first", egress(udp(HERE, FROM).payload_length(100).fragment(LAST)))
            .serving(dns_here())
            .after([ingress(udp(FROM, NODE_PORT))]),
    ];
    check_rows(rows);
}
