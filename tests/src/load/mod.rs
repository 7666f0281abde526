//! A load that counts what it loses: long and short conversations, echoes and neighbour discovery, from outside, from
//! the node and from a pod, without a pause. It does not know about agents.
//!
//! It panics if it can't begin or continue for another reason than a lost packet.

#![expect(
    clippy::missing_panics_doc,
    clippy::unwrap_used,
    reason = "every step panics when it fails, as the page says"
)]

mod tally;

use std::{
    fs,
    net::{IpAddr, SocketAddr},
    thread::Scope,
    time::Duration,
};

use aya::maps::{Map, MapData, PerCpuArray};
use proxy_common::Counter;
use proxy_userspace::maps::PinFolder;

pub use self::tally::{End, Tally};
use crate::{
    lab::{Client, Dial, Host, Node, Reply, Socket, Transport},
    scene::{Family, NODE_PORT, Outside, TRANSPORTS},
};

/// How long something may take before it counts as lost: far longer than any machine needs, and long enough to
/// retransmit once. A datagram is not retransmitted, and a reset ends a connection at once.
const LOST: Duration = Duration::from_secs(20);

/// Starts the load on a scene whose Service `web` has these backends throughout: pod 1 on the node, and the remote pod. It ends
/// with [`Tally::end`]. Of the two neighbours, `asking` sends echo requests to the node, and `asked` gets them from it. No other
/// packets go between them and the node.
pub fn start<'scope>(
    scope: &'scope Scope<'scope, '_>,
    outside: &'scope Outside,
    [asking, asked]: [&'scope Host; 2],
    tally: &'scope Tally,
) {
    let scene = &outside.scene;
    let origins = |host: &Host| [host.client().unwrap(), host.client().unwrap()];
    let places =
        [("outside", origins(&outside.host)), ("a pod", origins(&scene.client)), ("the node", origins(&scene.node))];
    for (place, [lasting, brief]) in places {
        let frontends = frontends(outside, place);
        let backends = [scene.pod(1).name(), outside.remote.name()];
        let to = frontends.clone();
        scope.spawn(move || talk(&lasting, place, &to, tally));
        scope.spawn(move || {
            let judge = |reply: &Reply| is_one_of(reply.backend(), &backends);
            tally.repeat(|| frontends.iter().for_each(|to| dial(&brief, (place, *to), tally, judge)));
        });
    }
    let node = Family::BOTH.map(|family| family.of(&scene.node));
    let away = Family::BOTH.map(|family| family.of(asked));
    let host = Family::BOTH.map(|family| family.of(&outside.host));
    scope.spawn(move || ping(asking, node, true, tally));
    scope.spawn(move || ping(&scene.node, away, true, tally));
    scope.spawn(move || ping(&scene.client, host, false, tally));
}

/// Sends echo requests. With `forget` the entry of the neighbour is removed before each one, so that it has to be discovered.
/// Nothing else may be sent to this neighbour then: packets that wait for its discovery are lost when it is forgotten.
fn ping(host: &Host, to: [IpAddr; 2], forget: bool, tally: &Tally) {
    tally.repeat(|| {
        for to in to {
            if forget {
                host.netns().batch(&[format!("neigh flush to {to} dev eth0")]).unwrap();
            }
            match host.ping(to, LOST) {
                Ok(true) => tally.answer(),
                other => tally.fault(&format!("lost: echo from {} to {to}: {other:?}", host.name())),
            }
        }
    });
}

fn frontends(outside: &Outside, place: &str) -> Vec<SocketAddr> {
    let both = Family::BOTH.into_iter();
    both.flat_map(|family| {
        let [cluster_ip, node_port, external, balancer] = outside.frontends(family);
        match place {
            "outside" => vec![cluster_ip, node_port, external, balancer],
            "the node" => vec![cluster_ip, SocketAddr::new(family.loopback(), NODE_PORT)],
            _ => vec![cluster_ip, node_port],
        }
    })
    .collect()
}

/// Conversations that never end. Each stays with the backend that has answered first.
fn talk(client: &Client, place: &str, frontends: &[SocketAddr], tally: &Tally) {
    let open = |to: &SocketAddr| {
        // Several, so that both backends have some of them.
        let tcp = (0..3).map(|_| client.connect_tcp(*to).unwrap());
        tcp.chain((0..3).map(|_| client.connect_udp(*to).unwrap())).map(|socket| (*to, socket)).collect::<Vec<_>>()
    };
    let sockets: Vec<(SocketAddr, Socket<'_>)> = frontends.iter().flat_map(open).collect();
    let mut backends = vec![None; sockets.len()];
    tally.repeat(|| {
        for ((to, socket), backend) in sockets.iter().zip(&mut backends) {
            let what = format!("lasting flow from {place} to {to}");
            match socket.send("still there?").and_then(|()| socket.receive(LOST)) {
                Ok(answer) => {
                    match is_one_of(answer.backend(), &[backend.get_or_insert(answer.backend().to_owned())]) {
                        Ok(()) => tally.answer(),
                        Err(fault) => tally.fault(&format!("misdelivered: {what}: {fault}")),
                    }
                }
                Err(failure) => tally.fault(&format!("lost: {what}: {failure:?}")),
            }
        }
    });
}

/// Checks that an answer comes from one of these backends.
fn is_one_of(backend: &str, backends: &[&str]) -> Result<(), String> {
    if backends.contains(&backend) { Ok(()) } else { Err(format!("{backend} answers, which is none of {backends:?}")) }
}

/// Makes a new conversation over each transport. `judge` says what is wrong with a reply.
pub fn dial(
    client: &Client,
    (place, to): (&str, SocketAddr),
    tally: &Tally,
    judge: impl Fn(&Reply) -> Result<(), String>,
) {
    for transport in TRANSPORTS {
        converse(client, (place, to), transport, tally, &judge);
    }
}

fn converse(
    client: &Client,
    (place, to): (&str, SocketAddr),
    transport: Transport,
    tally: &Tally,
    judge: impl Fn(&Reply) -> Result<(), String>,
) {
    let what = format!("new {transport:?} flow from {place} to {to}");
    match client.dial(&Dial::new(transport, to).timeout(LOST)) {
        Ok(reply) => match is_from(&reply, to).and_then(|()| judge(&reply)) {
            Ok(()) => tally.answer(),
            Err(fault) => tally.fault(&format!("misdelivered: {what}: {fault}")),
        },
        Err(failure) => tally.count::<()>(&what, Err(failure)),
    }
}

/// Checks that a client sees the address that it has dialled as its peer.
fn is_from(reply: &Reply, to: SocketAddr) -> Result<(), String> {
    match reply.peer() {
        Some(peer) if peer != to => Err(format!("the answer comes from {peer}")),
        _ => Ok(()),
    }
}

/// Counters of drops on a node that are not 0.
pub fn drops(node: &Node) -> Vec<(Counter, u64)> {
    let pin = PinFolder::new(&node.instance()).map("COUNTERS");
    let counters: PerCpuArray<_, u64> =
        MapData::from_pin(pin).and_then(Map::from_map_data).and_then(PerCpuArray::try_from).unwrap();
    let count = |counter: Counter| counters.get(&(counter as u32), 0).unwrap().iter().sum();
    let is_drop = |counter: &Counter| format!("{counter:?}").starts_with("Drop");
    let drops = Counter::ALL.into_iter().filter(is_drop).map(|counter| (counter, count(counter)));
    drops.filter(|(_, count)| *count != 0).collect()
}

/// How many resets a host's stack has sent. It sends one for a packet that it finds no connection for, as when a flow
/// was lost.
pub fn resets(host: &Host) -> u64 {
    stack_counter(host, "Tcp", "OutRsts")
}

/// How many segments a host's stack has sent again, SYNs included.
pub fn sent_again(host: &Host) -> u64 {
    stack_counter(host, "Tcp", "RetransSegs")
}

/// How many packets with a wrong checksum a host's stack has got.
pub fn wrong_checksums(host: &Host) -> u64 {
    stack_counter(host, "Tcp", "InCsumErrors") + stack_counter(host, "Udp", "InCsumErrors")
}

/// A counter of a host's stack, in /proc/net/snmp.
fn stack_counter(host: &Host, protocol: &str, name: &str) -> u64 {
    let read = || fs::read_to_string("/proc/thread-self/net/snmp").unwrap();
    let text = host.netns().inside(read).unwrap();
    let begin = format!("{protocol}:");
    let mut lines = text.lines().filter(|line| line.starts_with(&begin));
    let names = lines.next().unwrap().split(' ');
    let values = lines.next().unwrap().split(' ');
    names.zip(values).find(|(found, _)| *found == name).unwrap().1.parse().unwrap()
}
