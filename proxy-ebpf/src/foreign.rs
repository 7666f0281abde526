//! Foreign flows: connections of the node itself, or masqueraded by netfilter to its address, whose replies come to addresses and
//! ports that Services have, too (S39). When a packet of such a flow leaves, an entry in EMBRYONIC notes the tuple of its reply.
//! The reply finds the entry and passes.
//!
//! Source translation does not take a port that is noted for the same backend (S28).
//!
//! A SYN ends a note, unless a socket of the node still has that connection: then the SYN is forged or late, and the stack
//! answers it as in RFC 5961. For connections that netfilter masquerades for pods, only netfilter knows whether they are alive,
//! and a program can't ask it here. So a SYN with the ports of such a connection opens a Service's flow in its place.
//!
//! At the node's own addresses TCP needs no notes: a segment that opens no connection and has no flow goes up the stack
//! (`pipeline::open`).

use core::borrow::Borrow as _;

use proxy_common::{
    Address, ConntrackEntry, EntryMeta, Frontend, Headers, Ipv4ConntrackEntry, Part, Protocol, State, Tuple, Verdict,
    filter::{AddressClass, PortClass},
};

use crate::{
    clock::timeout,
    filter::{filter_address, port_class},
    flow::{conntrack::insert_embryonic, table::FlowTable},
    maps::{JIFFIES_PER_SECOND, SERVICES},
    owner::{IsConnected, owner_is},
    packet::Packet,
    scratch::{Parsed, ReplyRoom, take_sent},
};

/// Notes a packet that leaves this node and is not a known reply of a Service. `class` has the bits of its source in
/// ADDRESS_FILTER. `last` is the flow that this CPU has handled last: if TC has just sent this packet for that flow, it is not
/// noted.
#[inline(always)]
pub fn note(headers: &Headers, class: u8, last: &ConntrackEntry, now: u32, room: ReplyRoom<'_>) {
    let tuple = &headers.tuple;
    if headers.part() == Part::Later {
        return;
    }
    let reasons = reasons(headers, class) & port_class(tuple.source_port);
    let is_sure = reasons & PortClass::NODE_PORT != 0
        || reasons & PortClass::SNAT != 0 && filter_address(&tuple.destination, AddressClass::ANY_BACKEND).is_ok();
    if !is_sure && reasons & PortClass::SERVICE == 0 || take_sent() && was_translated_by(last, tuple) {
        return;
    }
    if tuple.source.is_ipv4() {
        note_in::<Ipv4ConntrackEntry>(tuple, is_sure, now, room);
    } else {
        note_in::<ConntrackEntry>(tuple, is_sure, now, room);
    }
}

/// Whether a packet that matches a note shows that the note is out of date: it opens a connection that no socket has.
#[inline(always)]
pub fn is_over<P: Packet>(packet: &P, headers: &mut Parsed<'_>) -> Result<bool, Verdict> {
    if !headers.flags().opens() {
        return Ok(false);
    }
    Ok(!owner_is::<IsConnected>(packet.context(), &headers.store()?.tuple))
}

/// Why the reply to this packet could be mistaken for a packet of a Service: its port may be a node port, a frontend's port, or
/// one that source translation uses.
#[inline(always)]
fn reasons(headers: &Headers, class: u8) -> u8 {
    let is_tcp = headers.tuple.protocol == Protocol::Tcp as u8;
    let opens = !is_tcp || headers.flags().opens();
    let mut reasons = 0;
    if class & AddressClass::NODE != 0 && !is_tcp {
        reasons |= PortClass::of_protocol(headers.tuple.protocol);
    }
    if class & AddressClass::NODE != 0 && opens {
        reasons |= PortClass::SNAT;
    }
    if class & AddressClass::SERVICE != 0 && opens {
        reasons |= PortClass::SERVICE;
    }
    reasons
}

/// Whether a packet with this tuple may have been translated by `flow`.
#[inline(always)]
fn was_translated_by(flow: &ConntrackEntry, tuple: &Tuple) -> bool {
    let ports = (flow.source_port ^ tuple.source_port) | (flow.destination_port ^ tuple.destination_port);
    ports == 0 && is_same(&flow.source, &tuple.source) && is_same(&flow.destination, &tuple.destination)
}

/// Compares two addresses word by word. To compare arrays, the compiler would put copies on the stack.
#[inline(always)]
const fn is_same(one: &Address, other: &Address) -> bool {
    let ([a, b, c, d], [e, f, g, h]) = (one.words(), other.words());
    (a ^ e) | (b ^ f) | (c ^ g) | (d ^ h) == 0
}

/// Inserts or refreshes a note. A flow of Waggle's is left alone. Unless `is_sure`, the packet's source must be a frontend, since
/// ADDRESS_FILTER knows only a part of each address.
#[inline(never)]
fn note_in<E: FlowTable>(tuple: &Tuple, is_sure: bool, now: u32, room: ReplyRoom<'_>) {
    if !is_sure && !is_frontend(tuple) {
        return;
    }
    let Ok(entry) = room.get() else { return };
    let reply = tuple.inverse();
    if let Some((found, assured)) = E::find(&reply, now) {
        let (found, lifetime) = (E::meta_of(found), lifetime(tuple.protocol, assured));
        if found.state().read() == State::Foreign as u8 && found.is_stale(now, lifetime, JIFFIES_PER_SECOND.load()) {
            found.expires().write(&now.wrapping_add(lifetime));
        }
        return;
    }
    let end = now.wrapping_add(lifetime(tuple.protocol, false));
    entry.source = reply.source;
    entry.destination = reply.destination;
    entry.source_port = reply.source_port;
    entry.destination_port = reply.destination_port;
    entry.meta = EntryMeta { expires: end, state: State::Foreign as u8, ..EntryMeta::default() };
    // A flow that another CPU has just inserted stays.
    let _ = insert_embryonic::<E>(E::key(&reply).borrow(), entry, now, |_| false);
}

/// The lifetime of a note, jiffies. A note of UDP is short-lived until a reply comes in, which refreshes it like any flow. An
/// imported flow is assured: the packet that leaves is its reply, and renews it in full. TCP is noted when a connection opens and
/// SCTP with every packet. Their ends are not seen, so their notes live as long as established flows.
#[inline(always)]
fn lifetime(protocol: u8, assured: bool) -> u32 {
    timeout(protocol, if protocol == Protocol::Udp as u8 && !assured { State::New } else { State::Foreign })
}

#[inline(always)]
fn is_frontend(tuple: &Tuple) -> bool {
    let frontend = Frontend::new(tuple.source, tuple.source_port, tuple.protocol);
    // SAFETY: the value is not read.
    unsafe { SERVICES.get(frontend) }.is_some()
}
