//! Stage *emit*: translates a packet as its flow says, and sends it or leaves it to the stack. Everything that can fail comes
//! before the first write, so that no packet leaves half-translated (S28).

use core::mem::offset_of;

use proxy_common::{
    Address, ConntrackEntry, DropReason, Family, Headers, Part, Protocol, Verdict, checksum::Difference, sctp,
};

use crate::{
    counters::count_packet,
    headers::{Ipv4, Ipv4End, Ipv6, Ports, Sctp, Tcp, Udp},
    packet::Packet,
    route::Route,
};

/// The verdict about a packet that is too short to be read or written. Headers that have been parsed are never too short.
pub const MALFORMED: Verdict = Verdict::Drop(DropReason::Malformed);

/// Sends a packet out of this node, translated, as a router would.
#[inline(always)]
pub fn forward<P: Packet>(packet: &mut P, headers: &Headers, flow: &ConntrackEntry) -> Result<(), Verdict> {
    let mut route = Route::new();
    find_route(packet, headers, flow, &mut route)?;
    translate(packet, headers, flow, 1)?;
    packet.send(&route).ok_or(MALFORMED)?;
    count_packet(flow.meta.service, headers.end());
    Err(Verdict::Forwarded)
}

/// Sends the reply of a backend on this node, translated, by the given route.
#[inline(always)]
pub fn send_reply<P: Packet>(
    packet: &mut P,
    headers: &Headers,
    flow: &ConntrackEntry,
    route: &Route,
) -> Result<(), Verdict> {
    translate(packet, headers, flow, 0)?;
    packet.send(route).ok_or(MALFORMED)?;
    count_packet(flow.meta.service, headers.end());
    Err(Verdict::Forwarded)
}

/// Finds the route out of this node for a packet that will be translated by `flow`. Passes a packet that this hook can't send.
#[inline(always)]
pub fn find_route<P: Packet>(
    packet: &P,
    headers: &Headers,
    flow: &ConntrackEntry,
    route: &mut Route,
) -> Result<(), Verdict> {
    if packet.is_tagged(headers.network()) {
        // A tagged packet belongs to the VLAN's device, which serves it.
        return Err(Verdict::Pass);
    }
    if headers.hop_limit <= 1 {
        return Err(Verdict::Drop(DropReason::HopLimit));
    }
    route.lookup(packet, headers, flow)?;
    // If not, the packet passes untouched. TC ingress sees it next, and can send it.
    if packet.can_send(route) { Ok(()) } else { Err(Verdict::Pass) }
}

/// Leaves a packet to the stack, translated.
#[inline(always)]
pub fn deliver<P: Packet>(packet: &mut P, headers: &Headers, flow: &ConntrackEntry) -> Result<(), Verdict> {
    translate(packet, headers, flow, 0)?;
    count_packet(flow.meta.service, headers.end());
    Err(Verdict::Translated)
}

/// Rewrites addresses, ports, hop limit and checksums. `hops` is how much the hop limit decreases.
#[inline(always)]
fn translate<P: Packet>(packet: &mut P, headers: &Headers, flow: &ConntrackEntry, hops: u8) -> Result<(), Verdict> {
    let pseudo = translate_network(packet, headers, &flow.source, &flow.destination, hops).ok_or(MALFORMED)?;
    if headers.part() == Part::Later {
        return Ok(());
    }
    translate_transport(packet, headers, flow, pseudo).ok_or(MALFORMED)
}

/// Rewrites the network header of a packet. Returns the change of the addresses, which pseudo headers cover.
#[inline(always)]
pub fn translate_network<P: Packet>(
    packet: &mut P,
    headers: &Headers,
    source: &Address,
    destination: &Address,
    hops: u8,
) -> Option<Difference> {
    let (source, destination) = (source.words(), destination.words());
    let (old_source, old_destination) = (headers.tuple.source.words(), headers.tuple.destination.words());
    let ttl = headers.hop_limit.wrapping_sub(hops);
    match headers.family() {
        Family::Ipv4 => {
            let addresses =
                Difference::NONE.replace(old_source[3], source[3]).replace(old_destination[3], destination[3]);
            let at = headers.network() + offset_of!(Ipv4, ttl);
            let Ipv4End { protocol, checksum, .. } = packet.load(at)?;
            let word = |ttl| u16::from_ne_bytes([ttl, 0]).into();
            let checksum = addresses.replace(word(headers.hop_limit), word(ttl)).apply(checksum);
            packet.store(at, Ipv4End { ttl, protocol, checksum, addresses: [source[3], destination[3]] })?;
            Some(addresses)
        }
        Family::Ipv6 => {
            let addresses =
                Difference::NONE.replace_address(old_source, source).replace_address(old_destination, destination);
            packet.store(headers.network() + offset_of!(Ipv6, hop_limit), ttl)?;
            packet.store_ipv6_addresses(headers.network() + offset_of!(Ipv6, source), [source, destination])?;
            Some(addresses)
        }
    }
}

/// Rewrites ports and checksum of the transport header.
#[inline(always)]
fn translate_transport<P: Packet>(
    packet: &mut P,
    headers: &Headers,
    flow: &ConntrackEntry,
    pseudo: Difference,
) -> Option<()> {
    let ports = Difference::NONE
        .replace(headers.tuple.source_port.to_be().into(), flow.source_port.to_be().into())
        .replace(headers.tuple.destination_port.to_be().into(), flow.destination_port.to_be().into());
    let at = headers.transport();
    packet.store(at, Ports { source: flow.source_port.to_be(), destination: flow.destination_port.to_be() })?;
    if headers.tuple.protocol == Protocol::Tcp as u8 {
        return packet.change_checksum(at + offset_of!(Tcp, checksum), pseudo, ports, false);
    }
    if headers.tuple.protocol == Protocol::Udp as u8 {
        let at = at + offset_of!(Udp, checksum);
        // RFC 768: 0 is no checksum.
        return if packet.load::<u16>(at)? == 0 { Some(()) } else { packet.change_checksum(at, pseudo, ports, true) };
    }
    if headers.tuple.protocol != Protocol::Sctp as u8 {
        return Some(());
    }
    let word = |source: u16, destination: u16| u32::from(source) << 16 | u32::from(destination);
    let change =
        word(headers.tuple.source_port, headers.tuple.destination_port) ^ word(flow.source_port, flow.destination_port);
    translate_sctp(packet, at + offset_of!(Sctp, checksum), headers.end() - at, change)
}

/// Changes SCTP's checksum, which covers ports but no addresses. A pending checksum is left alone: the kernel or the network card
/// computes it later. `at` is the checksum's offset, `length` the length of header and payload in bytes, `change` the XOR of old
/// and new ports.
#[inline(never)]
#[expect(clippy::cast_possible_truncation, reason = "packets are shorter than 2^16 bytes")]
fn translate_sctp<P: Packet>(packet: &mut P, at: usize, length: usize, change: u32) -> Option<()> {
    if change == 0 || packet.is_checksum_pending(at) {
        return Some(());
    }
    let checksum = u32::from_le(packet.load(at)?);
    packet.store(at, (checksum ^ sctp_checksum_change(change, length as u32)).to_le())
}

/// [`sctp::crc32c_change`], as a global function. The verifier walks through a global function's loops once, and through those of
/// any other function once for each state in which it is called.
#[inline(never)]
#[unsafe(no_mangle)]
extern "C" fn sctp_checksum_change(change: u32, length: u32) -> u32 {
    sctp::crc32c_change(change, length)
}
