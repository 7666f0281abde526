//! Maps in a state that no agent leaves: packets are dropped with a reason, and nothing is half-translated (S28).

use std::collections::BTreeMap;

use harness::{
    packet::{ErrorKind, Packet, echo_request, icmp_error, tcp, udp},
    scene::Family,
    test_run::{Action, BenchNode, Device, Hook},
};
use proxy_common::Stage;

use super::*;

const WAYS: [(Family, Hook); 4] = [
    (Family::Ipv4, Hook::Xdp),
    (Family::Ipv4, Hook::TcIngress),
    (Family::Ipv6, Hook::Xdp),
    (Family::Ipv6, Hook::TcIngress),
];

/// The packet is dropped, this counter and no other moves, and no flow is left.
fn drops(node: &mut BenchNode, packet: &Packet, (family, hook): (Family, Hook), counter: Counter) {
    let before = node.state().counts();
    let flows = (node.state().assured().len(), node.state().embryonic().len());
    let (action, _) = node.run(hook, Device::Uplink, packet, family);
    assert_eq!(action, Action::Drop, "{family:?} {hook:?} {packet:?}");
    assert_eq!(node.state().counts_since(&before), BTreeMap::from([(counter, 1)]), "{family:?} {hook:?} {packet:?}");
    assert_eq!((node.state().assured().len(), node.state().embryonic().len()), flows);
}

#[test]
fn s28_a_slot_that_names_no_backend_drops() {
    // Both Services' slots are among the first.
    let mut node = BenchNode::new("slots");
    let sticky = dns().named("dns").affinity(600);
    node.serve(&[web().remote(REMOTE_OTHER.at(8080)), sticky]);
    for backend in [77, u32::MAX] {
        node.state().damage_slots(backend);
        for way in WAYS {
            for packet in [tcp(FROM, NODE_PORT).syn(), tcp(FROM, CLUSTER_IP.at(80)).syn(), udp(FROM, EXTERNAL.at(80))] {
                drops(&mut node, &packet, way, Counter::DropMissingBackend);
            }
        }
    }
}

#[test]
fn s28_a_stage_that_is_missing_drops() {
    let shared = shared();
    let mut node = shared.lock();
    node.serve(&[web(), bare().named("dns").protocol(Protocol::Udp)]);
    let story = handshake();
    for (family, hook) in WAYS {
        for step in &story {
            harness::test_run::play(&mut node, step, family, hook);
        }
    }
    let stages = [Stage::Reject, Stage::Icmp, Stage::Open];
    for stage in stages {
        node.damage_stage(stage);
    }
    let client = CLIENT_OTHER.at(20_002);
    let of_services = [
        tcp(client, NODE_PORT).syn(),
        tcp(client, CLUSTER_IP.at(80)).data(),
        tcp(client, CLUSTER_IP.at(81)).syn(),
        tcp(client, EXTERNAL.at(80)).syn(),
        echo_request(CLIENT, CLUSTER_IP),
    ];
    for way in WAYS {
        let (family, hook) = way;
        for packet in &of_services {
            drops(&mut node, packet, way, Counter::DropMissingStage);
        }
        // Established flows continue.
        let (action, out) = node.run(hook, Device::Uplink, &tcp(FROM, NODE_PORT).data(), family);
        let wanted = tcp(SNAT, BACKEND).data().ttl(63).ethernet(Device::Uplink.mac(), [2, 0, 0, 0, 1, 0x50]);
        assert!(matches!(action, Action::Transmit | Action::Redirect), "{family:?} {hook:?} {action:?}");
        assert_eq!(out, wanted.bytes(family), "{family:?} {hook:?}");
    }
}

#[test]
fn w01_without_stages_what_is_not_surely_a_services_passes() {
    let shared = shared();
    let mut node = shared.lock();
    node.serve(&[web_here().remote(BACKEND), bare().named("dns").protocol(Protocol::Udp)]);
    for stage in [Stage::Reject, Stage::Icmp, Stage::IcmpEgress, Stage::Open] {
        node.damage_stage(stage);
    }
    let client = CLIENT_OTHER.at(20_002);
    let error = icmp_error(REMOTE, NODE, ErrorKind::TooBig(1400), tcp(SNAT, BACKEND).data());
    // Replies to connections that the node has opened from the number of a node port, or from an address that Services
    // share.
    let unowned = [
        error.clone(),
        echo_request(CLIENT, NODE),
        tcp(client, NODE_PORT).syn_ack(),
        tcp(client, NODE_PORT).data(),
        tcp(client, EXTERNAL.at(80)).syn_ack(),
        udp(client, NODE_PORT),
    ];
    let before = node.state().counts();
    let mut passes = |hook, packet: &Packet, family| {
        let (action, out) = node.run(hook, Device::Uplink, packet, family);
        assert_eq!((action, out), (Action::Pass, packet.bytes(family)), "{family:?} {hook:?} {packet:?}");
    };
    for (family, hook) in WAYS {
        for packet in &unowned {
            passes(hook, packet, family);
        }
        for packet in [echo_request(NODE, CLIENT), echo_request(POD, CLIENT)] {
            passes(Hook::TcEgress, &packet, family);
        }
        if family == Family::Ipv6 {
            for kind in [135, 136] {
                let discovery = echo_request(ROUTER, NODE).transport_byte(0, kind);
                passes(hook, &discovery, family);
                passes(Hook::TcEgress, &discovery, family);
            }
        }
    }
    assert_eq!(node.state().counts_since(&before), BTreeMap::new());
}

#[test]
fn s28_a_refusal_that_can_not_be_answered_is_still_a_refusal() {
    let shared = shared();
    let mut node = shared.lock();
    node.serve(&[bare()]);
    node.damage_stage(Stage::Reject);
    for way in WAYS {
        drops(&mut node, &tcp(FROM, NODE_PORT).syn(), way, Counter::RejectNoBackend);
    }
}

#[test]
fn s28_a_first_packet_that_can_not_be_sent_is_dropped() {
    let shared = shared();
    let mut node = shared.lock();
    node.serve(&[dns()]);
    node.damage_stage(Stage::Send);
    for (family, hook) in WAYS {
        node.state().forget();
        let before = node.state().counts();
        let question = udp(FROM, NODE_PORT);
        assert_eq!(node.run(hook, Device::Uplink, &question, family).0, Action::Drop);
        let moved = [(Counter::FlowOpened, 1), (Counter::DropMissingStage, 1)];
        assert_eq!(node.state().counts_since(&before), BTreeMap::from(moved));
        // The flow has been opened: its next packet is sent.
        let (action, out) = node.run(hook, Device::Uplink, &question, family);
        let wanted = udp(SNAT, BACKEND).ttl(63).ethernet(Device::Uplink.mac(), [2, 0, 0, 0, 1, 0x50]);
        assert_eq!((matches!(action, Action::Transmit | Action::Redirect), out), (true, wanted.bytes(family)));
    }
}
