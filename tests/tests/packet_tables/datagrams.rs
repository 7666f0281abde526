//! UDP flows: they keep their backend while it is usable, and get another when it is not (S29).

use harness::{
    packet::udp,
    test_run::{check_rows, ingress, places::*, row},
};

use super::*;

fn elsewhere() -> Service {
    bare().protocol(Protocol::Udp).remote(REMOTE_OTHER.at(53))
}

#[test]
fn s29_a_datagram_flow_keeps_its_backend() {
    let forwarded = |name| {
        row(name, ingress(udp(FROM, NODE_PORT)))
            .serving(dns())
            .leaves_as(udp(SNAT, BACKEND).ttl(63))
            .counts(&[Counter::PacketForwarded])
    };
    let rows = vec![
        forwarded("s29_the_second_word").after([ingress(udp(FROM, NODE_PORT))]).flows(0, 2),
        forwarded("s29_after_an_answer").after(exchange()).flows(2, 0),
        forwarded("s29_another_backend_has_come")
            .after(exchange())
            .after([Step::Serve(vec![dns().remote(REMOTE_OTHER.at(53))])]),
        forwarded("s16_a_change_of_policy_is_for_new_flows")
            .after(exchange())
            .after([Step::Serve(vec![dns().local(HERE).external_local()])]),
        forwarded("s16_a_change_of_policy_that_leaves_no_backend_is_for_new_flows")
            .after(exchange())
            .after([Step::Serve(vec![dns().external_local()])]),
        row("s29_after_the_end_of_its_time", ingress(udp(FROM, NODE_PORT)))
            .serving(dns())
            .after(exchange())
            .after([Step::Serve(vec![elsewhere()]), Step::Expire])
            .leaves_as(udp(SNAT, REMOTE_OTHER.at(53)).ttl(63))
            .counts(&OPENED),
    ];
    check_rows(rows);
}

#[test]
fn s29_a_datagram_flow_moves_when_its_backend_goes() {
    let moved = |name| row(name, ingress(udp(FROM, NODE_PORT))).serving(dns()).after(exchange());
    let counts = [Counter::UdpFlowMoved, Counter::FlowOpened, Counter::PacketForwarded];
    let rows = vec![
        moved("s29_to_another_backend")
            .after([Step::Serve(vec![elsewhere()])])
            .leaves_as(udp(SNAT, REMOTE_OTHER.at(53)).ttl(63))
            .counts(&counts),
        row("s29_before_any_answer", ingress(udp(FROM, NODE_PORT)))
            .serving(dns())
            .after([ingress(udp(FROM, NODE_PORT)), Step::Serve(vec![elsewhere()])])
            .leaves_as(udp(SNAT, REMOTE_OTHER.at(53)).ttl(63))
            .counts(&counts),
        moved("s29_the_target_port_has_changed")
            .after([Step::Serve(vec![bare().protocol(Protocol::Udp).remote(REMOTE.at(8081))])])
            .leaves_as(udp(SNAT, REMOTE.at(8081)).ttl(63))
            .counts(&counts),
        moved("s29_from_another_node_to_this_one")
            .after([Step::Serve(vec![dns_here()])])
            .becomes(udp(FROM, HERE))
            .counts(&[Counter::UdpFlowMoved, Counter::FlowOpened, Counter::PacketTranslated]),
        row("s29_from_this_node_to_another_one", ingress(udp(FROM, NODE_PORT)))
            .serving(dns_here())
            .after([ingress(udp(FROM, NODE_PORT)), Step::Serve(vec![dns()])])
            .leaves_as(udp(SNAT, BACKEND).ttl(63))
            .counts(&counts),
        row("s29_the_first_backend_has_come", ingress(udp(FROM, NODE_PORT)))
            .serving(bare().protocol(Protocol::Udp))
            .after([ingress(udp(FROM, NODE_PORT)), Step::Serve(vec![dns()])])
            .leaves_as(udp(SNAT, BACKEND).ttl(63))
            .counts(&OPENED),
        row("s29_back_again", ingress(udp(FROM, NODE_PORT)))
            .serving(dns())
            .after(exchange())
            .after([Step::Serve(vec![elsewhere()]), ingress(udp(FROM, NODE_PORT)), Step::Serve(vec![dns()])])
            .leaves_as(udp(SNAT, BACKEND).ttl(63))
            .counts(&counts),
    ];
    check_rows(rows);
}

/// A backend that terminates but serves keeps its flows, and gets no new ones (KEP-5989).
#[test]
fn w12_a_datagram_flow_stays_with_a_backend_that_serves_until_it_ends() {
    let leaving = || Step::Serve(vec![elsewhere().draining(REMOTE.at(8080))]);
    let gone = || Step::Serve(vec![elsewhere()]);
    let from = CLIENT_OTHER.at(20_001);
    let other = REMOTE_OTHER.at(53);
    let stays = |name, before: Vec<Step>| {
        row(name, ingress(udp(FROM, NODE_PORT)))
            .serving(dns())
            .after(before)
            .after([leaving()])
            .leaves_as(udp(SNAT, BACKEND).ttl(63))
            .counts(&[Counter::PacketForwarded])
    };
    let moved = |name| {
        row(name, ingress(udp(FROM, NODE_PORT)))
            .serving(dns())
            .after(exchange())
            .leaves_as(udp(SNAT, other).ttl(63))
            .counts(&[Counter::UdpFlowMoved, Counter::FlowOpened, Counter::PacketForwarded])
    };
    let opened = |name, service: Service, leaving: Service| {
        row(name, ingress(udp(from, NODE_PORT)))
            .serving(service)
            .after(exchange())
            .after([Step::Serve(vec![leaving])])
            .leaves_as(udp(SNAT, other).ttl(63))
            .counts(&OPENED)
    };
    let leaving_dns = || elsewhere().draining(REMOTE.at(8080));
    let rows = vec![
        stays("w12_after_an_answer", exchange().into()).flows(2, 0),
        stays("w12_before_an_answer", vec![ingress(udp(FROM, NODE_PORT))]),
        stays("w12_after_more_changes", exchange().into()).after([Step::Serve(vec![leaving_dns().remote(FAR.at(53))])]),
        stays("w12_back_in_the_list", exchange().into()).after([Step::Serve(vec![dns()])]),
        moved("w12_when_it_serves_no_more").after([leaving(), gone()]),
        moved("w12_when_it_serves_no_more_after_a_packet").after([leaving(), ingress(udp(FROM, NODE_PORT)), gone()]),
        opened("w12_a_new_flow_goes_elsewhere", dns(), leaving_dns()),
        row("w12_a_client_with_affinity_goes_elsewhere", ingress(udp(CLIENT.at(20_002), NODE_PORT)))
            .serving(dns().affinity(100))
            .after(exchange())
            .after([Step::Serve(vec![leaving_dns().affinity(100)])])
            .leaves_as(udp(NODE.at(20_002), other).ttl(63))
            .counts(&OPENED),
    ];
    check_rows(rows);
}
