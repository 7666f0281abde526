//! The age of a flow is that of its first packet, in both of its entries and wherever they are.

use harness::{
    packet::Packet,
    scene::Family,
    test_run::{BenchNode, BucketFault, Hook, play},
};

use super::{associations, *};

/// How much older all flows become after each step.
const STEP: u32 = 100;

/// Plays the steps, after each of which all flows grow older. Returns the ages of the entries that there are then.
fn ages(node: &mut BenchNode, service: Service, steps: &[Step], (family, hook): (Family, Hook)) -> Vec<u32> {
    node.state().forget();
    node.serve(&[service]);
    for step in steps {
        play(node, step, family, hook);
        node.state().grow_older(STEP);
    }
    node.state().ages()
}

fn client() -> Packet {
    tcp(FROM, NODE_PORT)
}

#[test]
fn a_flow_is_as_old_as_its_first_packet_also_when_it_is_assured() {
    let [syn, syn_ack, ack] = handshake();
    let again = vec![syn.clone(), syn.clone(), syn_ack.clone(), syn_ack.clone(), ack.clone()];
    let closed = [&again[..], &[ingress(client().data()), ingress(client().fin())]].concat();
    let taken = [(FROM, NODE_PORT), (BACKEND, SNAT)]
        .map(|(from, to)| Step::InjectFault(tcp(from, to), BucketFault::Taken(1000)));
    let crowded = [&again[..4], &taken, &[ack]].concat();
    let more = [&exchange()[..], &[ingress(udp(FROM, NODE_PORT)), ingress(udp(BACKEND, SNAT))]].concat();
    let stories = [
        ("a SYN", web(), vec![syn.clone()], 1),
        ("a SYN that comes again", web(), vec![syn.clone(), syn.clone()], 1),
        ("a reply", web(), vec![syn, syn_ack], 2),
        ("a connection", web(), again, 2),
        ("a closed connection", web(), closed, 2),
        ("a connection in the overflow", web(), crowded, 2),
        ("a connection to this node", web_here(), handshake_here().to_vec(), 2),
        ("a datagram that comes again", dns(), vec![ingress(udp(FROM, NODE_PORT)), ingress(udp(FROM, NODE_PORT))], 2),
        ("an assured UDP flow", dns(), more, 2),
        ("an association", associations::associations(), associations::open().to_vec(), 2),
    ];
    let shared = shared();
    let mut node = shared.lock();
    for (name, service, steps, entries) in stories {
        for (family, hook) in
            Family::BOTH.into_iter().flat_map(|family| [(family, Hook::Xdp), (family, Hook::TcIngress)])
        {
            let age = STEP * u32::try_from(steps.len()).expect("few steps");
            let found = ages(&mut node, service.clone(), &steps, (family, hook));
            assert_eq!(found, vec![age; entries], "{name}, {family:?}, {hook:?}");
        }
    }
}

#[test]
fn a_port_that_is_used_again_begins_a_flow_of_its_own_age() {
    let reset = ingress(client().rst().sequence(1001, 0));
    let moved = Step::Serve(vec![bare().remote(REMOTE_OTHER.at(8080))]);
    let again = ingress(client().syn().sequence(70_000, 0));
    let steps = [&handshake()[..], &[reset, moved, again]].concat();
    let shared = shared();
    let mut node = shared.lock();
    for family in Family::BOTH {
        let found = ages(&mut node, web(), &steps, (family, Hook::Xdp));
        assert!(found.contains(&STEP) && found.iter().all(|age| [STEP, 6 * STEP].contains(age)), "{found:?}");
    }
}
