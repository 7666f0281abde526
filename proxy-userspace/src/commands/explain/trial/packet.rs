//! Makes the first packet of a connection, and reads the packet that programs have made of it. Pure.

use std::net::{IpAddr, SocketAddr};

use etherparse::{
    IpHeaders, IpNumber, IpSlice, NetSlice, PacketBuilder, PacketBuilderStep, SlicedPacket,
    err::packet::BuildVecWriteError,
};
use proxy_common::Protocol;

/// Hop limit of what clients send (RFC 1700).
const HOP_LIMIT: u8 = 64;
/// The Ethernet address of the neighbour that the packet comes from. It is locally administered.
const NEIGHBOUR: [u8; 6] = [0x02, 0, 0, 0, 0, 1];
const WINDOW: u16 = 64_240;
/// What the datagram carries.
const PAYLOAD: &[u8] = b"waggle";
const RST: u8 = 1 << 2;

/// The packet to make.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Made {
    /// The client.
    pub source: SocketAddr,
    /// What it dials. The family is the client's.
    pub destination: SocketAddr,
    /// The protocol.
    pub protocol: Protocol,
}

impl Made {
    /// Returns what the packet is in its protocol's words.
    pub const fn kind(&self) -> &'static str {
        match self.protocol {
            Protocol::Tcp => "SYN",
            Protocol::Udp => "datagram",
            Protocol::Sctp => "INIT",
        }
    }

    /// Makes the packet in an Ethernet frame to the device with the address `device`. `number` is its sequence number, or tag of an
    /// association: it decides which backend a connection gets.
    pub fn frame(&self, device: [u8; 6], number: u32) -> Result<Vec<u8>, BuildVecWriteError> {
        let mut frame = Vec::new();
        let (from, to) = (self.source.port(), self.destination.port());
        let ip = self.ip(device);
        match self.protocol {
            Protocol::Tcp => ip.tcp(from, to, number, WINDOW).syn().write_to_vec(&mut frame, &[]),
            Protocol::Udp => ip.udp(from, to).write_to_vec(&mut frame, PAYLOAD),
            Protocol::Sctp => ip.write_to_vec(&mut frame, IpNumber::SCTP, &init(from, to, number)),
        }?;
        Ok(frame)
    }

    fn ip(&self, device: [u8; 6]) -> PacketBuilderStep<IpHeaders> {
        let ethernet = PacketBuilder::ethernet2(NEIGHBOUR, device);
        match (self.source.ip(), self.destination.ip()) {
            (IpAddr::V4(from), IpAddr::V4(to)) => ethernet.ipv4(from.octets(), to.octets(), HOP_LIMIT),
            (from, to) => ethernet.ipv6(octets(from), octets(to), HOP_LIMIT),
        }
    }
}

const fn octets(address: IpAddr) -> [u8; 16] {
    match address {
        IpAddr::V4(address) => address.to_ipv6_mapped().octets(),
        IpAddr::V6(address) => address.octets(),
    }
}

/// An SCTP packet with an INIT chunk (RFC 9260 §3.3.2): two streams, no parameters.
fn init(from: u16, to: u16, tag: u32) -> Vec<u8> {
    const LENGTH: u16 = 20;
    const RECEIVER_WINDOW: u32 = 0x1_0000;
    const STREAMS: u16 = 2;
    let mut packet = Vec::new();
    packet.extend(from.to_be_bytes());
    packet.extend(to.to_be_bytes());
    // The verification tag of an INIT is 0. The checksum follows below.
    packet.extend([0; 8]);
    packet.extend([1, 0]);
    packet.extend(LENGTH.to_be_bytes());
    // A tag of 0 is not allowed.
    packet.extend(tag.max(1).to_be_bytes());
    packet.extend(RECEIVER_WINDOW.to_be_bytes());
    packet.extend(STREAMS.to_be_bytes());
    packet.extend(STREAMS.to_be_bytes());
    packet.extend(tag.to_be_bytes());
    let checksum = proxy_common::sctp::crc32c(&packet).to_le_bytes();
    packet.splice(8..12, checksum);
    packet
}

/// A packet that a program has made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seen {
    /// The Ethernet address that it leaves from.
    pub ethernet: [u8; 6],
    /// Its source. The port is 0 for ICMP.
    pub source: SocketAddr,
    /// Its destination. The port is 0 for ICMP.
    pub destination: SocketAddr,
    /// Whether it is a TCP reset.
    pub is_reset: bool,
}

/// Reads a packet in an Ethernet frame; `None` if it is damaged.
pub fn read(frame: &[u8]) -> Option<Seen> {
    let ethernet = frame.get(6..12)?.try_into().ok()?;
    let ip = match SlicedPacket::from_ethernet(frame).ok()?.net? {
        NetSlice::Ipv4(slice) => IpSlice::Ipv4(slice),
        NetSlice::Ipv6(slice) => IpSlice::Ipv6(slice),
        NetSlice::Arp(_) => return None,
    };
    let (number, payload) = (ip.payload_ip_number(), ip.payload().payload);
    let has_ports = [IpNumber::TCP, IpNumber::UDP, IpNumber::SCTP].contains(&number);
    let port = |at: usize| {
        let bytes = payload.get(at..at + 2).filter(|_| has_ports)?;
        Some(u16::from_be_bytes(bytes.try_into().ok()?))
    };
    let end = |address, at| SocketAddr::new(address, port(at).unwrap_or(0));
    Some(Seen {
        ethernet,
        source: end(ip.source_addr(), 0),
        destination: end(ip.destination_addr(), 2),
        is_reset: number == IpNumber::TCP && payload.get(13).is_some_and(|flags| flags & RST != 0),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made(source: &str, destination: &str, protocol: Protocol) -> Made {
        Made { source: source.parse().unwrap(), destination: destination.parse().unwrap(), protocol }
    }

    #[test]
    fn what_is_made_is_read_again() {
        for (source, destination) in [("192.0.2.9:40001", "10.96.0.10:80"), ("[2001:db8::9]:40001", "[fd00::10]:80")] {
            for protocol in [Protocol::Tcp, Protocol::Udp, Protocol::Sctp] {
                let made = made(source, destination, protocol);
                let frame = made.frame([2, 0, 0, 0, 0, 7], 5).unwrap();
                let seen =
                    Seen { ethernet: NEIGHBOUR, source: made.source, destination: made.destination, is_reset: false };
                assert_eq!(read(&frame), Some(seen), "{made:?}");
                assert_eq!(frame[..6], [2, 0, 0, 0, 0, 7]);
                assert_eq!(read(&frame[..30]), None, "cut short");
            }
        }
    }

    #[test]
    fn checksums_are_right() {
        let tcp = made("192.0.2.9:40001", "10.96.0.10:80", Protocol::Tcp).frame([2; 6], 5).unwrap();
        let packet = SlicedPacket::from_ethernet(&tcp).unwrap();
        let Some(NetSlice::Ipv4(ip)) = packet.net else { panic!("{packet:?}") };
        let header = ip.header().to_header();
        assert_eq!(header.header_checksum, header.calc_header_checksum());
        let Some(etherparse::TransportSlice::Tcp(segment)) = packet.transport else { panic!("{:?}", packet.transport) };
        assert!(segment.syn() && !segment.ack());
        assert_eq!(segment.checksum(), segment.calc_checksum_ipv4(header.source, header.destination).unwrap());
        let sctp = made("192.0.2.9:40001", "10.96.0.10:80", Protocol::Sctp).frame([2; 6], 5).unwrap();
        let packet = &sctp[34..];
        let zeroed = [&packet[..8], &[0; 4], &packet[12..]].concat();
        assert_eq!(proxy_common::sctp::crc32c(&zeroed).to_le_bytes(), packet[8..12]);
    }
}
