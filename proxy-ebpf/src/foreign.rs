//! Connections that are somebody else's: the node opens them, or netfilter in its name, and their answers come to addresses
//! and ports that are Services', too (S39). What leaves tells: a note in HALF_OPEN, found by the answer, lets that pass.
//!
//! TCP needs notes only where the stack is not asked: what opens no connection, and belongs to none of ours, goes up to the
//! stack if the address is the node's own (`pipeline::open`).

use core::borrow::Borrow as _;

use proxy_common::{
    Address, Conntrack, Frontend, Headers, Ipv4Conntrack, Life, Part, Protocol, State, Tuple,
    filter::{AddressClass, PortClass},
};

use crate::{
    conntrack::{enter, timeout},
    filter::port_class,
    maps::{JIFFIES_PER_SECOND, SERVICES},
    scratch::reply_at_hand,
    tables::Table,
};

/// A packet leaves this node that a Service's answer is not known to be. `class` is its source's in ADDRESS_FILTER, and
/// `last` the flow that this processor has worked on last.
#[inline(always)]
pub fn note(headers: &Headers, class: u8, last: &Conntrack, now: u32) {
    if headers.part() == Part::Later || !is_mistakable(headers, class) || is_of(last, &headers.tuple) {
        return;
    }
    if headers.tuple.source.is_ipv4() {
        note_in::<Ipv4Conntrack>(&headers.tuple, class, now);
    } else {
        note_in::<Conntrack>(&headers.tuple, class, now);
    }
}

/// Whether the answer may be taken for what a client of a Service sends. Most packets end here.
#[inline(always)]
fn is_mistakable(headers: &Headers, class: u8) -> bool {
    let is_tcp = headers.tuple.protocol == Protocol::Tcp as u8;
    let mut ports = 0;
    if class & AddressClass::NODE != 0 && !is_tcp {
        ports |= PortClass::of_protocol(headers.tuple.protocol);
    }
    if class & AddressClass::SERVICE != 0 && (!is_tcp || headers.flags().opens()) {
        ports |= PortClass::SERVICE;
    }
    ports != 0 && port_class(headers.tuple.source_port) & ports != 0
}

/// Whether a packet is what `flow` makes of one: TC sees once more what it has sent itself.
#[inline(always)]
fn is_of(flow: &Conntrack, tuple: &Tuple) -> bool {
    let ports = (flow.source_port ^ tuple.source_port) | (flow.destination_port ^ tuple.destination_port);
    ports == 0 && is_same(&flow.source, &tuple.source) && is_same(&flow.destination, &tuple.destination)
}

/// Word by word: comparing arrays, the compiler would put copies on the stack.
#[inline(always)]
const fn is_same(one: &Address, other: &Address) -> bool {
    let ([a, b, c, d], [e, f, g, h]) = (one.words(), other.words());
    (a ^ e) | (b ^ f) | (c ^ g) | (d ^ h) == 0
}

/// Enters the note, or puts off its end; leaves alone what is a flow of ours. The filters know addresses by halves: what no
/// Service has is not noted.
#[inline(never)]
fn note_in<E: Table>(tuple: &Tuple, class: u8, now: u32) {
    let node_port =
        class & AddressClass::NODE != 0 && port_class(tuple.source_port) & PortClass::of_protocol(tuple.protocol) != 0;
    if !node_port && !is_frontend(tuple) {
        return;
    }
    let Ok(entry) = reply_at_hand() else { return };
    let answer = tuple.reversed();
    let end = now.wrapping_add(lifetime(tuple.protocol));
    if let Some((found, _)) = E::find(&answer, now) {
        let life = found.life_mut();
        if life.state() == State::Foreign && life.is_stale(now, lifetime(tuple.protocol), JIFFIES_PER_SECOND.load()) {
            life.expires = end;
        }
        return;
    }
    entry.source = answer.source;
    entry.destination = answer.destination;
    entry.source_port = answer.source_port;
    entry.destination_port = answer.destination_port;
    entry.life = Life { expires: end, state: State::Foreign as u8, ..Life::default() };
    // Where another processor has just entered a flow, that stays.
    let _ = enter::<E>(E::key(&answer).borrow(), entry, now, |_| false);
}

/// Until an answer comes, which puts the end off as far as for other flows.
#[inline(always)]
fn lifetime(protocol: u8) -> u32 {
    timeout(protocol, State::New)
}

#[inline(always)]
fn is_frontend(tuple: &Tuple) -> bool {
    let frontend = Frontend::new(tuple.source, tuple.source_port, tuple.protocol);
    // SAFETY: only whether it is there counts.
    unsafe { SERVICES.get(frontend) }.is_some()
}
