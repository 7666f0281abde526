//! Random packets that are likely to reach deep into the programs: first packets, replies to what the programs have
//! sent, errors about it, fragments of it. Some are then damaged.

use std::{collections::VecDeque, ops::Range};

use fastrand::Rng;
use harness::{
    packet::{End, ErrorKind, Extension, Packet, Place, check::check, echo_request, icmp_error, other, sctp, tcp, udp},
    scene::Family,
    test_run::{
        Action, Device, Hook,
        places::{
            BALANCER, BESIDE, CLIENT, CLIENT_ELSEWHERE, CLIENT_OTHER, CLUSTER_IP, CLUSTER_IP_OTHER, EXTERNAL, NODE,
            NODE_OTHER, POD, REMOTE, ROUTER, UNOWNED,
        },
    },
};

use crate::{
    ingress_hook,
    services::{BACKEND_PORTS, NODE_PORTS, PORTS},
};

/// How many emitted packets are remembered for replies.
const MEMORY: usize = 512;
/// The shortest frame that the kernel runs programs on.
const SHORTEST: usize = 14;

/// A frame for a hook.
pub struct TestFrame {
    pub hook: Hook,
    pub device: Device,
    pub frame: Vec<u8>,
}

/// Makes packets, and remembers what programs made of them.
#[derive(Default)]
pub struct Generator {
    /// The packets that were lately forwarded or delivered, for replies.
    emitted: VecDeque<Vec<u8>>,
}

impl Generator {
    /// The next frame.
    pub fn next(&mut self, random: &mut Rng) -> TestFrame {
        let family = Family::BOTH[random.usize(..2)];
        let (mut hook, device) = (ingress_hook(random), Device::ALL[random.usize(..4)]);
        let mut packet = match random.u8(..10) {
            0..=4 => opening(random),
            5..=8 => self.answer(random).unwrap_or_else(|| opening(random)),
            _ => stray(random),
        };
        if random.u8(..6) == 0 {
            hook = Hook::TcEgress;
        }
        packet = dressed(random, packet);
        let family = packet_family(&packet).unwrap_or(family);
        let mut frame = packet.bytes(family);
        if random.u8(..3) == 0 {
            damage(random, &mut frame);
        }
        TestFrame { hook, device, frame }
    }

    /// Remembers what a program has made of a frame.
    pub fn learn(&mut self, sent: &TestFrame, action: Action, out: Vec<u8>) {
        let emitted = !matches!(action, Action::Drop | Action::Fault(_));
        if emitted && out != sent.frame {
            self.emitted.push_back(out);
            self.emitted.truncate(MEMORY);
            if self.emitted.len() == MEMORY {
                self.emitted.pop_front();
            }
        }
    }

    /// A packet that follows one that was lately emitted: a reply to it, an error about it, or a later packet of its flow.
    fn answer(&self, random: &mut Rng) -> Option<Packet> {
        if self.emitted.is_empty() {
            return None;
        }
        let seen = check(&self.emitted[random.usize(..self.emitted.len())]).ok()?;
        let (source, destination) = seen.ports?;
        let from = Place::from(seen.source).at(source);
        let to = Place::from(seen.destination).at(destination);
        let sent = transport(random, seen.protocol, from, to)?;
        let answer = transport(random, seen.protocol, to, from)?;
        Some(match random.u8(..8) {
            0..=4 => answer,
            5 => sent,
            _ => {
                let kinds = [
                    ErrorKind::PortUnreachable,
                    ErrorKind::HostUnreachable,
                    ErrorKind::TooBig(1280 + random.u16(..300)),
                    ErrorKind::TimeExceeded,
                    ErrorKind::ParameterProblem,
                ];
                let kind = kinds[random.usize(..kinds.len())];
                icmp_error(to.place, from.place, kind, sent).quoting(random.usize(8..100))
            }
        })
    }
}

/// A packet's only family; `None` if it can be built for both.
fn packet_family(packet: &Packet) -> Option<Family> {
    let has = |family| packet.source.place.has(family) && packet.destination.place.has(family);
    match (has(Family::Ipv4), has(Family::Ipv6)) {
        (true, false) => Some(Family::Ipv4),
        (false, true) => Some(Family::Ipv6),
        _ => None,
    }
}

fn client(random: &mut Rng) -> End {
    let places = [CLIENT, CLIENT_OTHER, CLIENT_ELSEWHERE, REMOTE, ROUTER];
    let port = if random.bool() { random.u16(20_000..20_040) } else { random.u16(1..) };
    places[random.usize(..places.len())].at(port)
}

/// The first packet of a flow, or one that looks like it.
fn opening(random: &mut Rng) -> Packet {
    let places = [NODE, NODE, NODE, CLUSTER_IP, CLUSTER_IP_OTHER, EXTERNAL, BALANCER, UNOWNED, BESIDE, NODE_OTHER];
    let place = places[random.usize(..places.len())];
    let port = match random.u8(..10) {
        0 => random.u16(..),
        1..=4 => PORTS[random.usize(..PORTS.len())],
        _ => NODE_PORTS[random.usize(..NODE_PORTS.len())],
    };
    let protocol = [6, 6, 17, 17, 132][random.usize(..5)];
    let from = client(random);
    transport(random, protocol, from, place.at(port)).unwrap_or_else(|| stray(random))
}

/// A packet that probably belongs to no Service.
fn stray(random: &mut Rng) -> Packet {
    let places = [NODE, CLUSTER_IP, EXTERNAL, UNOWNED, POD, REMOTE, BESIDE];
    let to = places[random.usize(..places.len())];
    let from = client(random);
    match random.u8(..4) {
        0 => echo_request(from.place, to).payload_length(random.usize(..200)),
        1 => other(random.u8(..), from.place, to),
        2 => udp(POD.at(BACKEND_PORTS[random.usize(..3)]), from),
        _ => tcp(from, to.at(random.u16(..))).flags(random.u8(..)),
    }
}

fn transport(random: &mut Rng, protocol: u8, from: End, to: End) -> Option<Packet> {
    let length = if random.u8(..8) == 0 { random.usize(..1600) } else { random.usize(..120) };
    Some(match protocol {
        6 => {
            let flags = [2, 2, 2, 16, 16, 18, 24, 17, 4, 20, random.u8(..)][random.usize(..11)];
            tcp(from, to).flags(flags).sequence(random.u32(..), random.u32(..)).payload_length(length)
        }
        17 if random.u8(..6) == 0 && from.place.has(Family::Ipv4) && !from.place.has(Family::Ipv6) => {
            udp(from, to).payload_length(length).no_checksum()
        }
        17 => udp(from, to).payload_length(length),
        132 => sctp(from, to).payload_length(length.max(4)),
        _ => return None,
    })
}

/// Adds a rare header or two.
fn dressed(random: &mut Rng, mut packet: Packet) -> Packet {
    packet = packet.identification(random.u32(..0xffff)).tos(random.u8(..)).flow_label(random.u32(..));
    if random.u8(..4) == 0 {
        packet = packet.ttl(random.u8(..4));
    }
    if random.u8(..8) == 0 {
        packet = packet.options(&vec![1; random.usize(1..11) * 4]);
    }
    for _ in 0..random.u8(..16).saturating_sub(13) {
        let units = random.u8(1..6);
        packet = packet.extension(
            [Extension::HopByHop { units }, Extension::Destination { units }, Extension::Routing { units, left: 0 }]
                [random.usize(..3)],
        );
    }
    if random.u8(..10) == 0 {
        packet = packet.fragment(random_fragment(random)).identification(random.u32(..8));
    }
    if random.u8(..10) == 0 {
        packet = packet.vlans(&[random.u16(..), random.u16(..)][..random.usize(1..=2)]);
    }
    if random.u8(..10) == 0 {
        packet = packet.wrong_checksum();
    }
    packet
}

/// Bytes of the first fragments of a packet; a shorter packet has fewer.
fn random_fragment(random: &mut Rng) -> Range<usize> {
    let start = random.usize(..4) * 8;
    start..start + 8 * random.usize(1..6)
}

/// Cuts, stretches or overwrites a frame.
fn damage(random: &mut Rng, frame: &mut Vec<u8>) {
    match random.u8(..4) {
        0 => frame.truncate(random.usize(SHORTEST..=frame.len())),
        1 => frame.extend((0..random.usize(1..64)).map(|_| random.u8(..))),
        _ => {
            // Mostly in the headers behind Ethernet.
            for _ in 0..random.usize(1..5) {
                let at = random.usize(12..frame.len().min(90));
                frame[at] = if random.bool() { frame[at] ^ (1 << random.u8(..8)) } else { random.u8(..) };
            }
        }
    }
}
