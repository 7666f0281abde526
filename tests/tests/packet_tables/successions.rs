//! Two sets of programs that both open flows while neither knows all (docs/adr/0010): they never give one source port
//! to two flows to one backend.

use std::collections::BTreeSet;

use harness::{
    scene::Family,
    test_run::{Action, BenchNode, Device, Hook},
};
use proxy_common::{ConntrackEntry, EntryMeta, Phase, Tuple};

use super::*;

/// FROM's port, which source translation keeps.
const KEPT: u16 = 20_001;

/// The entries that match what backends send.
fn answers(node: &mut BenchNode) -> Vec<(Tuple, ConntrackEntry)> {
    let mut entries = node.state().embryonic();
    entries.retain(|(_, entry)| entry.meta.flags & EntryMeta::REPLY != 0);
    entries
}

/// The source ports of new flows, from clients whose own port may be kept and from others.
fn given(node: &mut BenchNode, family: Family) -> BTreeSet<u16> {
    node.state().forget();
    for port in (20_001..20_017).chain(45_000..45_016) {
        node.run(Hook::TcIngress, Device::Uplink, &udp(CLIENT.at(port), NODE_PORT), family);
    }
    answers(node).iter().map(|(tuple, _)| tuple.destination_port).collect()
}

#[test]
fn w01_two_sets_give_different_source_ports() {
    let shared = shared();
    let mut node = shared.lock();
    node.serve(&[dns()]);
    for family in Family::BOTH {
        let rest = |ports: BTreeSet<u16>| ports.iter().map(|port| port % 2).collect::<Vec<_>>();
        node.state().set_phase(Phase::Followed);
        assert_eq!(rest(given(&mut node, family)), [0; 32]);
        node.state().set_phase(Phase::Leading);
        assert_eq!(rest(given(&mut node, family)), [1; 32]);
        node.state().set_phase(Phase::Alone);
        let ports = given(&mut node, family);
        assert!((20_001..20_017).all(|port| ports.contains(&port)), "{ports:?}");
    }
}

#[test]
fn w01_a_reserved_key_has_no_owner_and_is_found_by_no_packet() {
    let shared = shared();
    let mut node = shared.lock();
    node.serve(&[dns()]);
    for family in Family::BOTH {
        node.state().forget();
        let answer = udp(BACKEND, SNAT);
        let open = |node: &mut BenchNode, from: End| {
            node.run(Hook::TcIngress, Device::Uplink, &udp(from, NODE_PORT), family).0
        };
        assert_eq!(open(&mut node, FROM), Action::Redirect);
        let [(key, entry)] = answers(&mut node)[..] else { panic!("one flow") };
        assert_eq!(key.destination_port, KEPT);

        node.state().forget();
        node.state().reserve(&key, &entry);
        assert_eq!(node.run(Hook::TcIngress, Device::Uplink, &answer, family).0, Action::Pass, "no packet finds it");
        assert_eq!(open(&mut node, CLIENT_OTHER.at(KEPT)), Action::Redirect);
        let given: Vec<u16> = answers(&mut node)
            .iter()
            .filter(|(_, entry)| entry.meta.flags & EntryMeta::RESERVED == 0)
            .map(|(tuple, _)| tuple.destination_port)
            .collect();
        assert_eq!(given.len(), 1);
        assert_ne!(given[0], KEPT, "another flow gets another port");

        node.state().follow(&key, &entry);
        assert_eq!(node.run(Hook::TcIngress, Device::Uplink, &answer, family).0, Action::Redirect, "carried over");
    }
}
