//! The addresses and ports of a captured frame.

use std::net::IpAddr;

use etherparse::{LaxNetSlice, LaxSlicedPacket};
use proxy_common::Protocol;

/// The bit of a TCP header's flags that means RST.
const RST: u8 = 4;

/// What a comment says of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Frame {
    pub(super) source: IpAddr,
    pub(super) destination: IpAddr,
    /// IANA number of what follows the IP header.
    pub(super) protocol: u8,
    /// Source and destination port; `None` for other protocols, and for later fragments.
    pub(super) ports: Option<(u16, u16)>,
    /// Whether it is a TCP segment with RST.
    pub(super) is_reset: bool,
}

impl Frame {
    /// Parses a frame, or, if `is_bare`, a packet without an Ethernet header. `None` if it is no IP packet, or is cut short.
    pub(super) fn parse(bytes: &[u8], is_bare: bool) -> Option<Self> {
        let packet =
            if is_bare { LaxSlicedPacket::from_ip(bytes).ok()? } else { LaxSlicedPacket::from_ethernet(bytes).ok()? };
        let net = packet.net?;
        let (source, destination): (IpAddr, IpAddr) = match &net {
            LaxNetSlice::Ipv4(ip) => (ip.header().source_addr().into(), ip.header().destination_addr().into()),
            LaxNetSlice::Ipv6(ip) => (ip.header().source_addr().into(), ip.header().destination_addr().into()),
            LaxNetSlice::Arp(_) => return None,
        };
        let payload = net.ip_payload_ref()?;
        let protocol = payload.ip_number.0;
        // SCTP has its ports where TCP and UDP have them. Of fragments, only the first has ports: its transport header is parsed.
        let has_ports = Protocol::from_number(protocol.into()).is_some() && !is_later_fragment(&net);
        let ports = has_ports.then(|| ports(payload.payload)).flatten();
        let is_tcp = Protocol::from_number(protocol.into()) == Some(Protocol::Tcp);
        let is_reset = is_tcp && payload.payload.get(13).is_some_and(|flags| flags & RST != 0);
        Some(Self { source, destination, protocol, ports, is_reset })
    }

    /// Whether one of the addresses is this one.
    pub(super) fn has_host(&self, host: IpAddr) -> bool {
        self.source == host || self.destination == host
    }

    /// Whether one of the ports is this one.
    pub(super) fn has_port(&self, port: u16) -> bool {
        self.ports.is_some_and(|(source, destination)| source == port || destination == port)
    }
}

fn is_later_fragment(net: &LaxNetSlice<'_>) -> bool {
    match net {
        LaxNetSlice::Ipv4(ip) => ip.header().fragments_offset().value() != 0,
        // The first fragment begins with its transport header, too, but tells little more than a later one.
        LaxNetSlice::Ipv6(ip) => ip.is_payload_fragmented(),
        LaxNetSlice::Arp(_) => false,
    }
}

fn ports(payload: &[u8]) -> Option<(u16, u16)> {
    let port = |at: usize| Some(u16::from_be_bytes(payload.get(at..at + 2)?.try_into().ok()?));
    Some((port(0)?, port(2)?))
}

#[cfg(test)]
pub(super) mod tests {
    use etherparse::PacketBuilder;

    use super::*;

    /// An Ethernet frame with a TCP segment over IPv4.
    pub(in super::super) fn tcp(source: ([u8; 4], u16), destination: ([u8; 4], u16), is_reset: bool) -> Vec<u8> {
        let packet = PacketBuilder::ethernet2([2; 6], [4; 6]).ipv4(source.0, destination.0, 64);
        let packet = packet.tcp(source.1, destination.1, 1, 1024);
        let packet = if is_reset { packet.rst() } else { packet.syn() };
        let mut bytes = Vec::new();
        packet.write(&mut bytes, &[]).unwrap();
        bytes
    }

    #[test]
    fn frames_are_parsed_as_far_as_they_go() {
        let bytes = tcp(([192, 0, 2, 9], 40000), ([192, 0, 2, 1], 30080), true);
        let frame = Frame::parse(&bytes, false).unwrap();
        assert_eq!((frame.source.to_string(), frame.ports), ("192.0.2.9".to_owned(), Some((40000, 30080))));
        assert!(frame.is_reset && frame.has_port(30080) && !frame.has_port(80));
        assert!(frame.has_host([192, 0, 2, 1].into()) && !frame.has_host([192, 0, 2, 2].into()));
        assert_eq!(Frame::parse(&bytes[14..], true), Some(frame));
        assert_eq!(Frame::parse(&bytes[..20], false), None);
    }

    #[test]
    fn later_fragments_and_other_protocols_have_no_ports() {
        let mut bytes = tcp(([192, 0, 2, 9], 40000), ([192, 0, 2, 1], 30080), false);
        bytes[21] = 1;
        assert_eq!(Frame::parse(&bytes, false).unwrap().ports, None);
        let mut icmp = Vec::new();
        let packet = PacketBuilder::ethernet2([2; 6], [4; 6]).ipv6([1; 16], [2; 16], 64).icmpv6_echo_request(1, 1);
        packet.write(&mut icmp, &[]).unwrap();
        let frame = Frame::parse(&icmp, false).unwrap();
        assert_eq!((frame.protocol, frame.ports, frame.is_reset), (58, None, false));
    }
}
