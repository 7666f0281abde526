//! The choice among several backends (S23), and flows that stay with their backend.

use std::{collections::BTreeMap, net::IpAddr};

use harness::{
    packet::{Packet, check::check, tcp, udp},
    scene::Family,
    test_run::{BenchNode, Device, Hook},
};

use super::*;

fn destination(node: &mut BenchNode, hook: Hook, packet: &Packet, family: Family) -> IpAddr {
    let (_, out) = node.run(hook, Device::Uplink, packet, family);
    check(&out).expect("a packet").destination
}

fn three() -> Service {
    bare().remote(REMOTE.at(8080)).remote(REMOTE_OTHER.at(8080)).local(HERE)
}

#[test]
fn s23_new_flows_are_spread_evenly() {
    let shared = shared();
    let mut node = shared.lock();
    node.serve(&[three(), three().named("dns").protocol(Protocol::Udp)]);
    for (hook, family) in [(Hook::Xdp, Family::Ipv4), (Hook::TcIngress, Family::Ipv6)] {
        let mut counts = BTreeMap::<IpAddr, u32>::new();
        for port in 10_000..11_500 {
            let syn = tcp(CLIENT.at(port), NODE_PORT).syn();
            *counts.entry(destination(&mut node, hook, &syn, family)).or_default() += 1;
        }
        // The expected count is 500 each; six standard deviations are 110.
        assert!(counts.len() == 3 && counts.values().all(|count| (390..610).contains(count)), "{counts:?}");
    }
}

#[test]
fn s23_a_flow_stays_where_it_went() {
    let shared = shared();
    let mut node = shared.lock();
    node.serve(&[three(), three().named("dns").protocol(Protocol::Udp)]);
    for (hook, family) in [(Hook::Xdp, Family::Ipv6), (Hook::TcIngress, Family::Ipv4)] {
        node.state().forget();
        for port in 10_000..10_030 {
            for packet in [tcp(CLIENT.at(port), NODE_PORT).syn(), udp(CLIENT.at(port), NODE_PORT)] {
                let first = destination(&mut node, hook, &packet, family);
                for _ in 0..5 {
                    assert_eq!(destination(&mut node, hook, &packet, family), first);
                }
            }
        }
    }
}
