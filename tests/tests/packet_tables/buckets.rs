//! Where assured flows are: in buckets, or in the overflow when other flows have both buckets. Also torn buckets.

use harness::{
    packet::{Packet, tcp, udp},
    scene::Family,
    test_run::{BucketFault, Hook, Row, Step, check_rows, ingress, play, row},
};

use nix::{
    sched::{CpuSet, sched_getaffinity, sched_setaffinity},
    unistd::Pid,
};

use super::*;

/// Lets `fault` happen to the buckets of both entries of FROM's flow, which has `kind` of packet.
fn at_both(kind: fn(End, End) -> Packet, fault: BucketFault) -> [Step; 2] {
    [Step::InjectFault(kind(FROM, NODE_PORT), fault), Step::InjectFault(kind(BACKEND, SNAT), fault)]
}

/// A handshake before whose end other flows take the buckets of both entries. Those flows expire in this many seconds.
fn crowded(seconds: i32) -> Vec<Step> {
    let [syn, syn_ack, ack] = handshake();
    [&[syn, syn_ack], &at_both(tcp, BucketFault::Taken(seconds))[..], &[ack]].concat()
}

fn goes_on(name: &'static str, before: Vec<Step>, assured: usize) -> Row {
    row(name, ingress(tcp(FROM, NODE_PORT).data()))
        .serving(web())
        .after(before)
        .leaves_as(tcp(SNAT, BACKEND).data().ttl(63))
        .counts(&[Counter::PacketForwarded])
        .flows(assured, 0)
}

#[test]
fn s28_a_flow_without_a_place_of_its_own_goes_on() {
    let taken = at_both(udp, BucketFault::Taken(100));
    let rows = vec![
        goes_on("s28_overflow", crowded(100), 4 + 2),
        row("s28_overflow_reply", ingress(tcp(BACKEND, SNAT).data()))
            .serving(web())
            .after(crowded(100))
            .leaves_as(tcp(NODE_PORT, FROM).data().ttl(63))
            .counts(&[Counter::PacketForwarded]),
        row("s28_overflow_datagram", ingress(udp(FROM, NODE_PORT)))
            .serving(dns())
            .after([&exchange()[..], &taken, &[ingress(udp(FROM, NODE_PORT))]].concat())
            .leaves_as(udp(SNAT, BACKEND).ttl(63))
            .counts(&[Counter::PacketForwarded])
            .flows(4 + 2, 0),
        goes_on("s28_places_of_ended_flows", crowded(-2), 2),
        goes_on("s28_places_of_flows_that_have_just_ended", crowded(0), 2),
    ];
    check_rows(rows);
}

#[test]
fn s28_places_of_flows_that_have_just_ended_are_not_given_away() {
    let shared = shared();
    let mut node = shared.lock();
    node.serve(&[web()]);
    for family in Family::BOTH {
        // There are four buckets for the two entries. Taken by expired flows, two of them are reused; taken by live
        // ones, none is.
        for (seconds, entries) in [(-2, 4), (0, 4 + 2)] {
            node.state().forget();
            for step in crowded(seconds) {
                play(&mut node, &step, family, Hook::Xdp);
            }
            assert_eq!(node.state().assured().len(), entries, "{family:?}, ended {seconds} s");
        }
    }
}

/// Linux 6.1 forgets new entries of a small LRU map when another processor keeps all its free entries.
#[test]
fn s28_flows_without_a_place_are_kept_on_every_processor() {
    let this = Pid::from_raw(0);
    let before = sched_getaffinity(this).unwrap();
    let shared = shared();
    let mut node = shared.lock();
    node.serve(&[web()]);
    for processor in (0..CpuSet::count()).filter(|number| before.is_set(*number).unwrap()) {
        let mut only = CpuSet::new();
        only.set(processor).unwrap();
        sched_setaffinity(this, &only).unwrap();
        for family in Family::BOTH {
            node.state().forget();
            for step in crowded(100) {
                play(&mut node, &step, family, Hook::Xdp);
            }
            assert_eq!(node.state().assured().len(), 4 + 2, "{family:?}, processor {processor}");
        }
    }
    sched_setaffinity(this, &before).unwrap();
}

#[test]
fn s28_what_a_flow_left_elsewhere_goes_when_it_finds_a_place() {
    let over = [ingress(tcp(FROM, NODE_PORT).rst())];
    let again = [&crowded(100)[..], &over, &at_both(tcp, BucketFault::Taken(-2)), &handshake()].concat();
    check_rows(vec![goes_on("s28_found_a_place", again, 2)]);
}

#[test]
fn s28_a_bucket_that_is_not_whole_is_not_read() {
    let unknown = |name, fault| {
        row(name, ingress(tcp(FROM, NODE_PORT).data()))
            .serving(web())
            .after([&handshake()[..], &at_both(tcp, fault)].concat())
    };
    check_rows(vec![unknown("s28_written_just_now", BucketFault::Written), unknown("s28_torn", BucketFault::Torn)]);
}
