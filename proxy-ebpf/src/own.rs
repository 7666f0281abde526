//! SCTP from the node's own processes to Services. The kernel runs no program when an SCTP socket connects, so the packets are
//! translated on their way out: they go to a backend with this node's address and a source port, as with masquerading. The
//! replies are translated back before the stack sees them.
//!
//! Only nodes of clusters with SCTP Services have these programs, and only at TC: XDP leaves such replies to TC.

use proxy_common::{EntryMeta, Headers, Protocol, Stage, Verdict};

use crate::{
    clock::now_jiffies,
    emit::{MALFORMED, deliver},
    flow::{conntrack::lookup, open::open_flow, refresh::refresh_flow},
    keep_backend::may_continue,
    packet::{Packet, Skb},
    parse::parse_initiate,
    pipeline::{continue_flow, read_chunk},
    route::Route,
    scratch::{Parsed, Rooms},
    succession::{open_in_other_set, try_other_set},
};

/// Handles a packet from a process of this node to a Service, which is about to leave by the device that leads to the
/// Service's address.
#[inline(always)]
pub fn egress_own<P: Packet>(packet: &mut P, rooms: Rooms<'_>) -> Result<(), Verdict> {
    let (headers, flow, now) = (&mut Parsed::in_scratch(rooms.headers)?, rooms.flow.get()?, now_jiffies());
    if !parse_initiate::<P>(packet.context(), headers) {
        return Err(MALFORMED);
    }
    if let Some((meta, assured)) = lookup(&headers.tuple, now, flow)
        && flow.meta.flags & EntryMeta::REPLY == 0
        && may_continue(packet, headers, flow, meta, assured)
    {
        let chunk = read_chunk(packet, headers)?;
        let _ = refresh_flow(headers, &chunk, (flow, rooms.reply), assured, now);
    } else {
        open_in_other_set(packet, Stage::PreviousEgress);
        if !headers.flags().opens() {
            try_other_set(packet, Stage::PreviousEgress);
        }
        open_flow(packet, true, headers, now, (flow, rooms.reply))?;
    }
    continue_flow(packet, Stage::Send)
}

/// Whether a packet that can't be forwarded may be a reply to a packet of [`egress_own`].
#[inline(always)]
pub fn may_be_reply(headers: &Headers, flags: u8) -> bool {
    headers.tuple.protocol == Protocol::Sctp as u8 && flags & (EntryMeta::REPLY | EntryMeta::LOCAL) == EntryMeta::REPLY
}

/// Handles a reply. If it comes in by another device than the one that leads to the Service's address, as from a backend on this
/// node, it is redirected to the ingress of that device: a strict reverse path filter would drop it otherwise (`rp_filter`, RFC
/// 3704).
#[inline(always)]
pub fn reply<const BEGIN: u8>(packet: &mut Skb<BEGIN>, rooms: Rooms<'_>) -> Result<(), Verdict> {
    let (headers, flow) = (rooms.headers.get()?, rooms.flow.get()?);
    let ends = [&flow.source, &flow.destination];
    if !Route::new().leads_here(packet, headers, ends, [flow.source_port, flow.destination_port]) {
        return Err(Verdict::Pass);
    }
    let mut route = Route::new();
    let needs_other_device = route.leads_back_elsewhere(packet, headers, flow);
    let outcome = deliver(packet, headers, flow);
    if needs_other_device && outcome == Err(Verdict::Translated) {
        packet.redirect_to_ingress(&route).ok_or(MALFORMED)?;
    }
    outcome
}
