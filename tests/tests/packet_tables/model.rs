//! Random Services and packets: the programs and a model of the rules in plain Rust agree on each (S14–S21).

use std::cell::RefCell;

use harness::{
    packet::{Packet, check::check, echo_request, other, sctp, tcp, udp},
    scene::Family,
    test_run::{
        Action, BenchNode, Counts, Device, Hook,
        model::{Judgement, judge},
        places::*,
    },
};
use proptest::{prelude::*, test_runner::TestRunner};

use super::*;

const BACKENDS: [(End, bool); 6] = [
    (REMOTE.at(8080), false),
    (REMOTE_OTHER.at(53), false),
    (FAR.at(80), false),
    (POD.at(8080), true),
    (POD_OTHER.at(53), true),
    (NODE.at(9999), true),
];
const PORTS: [u16; 3] = [53, 80, 443];
const NODE_PORTS: [u16; 3] = [30_000, 30_053, 30_080];

/// A packet whose checksum XDP takes for pending, so that TC decides. Random packets hardly ever have such a checksum.
#[test]
fn s16_the_programs_agree_with_the_model_on_what_looks_unfinished() {
    let shared = shared();
    let mut node = shared.lock();
    node.serve(&[web()]);
    for to in [CLUSTER_IP.at(80), UNOWNED.at(80), NODE_PORT] {
        for family in Family::BOTH {
            let packet = tcp(FROM, to).syn().looking_pending(family);
            assert!(packet.looks_pending(family));
            agree(&mut node, &[web()], &packet, family, Hook::Xdp).expect("the same judgement");
        }
    }
}

/// Service number `index` of a table. No other Service has its frontends.
fn one_service(index: usize) -> impl Strategy<Value = Service> {
    let protocol = [Protocol::Tcp, Protocol::Udp, Protocol::Sctp][index % 3];
    let (cluster_ip, external) = if index < 3 { (CLUSTER_IP, EXTERNAL) } else { (CLUSTER_IP_OTHER, BALANCER) };
    let flags = any::<[bool; 6]>();
    (0..PORTS.len(), flags, prop::sample::subsequence(BACKENDS.to_vec(), 0..=4)).prop_map(
        move |(port, flags, backends)| {
            let names = ["a", "b", "c", "d", "e", "f"];
            let mut one = service(names[index]).protocol(protocol).port(PORTS[port]);
            let [has_cluster_ip, balances, has_node_port, ranges, internal, external_local] = flags;
            one = if has_cluster_ip { one.cluster_ip(cluster_ip) } else { one };
            one = if balances { one.load_balancer(external) } else { one.external_ip(external) };
            // Each protocol has two Services; only the first has the node port.
            one = if has_node_port && index < 3 { one.node_port(NODE_PORTS[index]) } else { one };
            one = if ranges { one.ranges(&["198.51.100.0/28", "2001:db8:51::/124"]) } else { one };
            one = if internal { one.internal_local() } else { one };
            one = if external_local { one.external_local() } else { one };
            backends.iter().fold(one, |one, (end, local)| if *local { one.local(*end) } else { one.remote(*end) })
        },
    )
}

fn tables() -> impl Strategy<Value = Vec<Service>> {
    let all: Vec<_> = (0..6).map(|index| prop::option::of(one_service(index))).collect();
    all.prop_map(|services| services.into_iter().flatten().collect())
}

fn packets() -> impl Strategy<Value = Packet> {
    let clients = prop::sample::select(vec![CLIENT, CLIENT_OTHER, CLIENT_ELSEWHERE]);
    let places = prop::sample::select(vec![
        NODE,
        NODE,
        CLUSTER_IP,
        CLUSTER_IP_OTHER,
        EXTERNAL,
        BALANCER,
        UNOWNED,
        BESIDE,
        NODE_OTHER,
    ]);
    let ports = prop::sample::select([&PORTS[..], &NODE_PORTS, &[22, 9999]].concat());
    (clients, 1_u16.., places, ports, 0..8, any::<u8>()).prop_map(|(client, from, place, port, kind, flags)| {
        let (from, to) = (client.at(from), place.at(port));
        match kind {
            0..=2 => tcp(from, to).syn(),
            3 => tcp(from, to).flags(flags).sequence(9, 9),
            4 => sctp(from, to).chunk(flags % 4, 0, 42).tag(u32::from(flags / 128)),
            5 => echo_request(client, place),
            6 if flags < 64 => other(47, client, place),
            _ => udp(from, to),
        }
    })
}

#[test]
fn s16_the_programs_agree_with_the_model() {
    let shared = shared();
    let node = RefCell::new(shared.lock());
    let mut runner = TestRunner::new(ProptestConfig { cases: 300, failure_persistence: None, ..Default::default() });
    let cases = (tables(), prop::collection::vec(packets(), 12));
    let outcome = runner.run(&cases, |(services, packets)| {
        let node = &mut *node.borrow_mut();
        node.serve(&services);
        for packet in &packets {
            for (family, hook) in [(Family::Ipv4, Hook::Xdp), (Family::Ipv6, Hook::TcIngress)] {
                agree(node, &services, packet, family, hook).map_err(TestCaseError::fail)?;
            }
        }
        Ok(())
    });
    if let Err(error) = outcome {
        panic!("{error}");
    }
}

fn agree(
    node: &mut BenchNode,
    services: &[Service],
    packet: &Packet,
    family: Family,
    hook: Hook,
) -> Result<(), String> {
    node.state().forget();
    let before = node.state().counts();
    let (action, out) = node.run(hook, Device::Uplink, packet, family);
    let moved = node.state().counts_since(&before);
    let is_untouched = action == Action::Pass && out == packet.bytes(family) && moved.is_empty();
    if hook == Hook::Xdp && packet.looks_pending(family) {
        assert!(is_untouched, "XDP leaves {packet:?} to TC");
        return agree(node, services, packet, family, Hook::TcIngress);
    }
    let wanted = judge(services, packet, family);
    let agrees = match &wanted {
        Judgement::Pass => is_untouched,
        Judgement::Drop(counter) => action == Action::Drop && moved == one(*counter),
        // A refused RST is not answered.
        Judgement::Refuse(counter) => action != Action::Pass && moved == one(*counter),
        Judgement::Answer => action != Action::Pass && moved == one(Counter::EchoReply),
        Judgement::Serve(ways) => {
            let seen = check(&out)?;
            let port = seen.ports.map_or(0, |(_, port)| port);
            let way = ways.iter().find(|(backend, _)| (backend.ip(), backend.port()) == (seen.destination, port));
            way.is_some_and(|(_, local)| (action == Action::Pass) == *local)
        }
    };
    let what = || format!("{family:?}, {hook:?}: {action:?} and {moved:?}, not {wanted:?}, for {packet:?}");
    if agrees { Ok(()) } else { Err(what()) }
}

fn one(counter: Counter) -> Counts {
    Counts::from([(counter, 1)])
}
