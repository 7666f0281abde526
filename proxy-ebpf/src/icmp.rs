//! Stage *icmp*: translates ICMP errors about translated packets back, both their headers and their quotations, so that path MTU
//! discovery works through a Service (RFC 5508). Answers echo requests to frontends.

use core::mem::offset_of;

use proxy_common::{
    ConntrackEntry, DropReason, EntryMeta, Family, Frontend, Headers, Part, Protocol, Service, Stage, State, Tuple,
    Verdict, checksum::Difference, filter::AddressClass,
};

use crate::{
    clock::now_jiffies,
    emit::{MALFORMED, find_route, translate_network},
    filter::address_class,
    flow::conntrack::{is_local_reply, lookup},
    headers::{Icmp, Ipv4, Ipv6, Ipv6Addresses, Ports, Tcp, Udp},
    maps::{ANSWER_ECHO, SERVICES},
    packet::Packet,
    parse::{parse_icmp, parse_ipv4, parse_ipv6},
    reject::HOP_LIMIT,
    route::Route,
    scratch::Rooms,
    service::is_unowned,
    succession::try_other_set,
    uplink::{has_source_rules, needs_other_device},
};

/// The kinds of ICMP messages that are handled here.
enum Message {
    /// An error that quotes a packet.
    Error,
    /// An echo request, with the type of its reply.
    Echo(u8),
    /// Any other message, which passes.
    Other,
}

#[inline(always)]
const fn message(family: Family, kind: u8) -> Message {
    match (family, kind) {
        // Destination unreachable, time exceeded, parameter problem.
        (Family::Ipv4, 3 | 11 | 12) | (Family::Ipv6, 1..=4) => Message::Error,
        (Family::Ipv4, 8) => Message::Echo(0),
        (Family::Ipv6, 128) => Message::Echo(129),
        _ => Message::Other,
    }
}

/// Handles an ICMP packet to this node or to a frontend.
#[inline(always)]
pub fn ingress<P: Packet>(packet: &mut P, rooms: Rooms<'_>) -> Result<(), Verdict> {
    let (headers, flow) = (rooms.headers.get()?, rooms.flow.get()?);
    // Checked first: at each exit the verifier would explore it again.
    if is_unowned(headers.tuple.destination) {
        return Err(Verdict::Drop(DropReason::UnownedAddress));
    }
    if headers.part() != Part::Whole {
        return Err(Verdict::Pass);
    }
    let header = parse_icmp(packet, headers)?;
    match message(headers.family(), header.kind) {
        Message::Error => {
            let mut inner = Headers::default();
            parse_quoted(packet, headers, &mut inner)?;
            lookup_quoted(packet, &inner, flow, Stage::Previous)?;
            translate_error(packet, headers, &inner, flow)
        }
        Message::Echo(reply) if ANSWER_ECHO.load() != 0 => {
            // SAFETY: the value is copied before anything else runs.
            let owner = unsafe { SERVICES.get(Frontend::owner(headers.tuple.destination)) };
            let owner = owner.ok_or(Verdict::Pass)?;
            if owner.flags & Service::USABLE == 0 || !packet.can_send_back(headers) {
                return Err(Verdict::Pass);
            }
            reply_to_echo(packet, headers, &header, reply).ok_or(MALFORMED)?;
            Err(Verdict::EchoReply)
        }
        _ => Err(Verdict::Pass),
    }
}

/// Handles an ICMP packet that is about to leave. Errors about packets to backends on this node get the frontend's address.
#[inline(always)]
pub fn egress<P: Packet>(packet: &mut P, rooms: Rooms<'_>) -> Result<(), Verdict> {
    let (headers, flow) = (rooms.headers.get()?, rooms.flow.get()?);
    let header = parse_icmp(packet, headers)?;
    if headers.part() != Part::Whole || !matches!(message(headers.family(), header.kind), Message::Error) {
        return Err(Verdict::Pass);
    }
    let mut inner = Headers::default();
    parse_quoted(packet, headers, &mut inner)?;
    let class = address_class(&inner.tuple.destination);
    if class & AddressClass::LOCAL_BACKEND == 0 {
        return Err(Verdict::Pass);
    }
    lookup_quoted(packet, &inner, flow, Stage::PreviousEgress)?;
    if !is_local_reply(&flow.meta) {
        return Err(Verdict::Pass);
    }
    let mut route = Route::new();
    let needs_other_device = has_source_rules(class) && needs_other_device(packet, headers, flow, &mut route);
    rewrite(packet, headers, &inner, flow, 0).ok_or(MALFORMED)?;
    if !needs_other_device {
        return Err(Verdict::Translated);
    }
    packet.send(&route).ok_or(MALFORMED)?;
    Err(Verdict::Forwarded)
}

/// Parses the quoted packet. Eight bytes of its transport header are always quoted, which is enough for the ports.
#[inline(always)]
fn parse_quoted<P: Packet>(packet: &P, headers: &Headers, inner: &mut Headers) -> Result<(), Verdict> {
    // Padding must not be read as a part of the quotation. Messages of this length are not padded.
    if packet.length() as usize != headers.end() {
        return Err(Verdict::Pass);
    }
    let at = headers.transport() + size_of::<Icmp>();
    match headers.family() {
        Family::Ipv4 => parse_ipv4(packet, at, inner)?,
        Family::Ipv6 => parse_ipv6(packet, at, inner)?,
    }
    if inner.part() == Part::Later || Protocol::from_number(inner.tuple.protocol.into()).is_none() {
        return Err(Verdict::Pass);
    }
    let ports: Ports = packet.load(inner.transport()).ok_or(Verdict::Pass)?;
    inner.set_ports(ports.source, ports.destination);
    Ok(())
}

/// Looks up the flow of the quoted packet's reply. If it is not known here, the packet goes to the other set of programs, if
/// there is one.
#[inline(always)]
fn lookup_quoted<P: Packet>(
    packet: &P,
    inner: &Headers,
    flow: &mut ConntrackEntry,
    previous: Stage,
) -> Result<(), Verdict> {
    if lookup(&inner.tuple.inverse(), now_jiffies(), flow).is_none() {
        try_other_set(packet, previous);
        return Err(Verdict::Pass);
    }
    Ok(())
}

/// Sends an error to where the reply to the quoted packet would go.
#[inline(always)]
fn translate_error<P: Packet>(
    packet: &mut P,
    headers: &Headers,
    inner: &Headers,
    flow: &ConntrackEntry,
) -> Result<(), Verdict> {
    if flow.meta.state() == State::Foreign || is_local_reply(&flow.meta) {
        // Foreign flows are not translated here; an error from a backend on this node goes up the stack first, and is
        // translated at egress.
        return Err(Verdict::Pass);
    }
    if flow.meta.flags & EntryMeta::LOCAL != 0 {
        rewrite(packet, headers, inner, flow, 0).ok_or(MALFORMED)?;
        return Err(Verdict::Translated);
    }
    let mut route = Route::new();
    find_route(packet, headers, flow, &mut route)?;
    rewrite(packet, headers, inner, flow, 1).ok_or(MALFORMED)?;
    packet.send(&route).ok_or(MALFORMED)?;
    Err(Verdict::Forwarded)
}

/// Translates an error: its header like any packet of the flow, its quotation in the opposite direction, and the checksum over
/// both. `None` if the packet does not have the form that parsing found.
#[inline(always)]
fn rewrite<P: Packet>(
    packet: &mut P,
    headers: &Headers,
    inner: &Headers,
    flow: &ConntrackEntry,
    hops: u8,
) -> Option<()> {
    let now = flow.inverse_key(inner.tuple.protocol);
    let addresses = translate_quoted(packet, inner, &now)?;
    let inside = addresses.0.plus(translate_quoted_ports(packet, inner, &now, addresses.1)?);
    let pseudo = translate_network(packet, headers, &flow.source, &flow.destination, hops)?;
    let covered = match headers.family() {
        Family::Ipv4 => inside,
        Family::Ipv6 => inside.plus(pseudo),
    };
    let at = headers.transport() + offset_of!(Icmp, checksum);
    let checksum = covered.apply(packet.load(at)?);
    packet.store(at, checksum)
}

/// Rewrites the quoted addresses. Returns the change of the bytes that the ICMP checksum covers, and of the addresses
/// alone.
#[inline(always)]
fn translate_quoted<P: Packet>(packet: &mut P, inner: &Headers, now: &Tuple) -> Option<(Difference, Difference)> {
    let (source, destination) = (now.source.words(), now.destination.words());
    let (old_source, old_destination) = (inner.tuple.source.words(), inner.tuple.destination.words());
    match inner.family() {
        Family::Ipv4 => {
            let addresses =
                Difference::NONE.replace(old_source[3], source[3]).replace(old_destination[3], destination[3]);
            let mut header: Ipv4 = packet.load(inner.network())?;
            let checksum = header.checksum;
            header.checksum = addresses.apply(checksum);
            header.source = source[3];
            header.destination = destination[3];
            packet.store(inner.network(), header)?;
            Some((addresses.replace(checksum.into(), header.checksum.into()), addresses))
        }
        Family::Ipv6 => {
            let addresses =
                Difference::NONE.replace_address(old_source, source).replace_address(old_destination, destination);
            packet.store(inner.network() + offset_of!(Ipv6, source), Ipv6Addresses([source, destination]))?;
            Some((addresses, addresses))
        }
    }
}

/// Rewrites the quoted ports, and the quoted checksum if the quotation includes it. Returns the change of these bytes.
#[inline(always)]
fn translate_quoted_ports<P: Packet>(
    packet: &mut P,
    inner: &Headers,
    now: &Tuple,
    addresses: Difference,
) -> Option<Difference> {
    let ports = Difference::NONE
        .replace(inner.tuple.source_port.to_be().into(), now.source_port.to_be().into())
        .replace(inner.tuple.destination_port.to_be().into(), now.destination_port.to_be().into());
    let at = inner.transport();
    packet.store(at, Ports { source: now.source_port.to_be(), destination: now.destination_port.to_be() })?;
    let (at, udp) = match Protocol::from_number(inner.tuple.protocol.into()) {
        Some(Protocol::Tcp) => (at + offset_of!(Tcp, checksum), false),
        Some(Protocol::Udp) => (at + offset_of!(Udp, checksum), true),
        _ => return Some(ports),
    };
    let Some(old) = packet.load::<u16>(at) else { return Some(ports) };
    if udp && old == 0 {
        return Some(ports);
    }
    let new = addresses.plus(ports).apply(old);
    let new = if udp && new == 0 { 0xffff } else { new };
    packet.store(at, new)?;
    Some(ports.replace(old.into(), new.into()))
}

/// Turns an echo request into its reply, and sends it back.
#[inline(always)]
pub fn reply_to_echo<P: Packet>(packet: &mut P, headers: &Headers, request: &Icmp, reply: u8) -> Option<()> {
    let word = |kind| u16::from_ne_bytes([kind, request.code]).into();
    let checksum = Difference::NONE.replace(word(request.kind), word(reply)).apply(request.checksum);
    packet.store(headers.transport(), Icmp { kind: reply, checksum, ..*request })?;
    // Swapping the addresses changes neither checksum. The reply starts with a hop limit of its own.
    let hops = headers.hop_limit.wrapping_sub(HOP_LIMIT);
    let _ = translate_network(packet, headers, &headers.tuple.destination, &headers.tuple.source, hops)?;
    packet.send_back()
}
