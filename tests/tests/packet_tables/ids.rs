//! Ids that are given to other services and backends.

use std::{collections::BTreeSet, thread::sleep, time::Duration};

use harness::{
    lab::eventually,
    scene::Family,
    test_run::{BenchNode, Device, Hook},
};

use super::*;

/// The ids of service and backend of the flow that this packet opens.
fn open(node: &mut BenchNode, packet: &Packet, family: Family) -> (u32, u32) {
    node.state().forget();
    node.run(Hook::TcIngress, Device::Uplink, packet, family);
    let meta = node.state().embryonic()[0].1.meta;
    (meta.service, meta.backend)
}

#[test]
fn w01_counters_begin_at_zero_when_an_id_is_given_to_another() {
    let shared = shared();
    let mut node = shared.lock();
    for family in Family::BOTH {
        let syn = tcp(FROM, NODE_PORT).syn();
        node.serve(&[web()]);
        let (service, backend) = open(&mut node, &syn, family);
        let counts =
            |node: &mut BenchNode| (node.state().connections(service), node.state().backend_counts(backend).flows);
        // The test before may have used this backend moments ago: then it has its id and count again.
        let first = counts(&mut node);
        open(&mut node, &tcp(FROM, EXTERNAL.at(80)).syn(), family);
        let second = (first.0 + 1, first.1 + 1);
        assert_eq!(counts(&mut node), second);
        node.serve(&[web()]);
        assert_eq!(counts(&mut node), second, "no other service or backend has them");
        // An id is free again a grace period after it has been given back, and may go to the other family first. Each
        // round has a new backend, since one that returns before the grace period ends keeps its id.
        let mut used = [BTreeSet::from([service]), BTreeSet::from([backend])];
        let mut counted = [None; 2];
        let mut ports = 9090..;
        let given_again = eventually(Duration::from_secs(30), || {
            node.serve(&[]);
            sleep(Duration::from_millis(10));
            let port = ports.next().expect("ports are left");
            node.serve(&[bare().named("other").remote(REMOTE_OTHER.at(port))]);
            let now = open(&mut node, &syn, family);
            if !used[0].insert(now.0) {
                counted[0] = Some(node.state().connections(now.0));
            }
            if !used[1].insert(now.1) {
                counted[1] = Some(node.state().backend_counts(now.1).flows);
            }
            counted.iter().all(Option::is_some)
        });
        assert!(given_again, "ids are used again: {counted:?}");
        assert_eq!(counted, [Some(1), Some(1)]);
        node.serve(&[]);
    }
}
