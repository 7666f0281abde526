//! Stage *parse*: reads a packet's headers. A packet that is not IP passes. The caller decides about a truncated packet, since
//! that depends on its destination.

use core::ffi::c_void;

use proxy_common::{
    Address, Chunk, DropReason, Family, Headers, Part, Protocol, TcpFlags, Tuple, Verdict, conntrack::chunk,
};

use crate::{
    headers::{
        ETHER_IPV4, ETHER_IPV6, ETHER_VLAN, ETHER_VLAN_OUTER, Ethernet, Extension, Icmp, Initiate, Ipv4, Ipv6, Ports,
        Sctp, Tcp, Udp, Vlan,
    },
    packet::{MAX_OFFSET, Packet},
};

/// The largest number of IPv6 extension headers that are skipped.
const EXTENSIONS_MAX: usize = 6;

/// Parses the network header after Ethernet and up to two VLAN tags, or at the very beginning of a packet without Ethernet.
#[inline(always)]
pub fn parse_network<P: Packet>(packet: &P, headers: &mut Headers) -> Result<(), Verdict> {
    if packet.is_bare() {
        return parse_ip(packet, packet.protocol(), 0, headers);
    }
    let ethernet = load_ethernet(packet).ok_or(Verdict::Pass)?;
    let (mut ether_type, mut offset) = (u16::from_be(ethernet.ether_type), size_of::<Ethernet>());
    for _ in 0..2 {
        if ether_type == ETHER_VLAN || ether_type == ETHER_VLAN_OUTER {
            let tag: Vlan = packet.load(offset).ok_or(Verdict::Pass)?;
            ether_type = u16::from_be(tag.ether_type);
            offset += size_of::<Vlan>();
        }
    }
    parse_ip(packet, ether_type, offset, headers)
}

/// The Ethernet header of a unicast frame. Multicast and broadcast frames are not for Services.
#[inline(always)]
fn load_ethernet<P: Packet>(packet: &P) -> Option<Ethernet> {
    packet.load(0).filter(|ethernet: &Ethernet| ethernet.destination[0].to_ne_bytes()[0] & 1 == 0)
}

/// Parses the headers of a plain packet of this family, as nearly all are: TCP or UDP, whole, without tags, options and extension
/// headers, so that the compiler knows all offsets. Returns false for other packets.
#[inline(always)]
pub fn parse_plain<P: Packet>(packet: &P, family: Family, headers: &mut Headers) -> bool {
    let (ether_type, length) = match family {
        Family::Ipv4 => (ETHER_IPV4, Ipv4::LENGTH),
        Family::Ipv6 => (ETHER_IPV6, Ipv6::LENGTH),
    };
    let mut offset = 0;
    if packet.is_bare() {
        if packet.protocol() != ether_type {
            return false;
        }
    } else {
        if load_ethernet(packet).is_none_or(|ethernet| ethernet.ether_type != ether_type.to_be()) {
            return false;
        }
        offset = size_of::<Ethernet>();
    }
    let parsed = match family {
        Family::Ipv4 => parse_ipv4(packet, offset, headers),
        Family::Ipv6 => parse_ipv6(packet, offset, headers),
    };
    let has_ports = headers.tuple.protocol == Protocol::Tcp as u8 || headers.tuple.protocol == Protocol::Udp as u8;
    if parsed.is_err() || headers.part() != Part::Whole || headers.transport() != offset + length || !has_ports {
        return false;
    }
    headers.set_part(Part::Whole);
    #[expect(clippy::cast_possible_truncation, reason = "a packet's length has 16 bits")]
    headers.set_offsets(offset, offset + length, headers.length() as u16);
    true
}

#[inline(always)]
fn parse_ip<P: Packet>(packet: &P, ether_type: u16, offset: usize, headers: &mut Headers) -> Result<(), Verdict> {
    match ether_type {
        ETHER_IPV4 => parse_ipv4(packet, offset, headers),
        ETHER_IPV6 => {
            parse_ipv6(packet, offset, headers)?;
            skip_extensions(packet, headers)
        }
        _ => Err(Verdict::Pass),
    }
}

/// Parses the IPv4 header at `offset`.
#[inline(always)]
pub fn parse_ipv4<P: Packet>(packet: &P, offset: usize, headers: &mut Headers) -> Result<(), Verdict> {
    let header: Ipv4 = packet.load(offset).ok_or(Verdict::Pass)?;
    let length = usize::from(header.version_length & 0xf) * 4;
    let total = u16::from_be(header.total_length);
    if header.version_length >> 4 != 4 || length < Ipv4::LENGTH || usize::from(total) < length {
        return Err(Verdict::Pass);
    }
    let fragment = u16::from_be(header.fragment);
    let (source, destination) = (Address::from_ipv4_word(header.source), Address::from_ipv4_word(header.destination));
    headers.set_network(Family::Ipv4, Tuple::from_addresses(source, destination, header.protocol), header.ttl);
    if fragment & Ipv4::FRAGMENT_OFFSET != 0 {
        headers.set_part(Part::Later);
    } else if fragment & Ipv4::MORE_FRAGMENTS != 0 {
        headers.set_part(Part::First);
    }
    headers.set_offsets(offset, offset + length, total);
    headers.identification = u32::from(header.identification);
    Ok(())
}

/// Parses the IPv6 header at `offset`.
#[inline(always)]
pub fn parse_ipv6<P: Packet>(packet: &P, offset: usize, headers: &mut Headers) -> Result<(), Verdict> {
    let header: Ipv6 = packet.load(offset).ok_or(Verdict::Pass)?;
    if u32::from_be(header.version_class_flow) >> 28 != 6 {
        return Err(Verdict::Pass);
    }
    let (source, destination) = (Address::from_words(header.source), Address::from_words(header.destination));
    // An IPv4-mapped address would make an IPv6 packet look like an IPv4 one.
    if source.is_ipv4() || destination.is_ipv4() {
        return Err(Verdict::Drop(DropReason::MappedAddress));
    }
    headers.set_network(Family::Ipv6, Tuple::from_addresses(source, destination, header.next_header), header.hop_limit);
    let length = u16::from_be(header.payload_length).saturating_add(40);
    headers.set_offsets(offset, offset + Ipv6::LENGTH, length);
    headers.identification = 0;
    Ok(())
}

const HOP_BY_HOP: u8 = 0;
const ROUTING: u8 = 43;
const FRAGMENT: u8 = 44;
const DESTINATION: u8 = 60;

#[inline(always)]
const fn is_extension(protocol: u8) -> bool {
    matches!(protocol, HOP_BY_HOP | ROUTING | FRAGMENT | DESTINATION)
}

/// Moves the transport offset of `headers` past the extension headers.
#[inline(always)]
fn skip_extensions<P: Packet>(packet: &P, headers: &mut Headers) -> Result<(), Verdict> {
    for _ in 0..EXTENSIONS_MAX {
        if !is_extension(headers.tuple.protocol) || headers.part() == Part::Later {
            break;
        }
        let header: Extension = packet.load(headers.transport()).ok_or(Verdict::Pass)?;
        let mut length: u16 = 8;
        if headers.tuple.protocol == FRAGMENT {
            let fragment = u16::from_be(header.fragment);
            // An "atomic" fragment (RFC 6946) is whole.
            headers.set_part(match (fragment & 0xfff8, fragment & 1) {
                (0, 0) => Part::Whole,
                (0, _) => Part::First,
                _ => Part::Later,
            });
            headers.identification = header.identification;
        } else {
            length += u16::from(header.length) * 8;
        }
        headers.tuple.protocol = header.next_header;
        headers.skip(length);
        // Headers are not looked for so far into a packet.
        if headers.transport() > MAX_OFFSET - size_of::<Tcp>() {
            return Err(Verdict::Pass);
        }
    }
    Ok(())
}

/// The destination port of a packet or first fragment. All protocols that have ports have it at the same place.
#[inline(always)]
pub fn parse_destination_port<P: Packet>(packet: &P, headers: &Headers) -> Result<u16, Verdict> {
    let ports: Ports = packet.load(headers.transport()).ok_or(Verdict::Pass)?;
    Ok(u16::from_be(ports.destination))
}

/// Parses the transport header of a packet or first fragment. Errors: `Pass` for a protocol that is not one of Services,
/// `Malformed` for a header that is cut short or longer than its packet.
#[inline(always)]
pub fn parse_transport<P: Packet>(packet: &P, headers: &mut Headers) -> Result<(), Verdict> {
    const MALFORMED: Verdict = Verdict::Drop(DropReason::Malformed);
    let at = headers.transport();
    let (ports, flags, length): (Ports, u8, usize) = match Protocol::from_number(headers.tuple.protocol.into()) {
        Some(Protocol::Tcp) => {
            let header: Tcp = packet.load(at).ok_or(MALFORMED)?;
            headers.sequence = u32::from_be(header.sequence);
            headers.acknowledgment = u32::from_be(header.acknowledgment);
            (header.ports, header.flags, usize::from(header.offset >> 4) * 4)
        }
        Some(Protocol::Udp) => {
            let header: Udp = packet.load(at).ok_or(MALFORMED)?;
            (header.ports, 0, size_of::<Udp>())
        }
        Some(Protocol::Sctp) => {
            let header: Sctp = packet.load(at).ok_or(MALFORMED)?;
            (header.ports, sctp_flags(&header), size_of::<Sctp>())
        }
        None => return Err(Verdict::Pass),
    };
    let is_short_tcp = headers.tuple.protocol == Protocol::Tcp as u8 && length < size_of::<Tcp>();
    if is_short_tcp || at + length > headers.end() || is_cut_short(packet, headers) {
        return Err(MALFORMED);
    }
    headers.set_ports(ports.source, ports.destination);
    headers.set_flags(flags);
    headers.set_transport_length(length);
    Ok(())
}

/// SYN for an INIT that may open an association, as a SYN opens a connection. Such an INIT has a verification tag of 0 (RFC 9260
/// §8.5.1 A).
#[inline(always)]
const fn sctp_flags(header: &Sctp) -> u8 {
    if header.chunk == chunk::INIT && header.verification == 0 { TcpFlags::SYN } else { 0 }
}

/// Reads the first chunk of an SCTP packet, for the stages that follow associations. A later fragment counts as data. Returns
/// false if the packet is cut short.
#[inline(never)]
pub fn parse_chunk<P: Packet>(packet: &P, headers: &Headers, chunk: &mut Chunk) -> bool {
    *chunk = Chunk { kind: chunk::DATA, flags: 0, tag: 0, initiate: 0 };
    if headers.part() == Part::Later {
        return true;
    }
    let at = headers.transport();
    let Some(header) = packet.load::<Sctp>(at) else { return false };
    (chunk.kind, chunk.flags, chunk.tag) = (header.chunk, header.chunk_flags, u32::from_be(header.verification));
    if chunk.kind != chunk::INIT && chunk.kind != chunk::INIT_ACK {
        return true;
    }
    let Some(initiate) = packet.load::<Initiate>(at + size_of::<Sctp>()) else { return false };
    chunk.initiate = u32::from_be(initiate.tag);
    true
}

/// Reads the initiate tag of a packet that opens an association; nothing of other packets. Returns false if the packet is cut
/// short.
#[inline(always)]
pub fn parse_initiate<P: Packet>(context: *mut c_void, headers: &mut Headers) -> bool {
    let begins = headers.tuple.protocol == Protocol::Sctp as u8 && headers.flags().opens();
    !begins || read_initiate::<P>(context, headers)
}

/// A subprogram that takes the hook's context instead of the packet, for which the program that opens flows has no space on its
/// stack.
#[inline(never)]
fn read_initiate<P: Packet>(context: *mut c_void, headers: &mut Headers) -> bool {
    let word = P::read_word(context, headers.transport() + size_of::<Sctp>());
    headers.sequence = u32::from_be(word.unwrap_or(0));
    word.is_some()
}

/// Whether the packet is shorter than its network header says.
#[inline(always)]
fn is_cut_short<P: Packet>(packet: &P, headers: &Headers) -> bool {
    let (start, end) = packet.fixed_bounds().unwrap_or_else(|| packet.bounds());
    // Most packets are in one piece and need no helper.
    headers.end() > end.wrapping_sub(start) && headers.end() > packet.length() as usize
}

/// Parses the ICMP header of either family.
#[inline(always)]
pub fn parse_icmp<P: Packet>(packet: &P, headers: &Headers) -> Result<Icmp, Verdict> {
    packet.load(headers.transport()).ok_or(Verdict::Pass)
}
