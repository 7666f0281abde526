//! Checks a frame with an independent parser (etherparse): lengths and checksums must be right. It shares no code with
//! the packet builder, nor with what is tested.

use std::net::IpAddr;

use etherparse::{IpSlice, NetSlice, SlicedPacket, TransportSlice};

use super::{crc32c, internet_sum};

const TCP: u8 = 6;
const SCTP: u8 = 132;

/// The content of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seen {
    /// Source address.
    pub source: IpAddr,
    /// Destination address.
    pub destination: IpAddr,
    /// The protocol number.
    pub protocol: u8,
    /// Source and destination port, if the protocol has them.
    pub ports: Option<(u16, u16)>,
    /// TTL or hop limit.
    pub ttl: u8,
    /// Whether it is a fragment, whose transport checksum can't be checked.
    pub fragment: bool,
}

/// Reads an IP packet in an Ethernet frame. The error says what is wrong with the packet.
pub fn check(frame: &[u8]) -> Result<Seen, String> {
    let sliced = SlicedPacket::from_ethernet(frame).map_err(|error| format!("{error:?}"))?;
    let ip = match sliced.net {
        Some(NetSlice::Ipv4(ref slice)) => IpSlice::Ipv4(slice.clone()),
        Some(NetSlice::Ipv6(ref slice)) => IpSlice::Ipv6(slice.clone()),
        other => return Err(format!("not an IP packet: {other:?}")),
    };
    check_header(&ip)?;
    let fragment = ip.is_fragmenting_payload();
    let payload = ip.payload().payload;
    let protocol = ip.payload_ip_number().0;
    let mut seen = Seen {
        source: ip.source_addr(),
        destination: ip.destination_addr(),
        protocol,
        ports: None,
        ttl: ip.ipv4().map_or_else(|| ip.ipv6().map_or(0, |v6| v6.header().hop_limit()), |v4| v4.header().ttl()),
        fragment,
    };
    if fragment {
        return Ok(seen);
    }
    match &sliced.transport {
        Some(TransportSlice::Tcp(tcp)) => seen.ports = Some((tcp.source_port(), tcp.destination_port())),
        Some(TransportSlice::Udp(udp)) => {
            if usize::from(udp.length()) != payload.len() {
                return Err(format!("UDP length {} of {} bytes", udp.length(), payload.len()));
            }
            seen.ports = Some((udp.source_port(), udp.destination_port()));
        }
        _ if protocol == SCTP && payload.len() >= 12 => seen.ports = Some((word(payload, 0), word(payload, 2))),
        _ => {}
    }
    check_sum(&seen, payload).map(|()| seen)
}

fn check_header(ip: &IpSlice<'_>) -> Result<(), String> {
    if let Some(v4) = ip.ipv4() {
        let header = v4.header().to_header();
        if header.header_checksum != header.calc_header_checksum() {
            return Err(format!("IPv4 header checksum {:04x}", header.header_checksum));
        }
    }
    Ok(())
}

/// Checks the checksum of the transport part.
fn check_sum(seen: &Seen, payload: &[u8]) -> Result<(), String> {
    match (seen.protocol, seen.ports) {
        (SCTP, Some(_)) => {
            let mut zeroed = payload.to_vec();
            zeroed[8..12].fill(0);
            return if crc32c(&zeroed) == payload[8..12] { Ok(()) } else { Err("SCTP checksum".into()) };
        }
        (17, Some(_)) if word(payload, 6) == 0 => {
            return if seen.source.is_ipv4() { Ok(()) } else { Err("UDP over IPv6 without checksum".into()) };
        }
        (TCP | 17, Some(_)) | (1 | 58, None) => {}
        _ => return Ok(()),
    }
    let sum = if seen.protocol == 1 { internet_sum(payload) } else { internet_sum(&with_pseudo_header(seen, payload)) };
    if sum == 0xffff { Ok(()) } else { Err(format!("checksum of protocol {}: sum {sum:04x}", seen.protocol)) }
}

fn with_pseudo_header(seen: &Seen, payload: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for address in [seen.source, seen.destination] {
        match address {
            IpAddr::V4(v4) => bytes.extend(v4.octets()),
            IpAddr::V6(v6) => bytes.extend(v6.octets()),
        }
    }
    bytes.extend(u32::try_from(payload.len()).unwrap_or(0).to_be_bytes());
    bytes.extend([0, 0, 0, seen.protocol]);
    bytes.extend(payload);
    bytes
}

fn word(bytes: &[u8], offset: usize) -> u16 {
    u16::from_be_bytes([bytes[offset], bytes[offset + 1]])
}
