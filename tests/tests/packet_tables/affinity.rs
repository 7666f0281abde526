//! Session affinity by client address for packets (S24, S25).

use std::net::IpAddr;

use harness::{
    packet::{Place, check::check, tcp},
    scene::Family,
    test_run::{BenchNode, Device, Hook},
};

use super::*;

const HOOKS: [Hook; 2] = [Hook::Xdp, Hook::TcIngress];

fn sticky(backends: &[Place]) -> Service {
    // Shorter than the uptime of any machine: the programs' clock counts from the start of the machine.
    backends.iter().fold(bare().affinity(10), |service, place| service.remote(place.at(8080)))
}

/// The backend of a new connection from `client`.
fn backend_of(node: &mut BenchNode, hook: Hook, client: End, frontend: End, family: Family) -> IpAddr {
    let (_, out) = node.run(hook, Device::Uplink, &tcp(client, frontend).syn(), family);
    check(&out).expect("a packet").destination
}

fn each(test: impl Fn(&mut BenchNode, Hook, Family)) {
    let shared = shared();
    let mut node = shared.lock();
    for hook in HOOKS {
        for family in Family::BOTH {
            node.state().forget();
            test(&mut node, hook, family);
        }
    }
}

#[test]
fn s24_a_client_keeps_its_backend_on_every_frontend_of_the_port() {
    each(|node, hook, family| {
        node.serve(&[sticky(&[REMOTE, REMOTE_OTHER, FAR])]);
        let before = node.state().counts();
        let first = backend_of(node, hook, FROM, NODE_PORT, family);
        for port in 0..10 {
            for frontend in [NODE_PORT, CLUSTER_IP.at(80), EXTERNAL.at(80), BALANCER.at(80)] {
                let client = CLIENT.at(21_000 + port);
                assert_eq!(backend_of(node, hook, client, frontend, family), first, "{hook:?} {family:?}");
            }
        }
        let moved = node.state().counts_since(&before);
        assert_eq!(moved.get(&Counter::AffinityHit), Some(&40));
        assert_eq!((moved.get(&Counter::FlowOpened), moved.get(&Counter::PacketForwarded)), (Some(&41), Some(&41)));
    });
}

#[test]
fn s24_ports_do_not_share_their_clients() {
    each(|node, hook, family| {
        let all = [REMOTE, REMOTE_OTHER, FAR];
        let second = sticky(&all).named("second").on_port(81, NODE_PORT.port + 1);
        node.serve(&[sticky(&all), second]);
        // That all thirty clients get their old backends by chance has a probability of 3^-30.
        let differ = (0..30_u8).any(|number| {
            let client: Place = family_address(family, number).into();
            let first = backend_of(node, hook, client.at(20_001), NODE_PORT, family);
            first != backend_of(node, hook, client.at(20_001), NODE.at(NODE_PORT.port + 1), family)
        });
        assert!(differ, "{hook:?} {family:?}");
    });
}

fn family_address(family: Family, number: u8) -> IpAddr {
    match family {
        Family::Ipv4 => [198, 51, 100, 100 + number].into(),
        Family::Ipv6 => [0x2001, 0xdb8, 0x51, 0, 0, 0, 0, 0x100 + u16::from(number)].into(),
    }
}

#[test]
fn s24_a_client_whose_backend_goes_chooses_again_and_does_not_return() {
    each(|node, hook, family| {
        node.serve(&[sticky(&[REMOTE])]);
        assert_eq!(backend_of(node, hook, FROM, NODE_PORT, family), REMOTE.address(family));
        node.serve(&[sticky(&[REMOTE_OTHER])]);
        assert_eq!(backend_of(node, hook, CLIENT.at(20_002), NODE_PORT, family), REMOTE_OTHER.address(family));
        node.serve(&[sticky(&[REMOTE, REMOTE_OTHER])]);
        for port in 20_003..20_013 {
            let found = backend_of(node, hook, CLIENT.at(port), NODE_PORT, family);
            assert_eq!(found, REMOTE_OTHER.address(family), "{hook:?} {family:?}");
        }
    });
}

#[test]
fn s24_a_client_keeps_its_backend_when_others_come_and_go() {
    each(|node, hook, family| {
        node.serve(&[sticky(&[REMOTE])]);
        backend_of(node, hook, FROM, NODE_PORT, family);
        for more in [&[REMOTE, REMOTE_OTHER, FAR][..], &[REMOTE, FAR], &[REMOTE, REMOTE_OTHER]] {
            node.serve(&[sticky(more)]);
            for port in 20_010..20_020 {
                let found = backend_of(node, hook, CLIENT.at(port), NODE_PORT, family);
                assert_eq!(found, REMOTE.address(family), "{hook:?} {family:?}");
            }
        }
    });
}

#[test]
fn s25_clients_are_distinguished_by_address() {
    each(|node, hook, family| {
        node.serve(&[sticky(&[REMOTE, REMOTE_OTHER, FAR])]);
        let seen: std::collections::BTreeSet<IpAddr> = (0..60)
            .map(|number| {
                let client: Place = family_address(family, number).into();
                backend_of(node, hook, client.at(20_001), NODE_PORT, family)
            })
            .collect();
        assert_eq!(seen.len(), 3, "{hook:?} {family:?}");
    });
}

#[test]
fn s24_a_client_chooses_again_after_its_timeout_since_the_last_connection() {
    each(|node, hook, family| {
        node.serve(&[sticky(&[REMOTE])]);
        backend_of(node, hook, FROM, NODE_PORT, family);
        node.serve(&[sticky(&[REMOTE, REMOTE_OTHER])]);
        // Each connection restarts the timeout.
        for port in 20_002..20_005 {
            node.state().age_clients(5);
            let found = backend_of(node, hook, CLIENT.at(port), NODE_PORT, family);
            assert_eq!(found, REMOTE.address(family), "{hook:?} {family:?}");
        }
        // That forty random choices are all alike has a probability of 2^-40.
        let moved = (21_000..21_040).any(|port| {
            node.state().age_clients(11);
            backend_of(node, hook, CLIENT.at(port), NODE_PORT, family) == REMOTE_OTHER.address(family)
        });
        assert!(moved, "{hook:?} {family:?}");
    });
}
