//! The packets that are sent to the programs, and the entries of their flows. Addresses and ports follow from the
//! number of the flow. Everything is TCP over IPv4.

use std::net::Ipv4Addr;

use proxy_common::{Address, ConntrackEntry, EntryMeta, Protocol, State, Tuple};

use super::walk::{FRAME, Walk, of_flow};

/// Node port of the Service with a backend on another node.
pub const NODE_PORT: u16 = 30080;
/// Node port of the Service without a backend.
pub const EMPTY_NODE_PORT: u16 = 30081;
/// Port of the backends.
pub const BACKEND_PORT: u16 = 8080;

/// The client of flow 0 and its port. The port is in the range that hosts choose from, so that a new flow can't keep
/// it. Its low bits are zero, as `vary` needs it.
const CLIENT: (Ipv4Addr, u16) = (Ipv4Addr::new(100, 64, 0, 0), 0x8000);
/// The client of flow 0 among the flows that are not entered.
const BYSTANDER: (Ipv4Addr, u16) = (Ipv4Addr::new(100, 80, 0, 0), 0x8000);
/// The backend of flow 0, and the node's port that its replies are sent to.
const BACKEND: (Ipv4Addr, u16) = (Ipv4Addr::new(10, 244, 0, 0), 0x4000);

/// An address and a port.
type End = (Ipv4Addr, u16);

/// The address and port of flow `index`.
fn end((address, port): End, index: u32) -> End {
    let (high, low) = of_flow(index);
    (Ipv4Addr::from_bits(address.to_bits() | high), port | low)
}

/// A packet from one end to another, with its TCP flags.
#[derive(Clone, Copy, Debug)]
pub struct Packet {
    source: End,
    destination: End,
    flags: u8,
    /// Whether the destination port changes from flow to flow, and not the source port.
    to_port: bool,
}

const SYN: u8 = 2;
const ACK: u8 = 16;

/// A client's packet on an open connection.
pub fn from_client(node: Ipv4Addr) -> Packet {
    Packet { source: CLIENT, ..opening(node, NODE_PORT).acknowledging() }
}

/// A client's packet that opens a connection to any address and port.
pub fn opening(address: Ipv4Addr, port: u16) -> Packet {
    Packet { source: BYSTANDER, destination: (address, port), flags: SYN, to_port: false }
}

/// A backend's reply that accepts a connection.
pub fn from_backend(node: Ipv4Addr) -> Packet {
    Packet { source: (BACKEND.0, BACKEND_PORT), destination: (node, BACKEND.1), flags: ACK, to_port: true }
}

impl Packet {
    /// A backend's reply on an open connection.
    pub fn acknowledging(self) -> Self {
        Self { flags: ACK, ..self }
    }

    /// The frame of flow 0, to the device with this Ethernet address.
    pub fn frame(&self, device: [u8; 6]) -> [u8; FRAME] {
        let mut frame = [0; FRAME];
        frame[..6].copy_from_slice(&device);
        frame[6..12].copy_from_slice(&super::node::NEIGHBOUR);
        frame[12..14].copy_from_slice(&[8, 0]);
        frame[14..24].copy_from_slice(&[0x45, 0, 0, 40, 0, 0, 0x40, 0, 64, Protocol::Tcp as u8]);
        frame[26..30].copy_from_slice(&self.source.0.octets());
        frame[30..34].copy_from_slice(&self.destination.0.octets());
        let sum: u32 = frame[14..34].chunks(2).map(|pair| u32::from(u16::from_be_bytes([pair[0], pair[1]]))).sum();
        let sum = (sum % 0xffff) as u16;
        frame[24..26].copy_from_slice(&(!sum).to_be_bytes());
        frame[34..36].copy_from_slice(&self.source.1.to_be_bytes());
        frame[36..38].copy_from_slice(&self.destination.1.to_be_bytes());
        // Five words of header, the flags, a window.
        frame[46..50].copy_from_slice(&[0x50, self.flags, 0xff, 0xff]);
        frame
    }

    /// The walk over the first `flows` flows.
    pub fn walk(&self, device: [u8; 6], flows: u32) -> Walk {
        let mut bytes = [0; FRAME.next_multiple_of(8)];
        bytes[..FRAME].copy_from_slice(&self.frame(device));
        let words = bytes.chunks_exact(8).map(|word| u64::from_ne_bytes(word.try_into().expect("eight bytes")));
        let mut frame = [0; FRAME.div_ceil(8)];
        frame.iter_mut().zip(words).for_each(|(place, word)| *place = word);
        let port_shift = if self.to_port { 16 } else { 0 };
        Walk { frame, flows, step: step(flows), position: 0, port_shift, packets: 0, forgets: 0, forgetting: 0 }
    }
}

/// A number without a common factor with `flows`, near 0.618 of it.
fn step(flows: u32) -> u32 {
    let wanted = flows / 1000 * 618 + 1;
    (wanted..flows).find(|step| is_coprime(*step, flows)).unwrap_or(0)
}

fn is_coprime(mut a: u32, mut b: u32) -> bool {
    while b != 0 {
        (a, b) = (b, a % b);
    }
    a == 1
}

/// Both entries of flow `index`; what all flows share is taken from `like`.
pub fn entries(index: u32, node: Ipv4Addr, like: &ConntrackEntry) -> [(Tuple, ConntrackEntry); 2] {
    let (client, client_port) = end(CLIENT, index);
    let (backend, port) = end(BACKEND, index);
    let forward = tuple((client, client_port), (node, NODE_PORT));
    let reply = tuple((backend, BACKEND_PORT), (node, port));
    let entry = |translated: Tuple, flags| ConntrackEntry {
        source: translated.source,
        destination: translated.destination,
        source_port: translated.source_port,
        destination_port: translated.destination_port,
        meta: EntryMeta { state: State::Established as u8, flags, ..like.meta },
    };
    [(forward, entry(reply.inverse(), 0)), (reply, entry(forward.inverse(), EntryMeta::REPLY))]
}

fn tuple(source: End, destination: End) -> Tuple {
    Tuple {
        source_port: source.1,
        destination_port: destination.1,
        ..Tuple::from_addresses(Address::from(source.0), Address::from(destination.0), Protocol::Tcp as u8)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_walk_visits_every_flow_once_a_round() {
        for flows in [1, 64_000, 1_000_000] {
            let step = step(flows);
            assert!(step < flows && (flows == 1 || is_coprime(step, flows)), "{flows}: {step}");
        }
    }

    #[test]
    fn the_entries_of_a_flow_name_each_other() {
        let node = Ipv4Addr::new(192, 168, 50, 1);
        let [(forward, entry), (reply, answer)] = entries(70_000, node, &ConntrackEntry::default());
        assert_eq!((entry.inverse_key(6), answer.inverse_key(6)), (reply, forward));
        assert_eq!(forward.source, Ipv4Addr::new(100, 64, 0, 4).into());
        assert_eq!(forward.source_port, 0x8000 + 4464);
    }

    #[test]
    fn a_frame_has_a_right_header_checksum() {
        let frame = opening(Ipv4Addr::new(10, 96, 0, 1), 80).frame([2; 6]);
        let sum: u32 = frame[14..34].chunks(2).map(|pair| u32::from(u16::from_be_bytes([pair[0], pair[1]]))).sum();
        assert_eq!(sum % 0xffff, 0);
    }
}
