//! When flows to a backend on another node have all source ports: which flows are dropped early, and which are not
//! (S28).

use std::collections::{BTreeMap, BTreeSet};

use harness::{
    packet::{Packet, check::check, tcp},
    scene::Family,
    test_run::{Action, BenchNode, Device, Hook, SIZES, play},
};
use proxy_common::BackendCounters;
use proxy_userspace::config::MapSizes;

use super::*;

/// Room for two entries for each port, so that the LRU evicts no flow.
const ROOM: MapSizes = MapSizes { conntrack: 1 << 16, embryonic: 1 << 18, ..SIZES };
/// Seconds since the last packet of a young flow.
const YOUNG: i32 = 0;
/// The client that comes when all ports are taken.
const LATE: End = CLIENT_OTHER.at(20_001);

/// The outcome for a newcomer when all source ports have flows like the one that `begin` opens.
struct Crowd {
    action: Action,
    out: Vec<u8>,
    counts: BTreeMap<Counter, u64>,
    ports: BackendCounters,
    before: BTreeSet<Vec<u8>>,
    after: BTreeSet<Vec<u8>>,
}

/// The entries of all flows, as bytes.
fn entries(node: &mut BenchNode) -> BTreeSet<Vec<u8>> {
    let state = node.state();
    let flows = [state.assured(), state.embryonic()].concat();
    flows.iter().map(|(tuple, entry)| [bytemuck::bytes_of(tuple), bytemuck::bytes_of(entry)].concat()).collect()
}

impl Crowd {
    fn try_newcomer(
        node: &mut BenchNode,
        begin: &[Step],
        idle: i32,
        newcomer: &Packet,
        family: Family,
        hook: Hook,
    ) -> Self {
        node.state().forget();
        for step in begin {
            play(node, step, family, hook);
        }
        let backend = [node.state().assured(), node.state().embryonic()].concat()[0].1.meta.backend;
        node.state().idle(idle);
        node.state().take_source_ports();
        let (before, counts, ports) = (entries(node), node.state().counts(), node.state().backend_counts(backend));
        assert!(before.len() > 30_000, "every port has a flow");
        let (action, out) = node.run(hook, Device::Uplink, newcomer, family);
        let now = node.state().backend_counts(backend);
        let ports = BackendCounters {
            flows: now.flows - ports.flows,
            taken: now.taken - ports.taken,
            exhausted: now.exhausted - ports.exhausted,
        };
        Self { action, out, counts: node.state().counts_since(&counts), ports, before, after: entries(node) }
    }

    fn is_refused(&self) {
        assert_eq!(self.action, Action::Drop);
        assert_eq!(self.counts, BTreeMap::from([(Counter::DropSnatPortsExhausted, 1)]));
        assert_eq!((self.ports.flows, self.ports.exhausted), (0, 1));
        // The client's port, and those among 32 attempts that source translation may use.
        assert!((2..=33).contains(&self.ports.taken), "{:?}", self.ports);
        assert!(self.before == self.after, "flows have changed");
    }
}

fn each(test: impl Fn(&mut BenchNode, Family, Hook)) {
    let mut node = BenchNode::with_sizes("crowd", &ROOM);
    node.serve(&[web()]);
    for (family, hook) in [(Family::Ipv4, Hook::Xdp), (Family::Ipv6, Hook::TcIngress)] {
        test(&mut node, family, hook);
    }
}

#[test]
fn s28_flows_that_are_confirmed_or_young_keep_their_ports() {
    each(|node, family, hook| {
        let syn = tcp(LATE, NODE_PORT).syn();
        Crowd::try_newcomer(node, &handshake(), 3600, &syn, family, hook).is_refused();
        Crowd::try_newcomer(node, &handshake()[..1], YOUNG, &syn, family, hook).is_refused();
        Crowd::try_newcomer(node, &handshake()[..2], YOUNG, &syn, family, hook).is_refused();
        // Source translation may not keep this client's port in any case.
        let ephemeral = tcp(CLIENT_OTHER.at(45_000), NODE_PORT).syn();
        Crowd::try_newcomer(node, &handshake(), 0, &ephemeral, family, hook).is_refused();
    });
}

#[test]
fn s28_an_embryonic_flow_that_is_idle_for_a_second_is_dropped_early() {
    each(|node, family, hook| {
        // A connection has one entry until the backend replies.
        for (begin, entries) in [(&handshake()[..1], 1), (&handshake()[..2], 2)] {
            let crowd = Crowd::try_newcomer(node, begin, 2, &tcp(LATE, NODE_PORT).syn(), family, hook);
            let port = check(&crowd.out).unwrap().ports.unwrap().0;
            assert!(matches!(crowd.action, Action::Transmit | Action::Redirect), "{:?}", crowd.action);
            assert_eq!(crowd.counts, OPENED_CHANGED.map(|counter| (counter, 1)).into());
            assert_eq!((crowd.ports.flows, crowd.ports.exhausted), (1, 0));
            assert!((2..33).contains(&crowd.ports.taken), "{:?}", crowd.ports);

            let gone: Vec<_> = crowd.before.difference(&crowd.after).collect();
            let come: Vec<_> = crowd.after.difference(&crowd.before).collect();
            assert_eq!((gone.len(), come.len()), (entries, 1), "one flow in the place of another");
            let key = |packet: Packet| bytemuck::bytes_of(&packet.tuple(family)).to_vec();
            let (answer, original) = (key(tcp(BACKEND, NODE.at(port))), key(tcp(CLIENT.at(port), NODE_PORT)));
            let found = |entries: &[&Vec<u8>]| -> BTreeSet<Vec<u8>> {
                entries.iter().map(|entry| entry[..answer.len()].to_vec()).collect()
            };
            assert_eq!(found(&come), BTreeSet::from([answer.clone()]));
            assert_eq!(found(&gone), [answer, original].into_iter().take(entries).collect());
        }
    });
}
