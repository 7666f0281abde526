//! Stage *refresh*: writes the changes that a packet has made to its flow into the entry of the other direction. Packets that
//! would end an assured connection are judged by both entries (S40).

use core::borrow::Borrow as _;

use proxy_common::{
    Chunk, ConntrackEntry, EntryMeta, Headers, Ipv4ConntrackEntry, Judgement, Protocol, State, TcpFlags,
};

use super::{
    conntrack::{insert_embryonic, invert},
    table::FlowTable,
};
use crate::{clock::timeout, maps::JIFFIES_PER_SECOND, scratch::ReplyRoom};

/// Writes what `track` has changed of a packet's flow into the entry of the other direction. Returns false if the packet does not
/// belong to this flow. `chunk` is the packet's first chunk if it is SCTP.
#[inline(always)]
pub fn refresh_flow(
    headers: &Headers,
    chunk: &Chunk,
    entries: (&mut ConntrackEntry, ReplyRoom<'_>),
    assured: bool,
    now: u32,
) -> bool {
    if headers.tuple.destination.is_ipv4() {
        refresh_in::<Ipv4ConntrackEntry>(headers, chunk, entries, assured, now)
    } else {
        refresh_in::<ConntrackEntry>(headers, chunk, entries, assured, now)
    }
}

#[inline(always)]
fn refresh_in<E: FlowTable>(
    headers: &Headers,
    chunk: &Chunk,
    (flow, mut room): (&mut ConntrackEntry, ReplyRoom<'_>),
    assured: bool,
    now: u32,
) -> bool {
    if assured && headers.tuple.protocol == Protocol::Tcp as u8 {
        let refreshed = refresh_connection::<E>(flow, headers, now, room.lend());
        if refreshed != Refreshed::Missing as u32 {
            return refreshed == Refreshed::Done as u32;
        }
    }
    if headers.tuple.protocol == Protocol::Sctp as u8 {
        let before = flow.meta;
        if !flow.meta.associate(chunk) || !refresh_association(&before, &mut flow.meta, now) {
            return true;
        }
        write_association::<E>(flow, headers, assured, now);
    }
    refresh_other::<E>(flow, headers, assured, now, room);
    true
}

/// Refreshes the end of an association after one of its packets. Returns whether the entries have to be written.
#[inline(never)]
fn refresh_association(before: &EntryMeta, meta: &mut EntryMeta, now: u32) -> bool {
    meta.expires = now.wrapping_add(timeout(Protocol::Sctp as u8, meta.state()));
    let tags = (meta.handshake ^ before.handshake) | (meta.service_generation ^ before.service_generation);
    tags != 0 || meta.state != before.state || before.ends_earlier_than(meta, now, JIFFIES_PER_SECOND.load())
}

/// Writes the metadata of an association into the entry of its packet.
#[inline(never)]
fn write_association<E: FlowTable>(flow: &ConntrackEntry, headers: &Headers, assured: bool, now: u32) {
    let key = E::key(&headers.tuple);
    if assured {
        E::assure(key.borrow(), E::narrow(flow).borrow(), now);
    } else {
        let _ = insert_embryonic::<E>(key.borrow(), flow, now, |_| false);
    }
}

/// Writes the changes of a flow's entry into the entry of the other direction. That entry is inserted if it is missing, because
/// the flow is new or the entry was evicted. Moves a flow that has become assured out of EMBRYONIC.
#[inline(never)]
fn refresh_other<E: FlowTable>(
    flow: &mut ConntrackEntry,
    headers: &Headers,
    assured: bool,
    now: u32,
    room: ReplyRoom<'_>,
) {
    let (tuple, becomes_assured) = (&headers.tuple, !assured && flow.meta.state() == State::Established);
    let Ok(other) = room.get() else { return };
    let is_tcp = tuple.protocol == Protocol::Tcp as u8;
    if becomes_assured && is_tcp {
        flow.meta.begin(&headers.segment());
    }
    invert(flow, tuple, other);
    if (becomes_assured || assured) && is_tcp {
        other.meta.mirror();
    }
    let own = E::narrow(flow);
    let inverse = &own.borrow().inverse_key(tuple.protocol);
    if !assured && !becomes_assured {
        // If another flow has claimed the key by now, it keeps it: of two replies that accept a connection, the first decides.
        let _ = insert_embryonic::<E>(inverse, other, now, |_| false);
        return;
    }
    E::assure(inverse, E::narrow(other).borrow(), now);
    if becomes_assured {
        let key = E::key(tuple);
        E::assure(key.borrow(), own.borrow(), now);
        let _ = E::embryonic().remove(inverse);
        let _ = E::embryonic().remove(key.borrow());
    }
}

/// The outcome of [`refresh_connection`].
#[repr(u32)]
enum Refreshed {
    /// Both entries are up to date.
    Done,
    /// The entry of the other direction is missing.
    Missing,
    /// The packet accepts another connection than this one.
    OtherConnection,
}

/// Refreshes an assured TCP connection. Each of its entries has the sequence numbers of one direction, and a segment that would
/// end, close or accept the connection is judged by both (S40). Returns a [`Refreshed`].
#[inline(never)]
fn refresh_connection<E: FlowTable>(
    flow: &mut ConntrackEntry,
    headers: &Headers,
    now: u32,
    room: ReplyRoom<'_>,
) -> u32 {
    let Ok(other) = room.get() else { return Refreshed::Done as u32 };
    invert(flow, &headers.tuple, other);
    other.meta.mirror();
    let inverse = E::narrow(flow).borrow().inverse_key(headers.tuple.protocol);
    let found = E::assured(&inverse).filter(|found| E::same_translation(*found, E::narrow(other).borrow()));
    let segment = headers.segment();
    if segment.flags.is_event() {
        let known = found.map_or(other.meta, |found| E::meta_of(found).read());
        match flow.meta.judge(&known, &segment) {
            Judgement::Transition(next) => flow.meta.state = next as u8,
            Judgement::Ignored => return Refreshed::Done as u32,
            Judgement::OtherConnection => return Refreshed::OtherConnection as u32,
        }
        if !segment.flags.has(TcpFlags::RST) {
            let _ = flow.meta.note(&segment);
        }
        flow.meta.expires = now.wrapping_add(timeout(headers.tuple.protocol, flow.meta.state()));
        write_own::<E>(flow, headers);
    }
    match found {
        Some(found) => {
            E::meta_of(found).copy_state(&flow.meta);
            Refreshed::Done as u32
        }
        None => Refreshed::Missing as u32,
    }
}

/// Writes the metadata of an assured connection into the entry of its packet.
#[inline(never)]
fn write_own<E: FlowTable>(flow: &ConntrackEntry, headers: &Headers) {
    let key = E::key(&headers.tuple);
    if let Some(own) = E::assured(key.borrow())
        && E::same_translation(own, E::narrow(flow).borrow())
    {
        E::meta_of(own).write(&flow.meta);
    }
}
