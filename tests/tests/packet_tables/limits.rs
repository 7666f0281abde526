//! Packets that can't be sent to a backend: hop limits, sizes, missing neighbours and routes, too many refusals.

use std::collections::BTreeMap;

use harness::{
    packet::{ErrorKind, Packet, icmp_error, tcp, udp},
    scene::Family,
    test_run::{Action, BenchNode, Device, Hook, check_rows, ingress, places::*, row},
};
use nix::{
    sched::{CpuSet, sched_getcpu, sched_setaffinity},
    unistd::Pid,
};

use super::*;

/// An error about `packet`, by the frontend that it was sent to.
fn error_about(kind: ErrorKind, packet: Packet) -> Packet {
    icmp_error(packet.destination.place, packet.source.place, kind, packet).identification(0)
}

#[test]
fn s28_the_hop_limit_is_kept_as_by_a_router() {
    let exceeded = ErrorKind::TimeExceeded;
    let syn = |ttl| tcp(FROM, NODE_PORT).syn().ttl(ttl);
    let answer = || udp(BACKEND, SNAT).ttl(1);
    let rows = vec![
        row("s28_two_hops_left", ingress(syn(2)))
            .serving(web())
            .leaves_as(tcp(SNAT, BACKEND).syn().ttl(1))
            .counts(&OPENED),
        row("s28_the_highest", ingress(syn(255)))
            .serving(web())
            .leaves_as(tcp(SNAT, BACKEND).syn().ttl(254))
            .counts(&OPENED),
        row("s28_one_hop_left", ingress(syn(1)))
            .serving(web())
            .is_answered_by(error_about(exceeded, syn(1)))
            .counts(&[Counter::FlowOpened, Counter::DropHopLimit]),
        row("s28_no_hop_left", ingress(syn(0)))
            .serving(web())
            .is_answered_by(error_about(exceeded, syn(0)))
            .counts(&[Counter::FlowOpened, Counter::DropHopLimit]),
        row("s28_by_udp", ingress(udp(FROM, CLUSTER_IP.at(80)).ttl(1)))
            .serving(dns())
            .is_answered_by(error_about(exceeded, udp(FROM, CLUSTER_IP.at(80)).ttl(1)))
            .counts(&[Counter::FlowOpened, Counter::DropHopLimit]),
        row("s28_of_an_answer", ingress(answer()))
            .serving(dns())
            .after([ingress(udp(FROM, NODE_PORT))])
            .is_answered_by(error_about(exceeded, answer()))
            .counts(&[Counter::DropHopLimit]),
    ];
    check_rows(rows);
}

#[test]
fn s28_the_sender_of_a_packet_that_does_not_fit_gets_an_error() {
    let narrow = || bare().protocol(Protocol::Udp).remote(NARROW.at(53));
    let long = |family, length: usize| {
        let headers = if family == Family::Ipv4 { 28 } else { 48 };
        udp(FROM, NODE_PORT).payload_length(length - headers)
    };
    let mut rows = Vec::new();
    for family in Family::BOTH {
        let fits = long(family, NARROW_MTU.into());
        rows.push(
            row("s28_fits", ingress(fits.clone()))
                .serving(narrow())
                .only(family)
                .leaves_as(fits.from(SNAT).to(NARROW.at(53)).ttl(63))
                .counts(&OPENED),
        );
        let long = long(family, usize::from(NARROW_MTU) + 1);
        rows.push(
            row("s28_one_byte_too_long", ingress(long.clone()))
                .serving(narrow())
                .only(family)
                .is_answered_by(error_about(ErrorKind::TooBig(NARROW_MTU), long))
                .counts(&[Counter::FlowOpened, Counter::DropTooBig]),
        );
    }
    check_rows(rows);
}

#[test]
fn s28_ways_that_are_not_there() {
    let rows = vec![
        row("s28_no_route", ingress(tcp(FROM, NODE_PORT).syn()))
            .serving(bare().remote(LOST.at(80)))
            .drops()
            .counts(&[Counter::FlowOpened, Counter::DropNoRoute]),
        row("s28_no_neighbour_passes_for_the_stack_to_ask", ingress(tcp(FROM, NODE_PORT).syn()))
            .serving(bare().remote(SILENT.at(80)))
            .at(Hook::Xdp)
            .counts(&[Counter::FlowOpened]),
        row("s28_no_neighbour_is_asked", ingress(tcp(FROM, NODE_PORT).syn()))
            .serving(bare().remote(SILENT.at(80)))
            .at(Hook::TcIngress)
            .leaves_as(tcp(SNAT, SILENT.at(80)).syn().ttl(63))
            .counts(&OPENED),
    ];
    check_rows(rows);
}

/// XDP passes untouched what it can't send, after it has opened the flow, and TC sends it.
#[test]
fn s28_a_first_packet_that_xdp_passes_on_is_sent_by_tc() {
    let shared = shared();
    let mut node = shared.lock();
    for family in Family::BOTH {
        node.serve(&[bare().remote(SILENT.at(8080)).remote(SILENT.at(8081))]);
        for port in 20_001..20_020 {
            node.state().forget();
            let syn = tcp(CLIENT.at(port), NODE_PORT).syn();
            let passed = node.run(Hook::Xdp, Device::Uplink, &syn, family);
            assert_eq!(passed, (Action::Pass, syn.bytes(family)));
            let chosen = node.state().embryonic()[0].1;
            let before = node.state().counts();
            let (action, _) = node.run(Hook::TcIngress, Device::Uplink, &syn, family);
            assert_eq!(action, Action::Redirect);
            assert_eq!(node.state().counts_since(&before), BTreeMap::from([(Counter::PacketForwarded, 1)]));
            let flows = node.state().embryonic();
            assert!(flows.len() == 1 && flows[0].1.meta.backend == chosen.meta.backend, "no second choice");
        }
    }
}

#[test]
fn s26_without_an_address_of_its_own_the_node_forwards_nothing() {
    let shared = shared();
    let mut node = shared.lock();
    node.serve(&[web()]);
    node.set_node_addresses(false);
    let before = node.state().counts();
    let syn = tcp(FROM, CLUSTER_IP.at(80)).syn();
    for family in Family::BOTH {
        for hook in [Hook::Xdp, Hook::TcIngress] {
            assert_eq!(node.run(hook, Device::Uplink, &syn, family).0, Action::Drop);
        }
    }
    let moved = node.state().counts_since(&before);
    assert_eq!(moved, BTreeMap::from([(Counter::DropNoNodeAddress, 4)]));
    assert!(node.state().embryonic().is_empty());
}

#[test]
fn s16_refusals_are_limited_to_a_number_a_second_and_processor() {
    const RATE: u64 = 1000;
    const MANY: u64 = 1500;
    // The limit is for each processor.
    let mut processors = CpuSet::new();
    processors.set(sched_getcpu().unwrap()).unwrap();
    sched_setaffinity(Pid::from_raw(0), &processors).unwrap();
    let mut node = BenchNode::limited("limited");
    node.serve(&[bare()]);
    for second in [1, 2] {
        node.state().age_refusals(1);
        let before = node.state().counts();
        let mut actions = BTreeMap::new();
        for port in 10_000..10_000 + u16::try_from(MANY).unwrap() {
            let syn = tcp(CLIENT.at(port), NODE_PORT).syn();
            let (action, _) = node.run(Hook::Xdp, Device::Uplink, &syn, Family::Ipv4);
            *actions.entry(format!("{action:?}")).or_insert(0) += 1;
        }
        let moved = node.state().counts_since(&before);
        let wanted = [(Counter::RejectNoBackend, RATE), (Counter::DropRejectLimited, MANY - RATE)];
        assert_eq!(moved, BTreeMap::from(wanted), "second {second}");
        let wanted = [(Action::Transmit, RATE), (Action::Drop, MANY - RATE)];
        assert_eq!(actions, wanted.map(|(action, count)| (format!("{action:?}"), count)).into(), "second {second}");
    }
}
