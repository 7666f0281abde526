//! Stage *reject*: turns a refused packet into a TCP reset or an ICMP error, written over the packet in place, and sends it back
//! out of the device that it came in on. Its source is the address that the packet was sent to.

use core::mem::offset_of;

use proxy_common::{
    Counter, DropReason, Family, Headers, Part, Protocol, Reject, Shared, TcpFlags, Verdict,
    checksum::{Difference, fold},
    parsed_headers::{ICMP, ICMPV6},
};

use crate::{
    clock::now_jiffies,
    counters::{count, count_number},
    emit::MALFORMED,
    events,
    headers::{Icmp, Ipv4, Ipv6, Ports, Tcp, Udp},
    lookup::Lookup as _,
    maps::{JIFFIES_PER_SECOND, REJECT_RATE, REJECTS},
    packet::Packet,
    parse::parse_network,
    scratch::Rooms,
};

/// Hop limit of what this node sends (RFC 1700).
pub const HOP_LIMIT: u8 = 64;
const TCP: u8 = Protocol::Tcp as u8;
const SCTP: u8 = Protocol::Sctp as u8;
/// The longest quotation, bytes: IPv4 with all options, or IPv6 with some extension headers, and eight more.
const QUOTE_MAX: usize = 96;

/// This CPU's rate limit, and the refusal of the current packet.
#[inline(always)]
fn state() -> Option<Shared<Reject>> {
    REJECTS.get_shared(0)
}

/// Notes the refusal that [`reject`] will turn the packet into, and the counter of its reason.
#[inline(always)]
pub fn prepare(kind: u32, counter: Counter, bare: bool) {
    if let Some(state) = state() {
        state.kind().write(&(if bare { kind | Reject::BARE } else { kind }));
        state.counter().write(&(counter as u32));
    }
}

/// Whether the packet that a refusal has been prepared for begins with its network header.
#[inline(always)]
pub fn is_prepared_bare() -> bool {
    state().is_some_and(|state| state.kind().read() & Reject::BARE != 0)
}

/// Takes a token from this CPU's bucket, which holds at most a second's worth. Returns false if it is empty.
#[inline(always)]
fn take_token(state: Shared<Reject>) -> bool {
    let (rate, now) = (REJECT_RATE.load(), now_jiffies());
    if rate == 0 {
        return true;
    }
    let mut tokens = state.tokens().read();
    if now.wrapping_sub(state.filled().read()) >= JIFFIES_PER_SECOND.load() {
        state.filled().write(&now);
        tokens = rate;
    }
    let allowed = tokens != 0;
    state.tokens().write(&(tokens - u32::from(allowed)));
    allowed
}

/// Notes the MTU that the current packet exceeds, bytes.
#[inline(always)]
pub fn note_mtu(mtu: u16) {
    if let Some(state) = state() {
        state.mtu().write(&mtu.into());
    }
}

/// Turns the packet into the refusal that was prepared for it, and counts it. `Pass` if this hook can't send it, but a later one
/// can.
#[inline(always)]
pub fn reject<P: Packet>(packet: &mut P, rooms: Rooms<'_>) -> Result<(), Verdict> {
    let state = state().ok_or(MALFORMED)?;
    let (kind, counter) = (state.kind().read() & !Reject::BARE, state.counter().read());
    // In SCRATCH, see `Parsed::in_scratch`.
    let headers = rooms.headers.get()?;
    *headers = Headers::default();
    let parsed = parse_network(packet, headers);
    if kind == Reject::SILENT {
        count_number(counter);
        report(packet, headers, false, counter);
        return Err(MALFORMED);
    }
    parsed?;
    if !packet.can_send_back(headers) {
        return Err(Verdict::Pass);
    }
    if !take_token(state) {
        count(Counter::DropRejectLimited);
        report(packet, headers, false, Counter::DropRejectLimited as u32);
        return Err(Verdict::Drop(DropReason::RejectLimited));
    }
    count_number(counter);
    report(packet, headers, kind == Reject::PORT_UNREACHABLE, counter);
    write(packet, headers, kind, state.mtu().read()).ok_or(MALFORMED)
}

/// Reports the packet to the monitor, with the addresses that it came with. `rejects` says that it is rejected, not dropped.
#[inline(always)]
#[expect(clippy::cast_possible_truncation, reason = "offsets are small")]
fn report<P: Packet>(packet: &P, headers: &Headers, rejects: bool, counter: u32) {
    let has_ports = headers.part() != Part::Later && Protocol::from_number(headers.tuple.protocol.into()).is_some();
    let ports = if has_ports { headers.transport() as u32 } else { 0 };
    events::refused(packet, headers.tuple, ports, rejects, counter);
}

/// Writes the refusal over the packet.
#[inline(always)]
fn write<P: Packet>(packet: &mut P, headers: &Headers, kind: u32, mtu: u32) -> Option<()> {
    if kind == Reject::PORT_UNREACHABLE && headers.tuple.protocol == TCP {
        return write_reset(packet, headers);
    }
    write_icmp_error(packet, headers, kind, if kind == Reject::TOO_BIG { mtu } else { 0 })
}

/// Writes the network header of a packet back to the sender, which `length` bytes follow. Returns the sum of the pseudo header
/// for `protocol`.
#[inline(always)]
#[expect(clippy::cast_possible_truncation, reason = "refusals are short")]
fn store_network<P: Packet>(packet: &mut P, headers: &Headers, protocol: u8, length: usize) -> Option<u64> {
    let (source, destination) = (headers.tuple.destination.words(), headers.tuple.source.words());
    let sum = |words: [u32; 4]| u64::from(words[0]) + u64::from(words[1]) + u64::from(words[2]) + u64::from(words[3]);
    let pseudo = u64::from((length as u16).to_be()) + u64::from(u16::from(protocol).to_be());
    match headers.family() {
        Family::Ipv4 => {
            let mut header = Ipv4 {
                version_length: 0x45,
                tos: 0,
                total_length: ((Ipv4::LENGTH + length) as u16).to_be(),
                identification: 0,
                fragment: 0x4000_u16.to_be(),
                ttl: HOP_LIMIT,
                protocol,
                checksum: 0,
                source: source[3],
                destination: destination[3],
            };
            let fixed = u64::from(u16::from_ne_bytes([0x45, 0])) + u64::from(u16::from_ne_bytes([HOP_LIMIT, protocol]));
            let addresses = u64::from(source[3]) + u64::from(destination[3]);
            header.checksum = !fold(fixed + u64::from(header.total_length) + u64::from(header.fragment) + addresses);
            packet.store(headers.network(), header)?;
            Some(pseudo + addresses)
        }
        Family::Ipv6 => {
            let header = Ipv6 {
                version_class_flow: 0x6000_0000_u32.to_be(),
                payload_length: (length as u16).to_be(),
                next_header: protocol,
                hop_limit: HOP_LIMIT,
                source,
                destination,
            };
            packet.store(headers.network(), header)?;
            Some(pseudo + sum(source) + sum(destination))
        }
    }
}

#[inline(always)]
const fn network_length(family: Family) -> usize {
    match family {
        Family::Ipv4 => Ipv4::LENGTH,
        Family::Ipv6 => Ipv6::LENGTH,
    }
}

/// Writes a TCP reset for a connection that does not exist (RFC 9293 §3.10.7.1).
#[inline(always)]
#[expect(clippy::cast_possible_truncation, reason = "a packet's length has 16 bits")]
fn write_reset<P: Packet>(packet: &mut P, headers: &Headers) -> Option<()> {
    let received: Tcp = packet.load(headers.transport())?;
    let flags = TcpFlags(received.flags);
    if flags.has(TcpFlags::RST) {
        return None;
    }
    let header_length = usize::from(received.offset >> 4) * 4;
    let payload = headers.end().checked_sub(headers.transport() + header_length)? as u32;
    let (sequence, acknowledgment, flags) = if flags.has(TcpFlags::ACK) {
        (received.acknowledgment, 0, TcpFlags::RST)
    } else {
        let marks = u32::from(flags.has(TcpFlags::SYN)) + u32::from(flags.has(TcpFlags::FIN));
        let next = u32::from_be(received.sequence).wrapping_add(payload).wrapping_add(marks);
        (0, next.to_be(), TcpFlags::RST | TcpFlags::ACK)
    };
    let at = headers.network() + network_length(headers.family());
    let pending = packet.is_checksum_pending(headers.transport() + offset_of!(Tcp, checksum));
    packet.truncate((at + size_of::<Tcp>()) as u32)?;
    let pseudo = store_network(packet, headers, Protocol::Tcp as u8, size_of::<Tcp>())?;
    let ports = Ports { source: received.ports.destination, destination: received.ports.source };
    let offset = (size_of::<Tcp>() as u8 / 4) << 4;
    let inside = u64::from(ports.source)
        + u64::from(ports.destination)
        + u64::from(sequence)
        + u64::from(acknowledgment)
        + u64::from(u16::from_ne_bytes([offset, flags]));
    let checksum = if pending { fold(pseudo) } else { !fold(pseudo + inside) };
    packet.store(at, Tcp { ports, sequence, acknowledgment, offset, flags, window: 0, checksum, urgent: 0 })?;
    packet.send_back()
}

/// Writes an ICMP error that quotes the packet (RFC 792, RFC 4443): its network header and eight bytes more. A TCP segment whose
/// checksum is pending is quoted with its whole fixed header, since the kernel does not cut off more.
#[inline(always)]
#[expect(clippy::cast_possible_truncation, reason = "quotations are short")]
fn write_icmp_error<P: Packet>(packet: &mut P, headers: &Headers, kind: u32, mtu: u32) -> Option<()> {
    let (checksum, kept) = match headers.tuple.protocol {
        TCP => (offset_of!(Tcp, checksum), size_of::<Tcp>()),
        _ => (offset_of!(Udp, checksum), size_of::<Udp>()),
    };
    let pending = headers.tuple.protocol != SCTP && packet.is_checksum_pending(headers.transport() + checksum);
    let quoted = headers.transport() - headers.network() + if pending { kept } else { size_of::<Udp>() };
    if quoted > QUOTE_MAX || headers.is_icmp() {
        return None;
    }
    // The kernel will fill in the quoted checksum later. The ICMP checksum covers it.
    let quotation = if pending { pending_checksum(packet, headers, checksum)? } else { Difference::NONE };
    packet.truncate((headers.network() + quoted) as u32)?;
    let header_length = network_length(headers.family()) + size_of::<Icmp>();
    packet.insert(header_length as u32)?;
    let protocol = if headers.family() == Family::Ipv4 { ICMP } else { ICMPV6 };
    let length = size_of::<Icmp>() + quoted;
    let pseudo = store_network(packet, headers, protocol, length)?;
    let at = headers.network() + network_length(headers.family());
    let mut header = icmp(headers.family(), kind, mtu);
    let words = u64::from(u16::from_ne_bytes([header.kind, header.code])) + u64::from(header.rest);
    let pseudo = if headers.family() == Family::Ipv4 { 0 } else { pseudo };
    header.checksum = quotation.apply(!fold(pseudo + words + sum_quoted(packet, at + size_of::<Icmp>(), quoted)?));
    packet.store(at, header)?;
    packet.send_back()
}

/// The ICMP type, code and second word of a refusal.
#[inline(always)]
const fn icmp(family: Family, kind: u32, mtu: u32) -> Icmp {
    let (kind, code) = match (family, kind) {
        (Family::Ipv4, Reject::TOO_BIG) => (3, 4),
        (Family::Ipv4, Reject::HOP_LIMIT) => (11, 0),
        (Family::Ipv4, _) => (3, 3),
        (Family::Ipv6, Reject::TOO_BIG) => (2, 0),
        (Family::Ipv6, Reject::HOP_LIMIT) => (3, 0),
        (Family::Ipv6, _) => (1, 4),
    };
    Icmp { kind, code, checksum: 0, rest: mtu.to_be() }
}

/// The sum of `length` bytes from `at` on: a multiple of four, up to [`QUOTE_MAX`].
#[inline(always)]
fn sum_quoted<P: Packet>(packet: &P, at: usize, length: usize) -> Option<u64> {
    let mut sum = 0;
    for word in 0..QUOTE_MAX / 4 {
        if word * 4 < length {
            sum += u64::from(packet.load::<u32>(at + word * 4)?);
        }
    }
    Some(sum)
}

/// The change that the kernel will make to the pending checksum at `offset`, once the packet has been cut down to its header.
#[inline(always)]
fn pending_checksum<P: Packet>(packet: &P, headers: &Headers, offset: usize) -> Option<Difference> {
    let at = headers.transport();
    let add = |sum: u64, word: u16| sum + u64::from(word);
    let mut sum = packet.load::<[u16; 4]>(at)?.into_iter().fold(0, add);
    if headers.tuple.protocol == TCP {
        sum = packet.load::<[u16; 6]>(at + size_of::<[u16; 4]>())?.into_iter().fold(sum, add);
    }
    let checksum: u16 = packet.load(at + offset)?;
    Some(Difference::NONE.replace(checksum.into(), (!fold(sum)).into()))
}
