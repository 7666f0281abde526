//! The path of a packet, the same for XDP and TC, IPv4 and IPv6: `parse → filter → conntrack → lookup service → select backend →
//! translate → emit`. Read this page first; each step has a file of its own.

use proxy_common::{
    Chunk, ConntrackEntry, Counter, DropReason, EntryMeta, EventKind, Family, Headers, Part, Protocol, Reject,
    RejectReason, Shared, Stage, State, Verdict, filter::AddressClass,
};

use crate::{
    clock::now_jiffies,
    counters::count,
    emit::{MALFORMED, deliver, forward},
    events,
    filter::{filter_address, filter_port},
    flow::{
        conntrack::{forget, leaves_unchanged, lookup, refresh_foreign, track},
        open::{is_certainly_served, open_flow},
        refresh::refresh_flow,
    },
    foreign::is_over,
    fragment,
    keep_backend::may_continue,
    own::may_be_reply,
    packet::Packet,
    parse::{parse_chunk, parse_destination_port, parse_initiate, parse_network, parse_plain, parse_transport},
    reject,
    route::Route,
    scratch::{FlowRoom, Found, Parsed, Rooms},
    service::{is_owned, is_service, is_unowned},
    succession::{open_in_other_set, try_other_set},
};

/// Handles a packet that comes in: to a frontend, or a backend's reply to a packet that was sent with this node's address. Plain
/// packets, which are nearly all, have a path of their own for each family, on which the compiler knows all offsets.
#[inline(always)]
pub fn ingress<P: Packet>(packet: &mut P, rooms: Rooms<'_>) -> Result<(), Verdict> {
    let mut plain = Headers::default();
    if parse_plain(packet, Family::Ipv4, &mut plain) {
        return ingress_parsed(packet, &mut Parsed::in_registers(&mut plain, rooms.headers), rooms.flow);
    }
    let mut plain = Headers::default();
    if parse_plain(packet, Family::Ipv6, &mut plain) {
        return ingress_parsed(packet, &mut Parsed::in_registers(&mut plain, rooms.headers), rooms.flow);
    }
    let mut headers = Parsed::in_scratch(rooms.headers)?;
    parse_network(packet, &mut headers)?;
    ingress_parsed(packet, &mut headers, rooms.flow)
}

/// Continues with a packet whose network header has been parsed.
#[inline(always)]
fn ingress_parsed<P: Packet>(packet: &mut P, headers: &mut Parsed<'_>, flow: FlowRoom<'_>) -> Result<(), Verdict> {
    let class = filter_address(&headers.tuple.destination, AddressClass::NODE | AddressClass::SERVICE)?;
    if headers.is_icmp() {
        return store_and_continue(packet, headers, Stage::Icmp);
    }
    let is_nodes = class & AddressClass::SERVICE == 0;
    // Most packets to the node itself pass here, before more of them is read.
    if is_nodes && headers.part() != Part::Later {
        filter_port(parse_destination_port(packet, headers)?)?;
    }
    parse_ports(packet, headers, class, Stage::Previous)?;
    if is_nodes && headers.part() == Part::Later {
        filter_port(headers.tuple.destination_port)?;
    }
    if packet.is_unfinished(headers) {
        return Err(Verdict::Pass);
    }
    let now = now_jiffies();
    let flow = flow.get()?;
    let Some((meta, assured)) = lookup(&headers.tuple, now, flow) else {
        return store_and_continue(packet, headers, Stage::Open);
    };
    if flow.meta.state() == State::Foreign {
        return pass_foreign(packet, headers, flow, (meta, assured), now);
    }
    if flow.meta.flags & EntryMeta::REPLY == 0 && !may_continue(packet, headers, flow, meta, assured) {
        return store_and_continue(packet, headers, Stage::Open);
    }
    if !leaves_unchanged(flow, meta, assured, headers, now) {
        update_flow(packet, headers, flow, (meta, assured), now, Stage::Refresh)?;
    }
    send(packet, headers, flow)
}

/// Passes a packet of a foreign flow, unless that flow is over: then the packet may open a flow here.
#[inline(always)]
fn pass_foreign<P: Packet>(
    packet: &P,
    headers: &mut Parsed<'_>,
    flow: &ConntrackEntry,
    (meta, assured): (Shared<EntryMeta>, bool),
    now: u32,
) -> Result<(), Verdict> {
    if is_over(packet, headers)? {
        forget(flow, &headers.store()?.tuple);
        return store_and_continue(packet, headers, Stage::Open);
    }
    refresh_foreign(flow, (meta, assured), &headers.tuple, now);
    // The other fragments must pass, too.
    fragment::remember(headers)?;
    Err(Verdict::Pass)
}

/// Handles a packet of a pod whose sockets are served by the node's socket programs: only SCTP is handled, since the kernel runs
/// no socket program when SCTP connects. Everything else passes.
#[inline(always)]
pub fn sctp_only<P: Packet>(packet: &P, stage: Stage) -> Result<(), Verdict> {
    let mut headers = Headers::default();
    if parse_network(packet, &mut headers).is_ok() && headers.tuple.protocol == Protocol::Sctp as u8 {
        packet.continue_at(stage);
    }
    Err(Verdict::Pass)
}

/// Opens a flow by its first packet, which [`ingress`] has parsed.
#[inline(always)]
pub fn open<P: Packet>(packet: &mut P, rooms: Rooms<'_>) -> Result<(), Verdict> {
    open_in_other_set(packet, Stage::Previous);
    let (headers, flow, now) = (rooms.headers.get()?, rooms.flow.get()?, now_jiffies());
    if !parse_initiate::<P>(packet.context(), headers) {
        return Err(MALFORMED);
    }
    match open_flow(packet, false, headers, now, (flow, rooms.reply)) {
        // A flow that becomes assured is inserted into one table before it is removed from the other, but a lookup of both may
        // still miss it: the first before the insertion, the second after the removal.
        Err(Verdict::Pass | Verdict::Reject(RejectReason::UnknownConnection))
            if lookup(&headers.tuple, now, flow).is_some() => {}
        Err(Verdict::Pass) => {
            try_other_set(packet, Stage::Previous);
            return Err(Verdict::Pass);
        }
        // The stack knows the connection, or refuses the packet itself. The node may also serve clients that the Service does not
        // admit (S21).
        Err(Verdict::Reject(RejectReason::UnknownConnection)) if belongs_to_stack(packet, headers) => {
            return Err(Verdict::Pass);
        }
        Err(Verdict::Drop(DropReason::SourceRange))
            if is_mid_connection(headers) && belongs_to_stack(packet, headers) =>
        {
            return Err(Verdict::Pass);
        }
        outcome => outcome?,
    }
    continue_flow(packet, Stage::Send)
}

/// The packet's first chunk, if it is SCTP.
#[inline(always)]
pub fn read_chunk<P: Packet>(packet: &P, headers: &Headers) -> Result<Chunk, Verdict> {
    let mut chunk = Chunk::default();
    if headers.tuple.protocol == Protocol::Sctp as u8 && !parse_chunk(packet, headers, &mut chunk) {
        return Err(MALFORMED);
    }
    Ok(chunk)
}

/// Whether a packet without a flow here is for the stack of this node. If there is another set of programs, which may know the
/// flow, the packet goes there instead.
#[inline(always)]
fn belongs_to_stack<P: Packet>(packet: &P, headers: &Headers) -> bool {
    try_other_set(packet, Stage::Previous);
    let ends = [&headers.tuple.source, &headers.tuple.destination];
    Route::new().leads_here(packet, headers, ends, [headers.tuple.source_port, headers.tuple.destination_port])
}

/// Whether this is a packet in the middle of a TCP connection or SCTP association.
#[inline(always)]
fn is_mid_connection(headers: &Headers) -> bool {
    headers.tuple.protocol != Protocol::Udp as u8 && !headers.flags().opens()
}

/// Continues with a packet that has changed its flow: at most one a second, besides those of handshakes.
#[inline(always)]
pub fn refresh<P: Packet>(packet: &mut P, rooms: Rooms<'_>) -> Result<(), Verdict> {
    // A SYN-ACK that accepts another connection than this one comes from outside. It is sent on: the client will refuse it.
    let headers = rooms.headers.get()?;
    let chunk = read_chunk(packet, headers)?;
    let (flow, found) = (rooms.flow.get()?, Found::load()?);
    let _ = refresh_flow(headers, &chunk, (&mut *flow, rooms.reply), found.assured, now_jiffies());
    events::ended(packet, &headers.tuple, flow, found.before);
    continue_flow(packet, Stage::Send)
}

/// Sends a packet whose flow has been found or opened.
#[inline(always)]
pub fn send_stored<P: Packet>(packet: &mut P, rooms: Rooms<'_>) -> Result<(), Verdict> {
    let (headers, flow) = (rooms.headers.get()?, rooms.flow.get()?);
    let outcome = send(packet, headers, flow);
    if outcome == Err(Verdict::Pass) && may_be_reply(headers, flow.meta.flags) {
        packet.continue_at(Stage::OwnReply);
    }
    outcome
}

/// Reads the packet's ports, or recalls those of its first fragment, which another set of programs may have seen.
#[inline(always)]
pub fn parse_ports<P: Packet>(packet: &P, headers: &mut Headers, class: u8, previous: Stage) -> Result<(), Verdict> {
    if headers.part() == Part::Later {
        return fragment::recall(headers, class).inspect_err(|_| try_other_set(packet, previous));
    }
    match parse_transport(packet, headers) {
        // A malformed packet to the node itself is left to the stack.
        Err(Verdict::Drop(DropReason::Malformed)) if !is_service(&headers.tuple.destination, class) => {
            Err(Verdict::Pass)
        }
        // A packet of a protocol that is not one of Services.
        Err(Verdict::Pass) if class & AddressClass::SERVICE != 0 && is_unowned(headers.tuple.destination) => {
            Err(Verdict::Drop(DropReason::UnownedAddress))
        }
        parsed => parsed,
    }
}

/// Updates a packet's flow, and continues in `stage` if the entry of the other direction needs an update. SCTP always continues
/// there.
#[inline(always)]
pub fn update_flow<P: Packet>(
    packet: &P,
    headers: &mut Parsed<'_>,
    flow: &mut ConntrackEntry,
    (meta, assured): (Shared<EntryMeta>, bool),
    now: u32,
    stage: Stage,
) -> Result<(), Verdict> {
    let (stored, before) = (headers.store()?, flow.meta.state);
    if stored.tuple.protocol != Protocol::Sctp as u8 && !track(flow, meta, assured, stored, now) {
        return Ok(());
    }
    Found { assured, before }.store()?;
    continue_flow(packet, stage)
}

/// Translates a packet by its flow, and sends it or leaves it to the stack.
#[inline(always)]
fn send<P: Packet>(packet: &mut P, headers: &Headers, flow: &ConntrackEntry) -> Result<(), Verdict> {
    fragment::remember(headers)?;
    match flow.meta.flags & (EntryMeta::REPLY | EntryMeta::LOCAL) {
        // The client's packet to a backend on this node.
        EntryMeta::LOCAL => deliver(packet, headers, flow),
        // To another node's backend, or its reply.
        0 | EntryMeta::REPLY => forward(packet, headers, flow),
        // The reply of a backend on this node goes up the stack first, and is translated when it leaves.
        _ => Err(Verdict::Pass),
    }
}

/// Continues in another program, with the parsed headers in SCRATCH. If that program is missing, a packet that may be the node's
/// own passes, as it would without any program (S39).
#[inline(always)]
pub fn store_and_continue<P: Packet>(packet: &P, headers: &mut Parsed<'_>, stage: Stage) -> Result<(), Verdict> {
    let stored = headers.store()?;
    packet.continue_at(stage);
    let is_certainly_ours = match stage {
        Stage::IcmpEgress => false,
        Stage::Icmp => is_owned(stored.tuple.destination),
        Stage::Open => is_certainly_served(stored),
        _ => true,
    };
    Err(if is_certainly_ours { Verdict::Drop(DropReason::MissingStage) } else { Verdict::Pass })
}

/// Continues in another program with a packet that belongs to a flow.
#[inline(always)]
pub fn continue_flow<P: Packet>(packet: &P, stage: Stage) -> Result<(), Verdict> {
    packet.continue_at(stage);
    Err(Verdict::Drop(DropReason::MissingStage))
}

/// Returns the verdict and counts it, or leaves both to the stage *reject*. The packet itself has the action by which it leaves.
#[inline(always)]
pub fn finish<P: Packet>(packet: &P, outcome: Result<(), Verdict>) -> Verdict {
    let verdict = outcome.err().unwrap_or(Verdict::Pass);
    let Some(counter) = Counter::of_packet(verdict) else { return verdict };
    let kind = match verdict {
        Verdict::Reject(_) => Some(Reject::PORT_UNREACHABLE),
        Verdict::Drop(DropReason::HopLimit) => Some(Reject::HOP_LIMIT),
        Verdict::Drop(DropReason::TooBig) => Some(Reject::TOO_BIG),
        Verdict::Drop(_) if events::are_wanted(EventKind::Drop) => Some(Reject::SILENT),
        _ => None,
    };
    if let Some(kind) = kind {
        reject::prepare(kind, counter, packet.is_bare());
        packet.continue_at(Stage::Reject);
    }
    count(counter);
    verdict
}
