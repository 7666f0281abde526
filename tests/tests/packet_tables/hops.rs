//! Two nodes: the output of one node's programs is the input of the other's, and the maps are checked in between
//! (S26–S28).

use std::sync::MutexGuard;

use harness::{
    packet::{ErrorKind, Packet, icmp_error, tcp, udp},
    scene::Family,
    test_run::{Action, BenchNode, Device, Hook, Member, places::*, shared_second},
};

use super::*;

const REMOTE_POD: End = POD_SECOND.at(8080);

/// Two nodes that serve the same Services; the only backend is a pod on the second.
struct Network<'a> {
    first: MutexGuard<'a, BenchNode>,
    second: MutexGuard<'a, BenchNode>,
    family: Family,
    hook: Hook,
}

impl Network<'_> {
    /// Runs `story` for both families and both hooks.
    fn each(services: impl Fn(Member) -> Vec<Service>, story: impl Fn(&mut Network<'_>)) {
        let shared = (shared(), shared_second());
        let (first, second) = (shared.0.lock(), shared.1.lock());
        let mut network = Network { first, second, family: Family::Ipv4, hook: Hook::Xdp };
        network.first.serve(&services(Member::First));
        network.second.serve(&services(Member::Second));
        for (family, hook) in
            [Family::Ipv4, Family::Ipv6].into_iter().flat_map(|f| [(f, Hook::Xdp), (f, Hook::TcIngress)])
        {
            (network.family, network.hook) = (family, hook);
            network.first.state().forget();
            network.second.state().forget();
            story(&mut network);
        }
    }

    fn node(&mut self, member: Member) -> &mut BenchNode {
        if member == Member::First { &mut self.first } else { &mut self.second }
    }

    /// A frame arrives; the node makes `wanted` of it and sends it on at once.
    fn sends_on(&mut self, member: Member, frame: &[u8], wanted: &Packet) -> Vec<u8> {
        let (hook, family) = (self.hook, self.family);
        let (action, out) = self.node(member).run_frame(hook, Device::Uplink, frame);
        assert_eq!(harness::test_run::hex(&out), harness::test_run::hex(&wanted.bytes(family)), "{family:?} {hook:?}");
        assert!(matches!(action, Action::Transmit | Action::Redirect), "{action:?}");
        out
    }

    /// A frame arrives or leaves; the node's programs pass it untouched and count nothing.
    fn leaves_alone(&mut self, member: Member, hook: Hook, frame: &[u8]) {
        let node = self.node(member);
        let before = node.state().counts();
        assert_eq!(node.run_frame(hook, Device::Uplink, frame), (Action::Pass, frame.to_vec()));
        assert!(node.state().counts_since(&before).is_empty());
    }

    /// The numbers of entries of assured and of embryonic flows.
    fn flows(&mut self, member: Member) -> (usize, usize) {
        let state = self.node(member).state();
        (state.assured().len(), state.embryonic().len())
    }

    fn bytes(&self, packet: &Packet) -> Vec<u8> {
        packet.bytes(self.family)
    }
}

/// From the first node to the second.
fn to_second(packet: Packet) -> Packet {
    packet.ethernet(Member::First.mac(Device::Uplink), Member::Second.mac(Device::Uplink))
}

/// From the second node to the first.
fn to_first(packet: Packet) -> Packet {
    packet.ethernet(Member::Second.mac(Device::Uplink), Member::First.mac(Device::Uplink))
}

/// From the first node to the router.
fn to_router(packet: Packet) -> Packet {
    packet.ethernet(Member::First.mac(Device::Uplink), ROUTER_MAC)
}

fn both_protocols(member: Member) -> Vec<Service> {
    let with_pod = |service: Service| match member {
        Member::First => service.remote(REMOTE_POD),
        Member::Second => service.local(REMOTE_POD),
    };
    vec![with_pod(bare()), with_pod(bare().named("dns").protocol(Protocol::Udp))]
}

#[test]
fn s26_a_connection_crosses_two_nodes_and_comes_back() {
    Network::each(both_protocols, |network| {
        let syn = network.bytes(&tcp(FROM, NODE_PORT).syn());
        let sent = network.sends_on(Member::First, &syn, &to_second(tcp(SNAT, REMOTE_POD).syn().ttl(63)));
        network.leaves_alone(Member::Second, network.hook, &sent);
        assert_eq!((network.flows(Member::First), network.flows(Member::Second)), ((0, 1), (0, 0)));

        let answer = network.bytes(&to_first(tcp(REMOTE_POD, SNAT).syn_ack().ttl(63)));
        network.leaves_alone(Member::Second, Hook::TcEgress, &answer);
        network.sends_on(Member::First, &answer, &to_router(tcp(NODE_PORT, FROM).syn_ack().ttl(62)));
        assert_eq!(network.flows(Member::First), (0, 2));

        let ack = network.bytes(&tcp(FROM, NODE_PORT).ack());
        let sent = network.sends_on(Member::First, &ack, &to_second(tcp(SNAT, REMOTE_POD).ack().ttl(63)));
        network.leaves_alone(Member::Second, network.hook, &sent);
        assert_eq!((network.flows(Member::First), network.flows(Member::Second)), ((2, 0), (0, 0)));
    });
}

#[test]
fn s26_the_same_client_reaches_the_pod_through_both_nodes_at_once() {
    Network::each(both_protocols, |network| {
        let question = network.bytes(&udp(FROM, NODE_PORT));
        let sent = network.sends_on(Member::First, &question, &to_second(udp(SNAT, REMOTE_POD).ttl(63)));
        network.leaves_alone(Member::Second, network.hook, &sent);

        let second_port = NODE_SECOND.at(NODE_PORT.port);
        let (hook, family) = (network.hook, network.family);
        let (action, out) = network.second.run(hook, Device::Uplink, &udp(FROM, second_port), family);
        assert_eq!((action, out), (Action::Pass, udp(FROM, REMOTE_POD).bytes(family)));
        let (_, out) = network.second.run(Hook::TcEgress, Device::Uplink, &udp(REMOTE_POD, FROM), family);
        assert_eq!(out, udp(second_port, FROM).bytes(family));

        let answer = network.bytes(&to_first(udp(REMOTE_POD, SNAT).ttl(63)));
        network.leaves_alone(Member::Second, Hook::TcEgress, &answer);
        network.sends_on(Member::First, &answer, &to_router(udp(NODE_PORT, FROM).ttl(62)));
        assert_eq!((network.flows(Member::First), network.flows(Member::Second)), ((0, 2), (0, 2)));
    });
}

#[test]
fn s27_a_pod_reaches_itself_through_another_node() {
    Network::each(both_protocols, |network| {
        let client = POD_SECOND.at(20_001);
        let syn = network.bytes(&to_first(tcp(client, NODE_PORT).syn().ttl(63)));
        network.leaves_alone(Member::Second, Hook::TcEgress, &syn);
        let sent = network.sends_on(Member::First, &syn, &to_second(tcp(SNAT, REMOTE_POD).syn().ttl(62)));
        network.leaves_alone(Member::Second, network.hook, &sent);

        let answer = network.bytes(&to_first(tcp(REMOTE_POD, SNAT).syn_ack().ttl(63)));
        network.leaves_alone(Member::Second, Hook::TcEgress, &answer);
        let back = network.sends_on(Member::First, &answer, &to_second(tcp(NODE_PORT, client).syn_ack().ttl(62)));
        network.leaves_alone(Member::Second, network.hook, &back);
        assert_eq!((network.flows(Member::First), network.flows(Member::Second)), ((0, 2), (0, 0)));
    });
}

#[test]
fn s28_an_error_of_the_second_node_reaches_the_client() {
    Network::each(both_protocols, |network| {
        let question = udp(FROM, NODE_PORT).payload_length(900);
        let heard = udp(SNAT, REMOTE_POD).payload_length(900).ttl(63);
        let frame = network.bytes(&question);
        let sent = network.sends_on(Member::First, &frame, &to_second(heard.clone()));
        network.leaves_alone(Member::Second, network.hook, &sent);

        for (from, kind) in [(NODE_SECOND, ErrorKind::TooBig(1400)), (POD_SECOND, ErrorKind::PortUnreachable)] {
            let error = network.bytes(&to_first(icmp_error(from, NODE, kind, heard.clone())));
            network.leaves_alone(Member::Second, Hook::TcEgress, &error);
            let expected = icmp_error(NODE, CLIENT, kind, question.clone().ttl(63)).ttl(63);
            network.sends_on(Member::First, &error, &to_router(expected));
        }
    });
}

#[test]
fn s17_with_policy_local_only_the_pods_node_answers() {
    let local = |member| both_protocols(member).into_iter().map(Service::external_local).collect();
    Network::each(local, |network| {
        let (hook, family) = (network.hook, network.family);
        let (action, _) = network.first.run(hook, Device::Uplink, &tcp(FROM, NODE_PORT).syn(), family);
        assert_eq!(action, Action::Drop);
        let syn = tcp(FROM, NODE_SECOND.at(NODE_PORT.port)).syn();
        let (action, out) = network.second.run(hook, Device::Uplink, &syn, family);
        assert_eq!((action, out), (Action::Pass, tcp(FROM, REMOTE_POD).syn().bytes(family)));
    });
}
