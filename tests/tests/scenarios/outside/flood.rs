//! Embryonic flows never evict established ones.

#![expect(clippy::unwrap_used, reason = "a step that fails fails the test")]

use std::{
    net::{Ipv4Addr, SocketAddrV4},
    thread,
    time::{Duration, Instant},
};

use aya::maps::{Map, MapData, PerCpuArray};
use harness::{
    lab::{Dial, Transport, eventually},
    scene::{Family, NODE_PORT, Outside, WAIT_LIMIT, expect, from_outside, web_slice},
};
use proxy_common::Counter;
use proxy_userspace::maps::PinFolder;
use socket2::{Domain, Protocol, Socket, Type};

/// The number of SYNs that the node sees.
const FLOOD: u64 = 1_000_000;
/// The number of SYNs in flight: less than a pair of devices queues.
const BURST: u32 = 128;

/// The one's complement sum of big-endian words (RFC 1071), ready to be stored.
fn checksum(words: &[u8]) -> [u8; 2] {
    let sum: u32 = words.chunks(2).map(|word| u32::from(u16::from_be_bytes([word[0], word[1]]))).sum();
    let folded = (sum & 0xffff) + (sum >> 16);
    (!u16::try_from((folded & 0xffff) + (folded >> 16)).unwrap()).to_be_bytes()
}

/// A SYN with its IPv4 header, from client `number` of a network that does not exist.
fn syn(number: u32, to: SocketAddrV4) -> [u8; 40] {
    let source = Ipv4Addr::from(u32::from(Ipv4Addr::new(198, 18, 0, 0)) + (number & 0x1_ffff));
    let mut packet = [0; 40];
    packet[..10].copy_from_slice(&[0x45, 0, 0, 40, 0, 0, 0x40, 0, 64, 6]);
    packet[12..16].copy_from_slice(&source.octets());
    packet[16..20].copy_from_slice(&to.ip().octets());
    packet[20..22].copy_from_slice(&u16::try_from(1024 + (number >> 17)).unwrap().to_be_bytes());
    packet[22..24].copy_from_slice(&to.port().to_be_bytes());
    packet[24..28].copy_from_slice(&number.to_be_bytes());
    packet[32..36].copy_from_slice(&[0x50, 0x02, 0xff, 0xff]);
    let pseudo = [&packet[12..20], &[0, 6, 0, 20], &packet[20..]].concat();
    let sum = checksum(&pseudo);
    packet[36..38].copy_from_slice(&sum);
    packet
}

/// The number of SYNs that have opened a flow, or found all source ports taken: a backend elsewhere has some ten
/// thousand.
struct Seen(PerCpuArray<MapData, u64>);

impl Seen {
    fn open(outside: &Outside) -> Self {
        let pin = PinFolder::new(&outside.scene.node.instance()).map("COUNTERS");
        Self(MapData::from_pin(pin).and_then(Map::from_map_data).unwrap().try_into().unwrap())
    }

    fn count(&self) -> u64 {
        let of_cpus = |counter: Counter| self.0.get(&(counter as u32), 0).unwrap().iter().sum::<u64>();
        of_cpus(Counter::FlowOpened) + of_cpus(Counter::DropSnatPortsExhausted)
    }
}

/// Sends SYNs from the client outside, each from another address or port, until the node has seen them all. After each
/// burst it waits: otherwise the sending processor would leave the receiving one no time, and most SYNs would be lost.
fn flood(outside: &Outside) {
    let to = SocketAddrV4::new(outside.scene.node.v4(), NODE_PORT);
    let seen = Seen::open(outside);
    let send = || {
        // The kernel completes the network header that a raw socket sends.
        let socket = Socket::new(Domain::IPV4, Type::RAW, Some(Protocol::from(libc::IPPROTO_RAW))).unwrap();
        let before = seen.count();
        let mut number = 0;
        while seen.count() - before < FLOOD {
            let start = seen.count();
            let wanted = start + u64::from(BURST);
            for _ in 0..BURST {
                socket.send_to(&syn(number, to), &to.into()).unwrap();
                number += 1;
            }
            // Lost SYNs are replaced by later ones, but some of each burst arrive.
            assert!(eventually(WAIT_LIMIT, || seen.count() > start), "{} of {number} SYNs seen", start - before);
            let sent = Instant::now();
            while seen.count() < wanted && sent.elapsed() < Duration::from_millis(50) {
                thread::yield_now();
            }
        }
    };
    outside.host.netns().inside(send).unwrap();
}

#[test]
fn a_million_syns_cut_no_established_flow() {
    from_outside("flood", |outside| {
        let service = outside.web(Family::Ipv4);
        outside.scene.put(&service.cluster_ip(&Family::Ipv6.cluster_ip(1).to_string()).build());
        let mut connections = Vec::new();
        for family in Family::BOTH {
            let slice = web_slice("web", family).name(&family.name("web"));
            outside.scene.put(&slice.pod(outside.scene.pod(1)).pod(&outside.remote).build());
            let to = outside.node_port(family);
            expect(&outside.client, to, &["p1", "far"]);
            connections.extend((0..20).map(|_| outside.client.connect_tcp(to).unwrap()));
        }
        let answer = |socket: &harness::lab::Socket<'_>| socket.ask("who").unwrap().backend().to_owned();
        let names: Vec<_> = connections.iter().map(answer).collect();
        assert!(["p1", "far"].iter().all(|name| names.iter().any(|found| found == name)), "{names:?}");
        flood(outside);
        assert_eq!(connections.iter().map(answer).collect::<Vec<_>>(), names);
        // New clients get a port, since embryonic flows are dropped early, after a second. A backend elsewhere may
        // still know the port from a client of the flood, and then answers the second SYN.
        for family in Family::BOTH {
            let dial = Dial::new(Transport::Tcp, outside.node_port(family)).count(20).timeout(Duration::from_secs(8));
            for outcome in outside.client.dial_all(&dial) {
                outcome.unwrap();
            }
        }
    });
}
