//! Stage *touch*: what a packet has changed of its flow is written where the other direction finds it, and what would end an
//! assured connection is judged by what both directions remember (S40).

use core::borrow::Borrow as _;

use proxy_common::{
    Chunk, ConntrackEntry, EntryMeta, Headers, Ipv4ConntrackEntry, Judgement, Protocol, State, TcpFlags,
};

use crate::{
    clock::timeout,
    conntrack::{enter, turn},
    maps::JIFFIES_PER_SECOND,
    scratch::reply_at_hand,
    tables::Table,
};

/// Writes what `track` has changed of a packet's flow where the other direction finds it. False: the packet is none of
/// this flow's. `chunk` is what SCTP says.
#[inline(always)]
pub fn touch_other(headers: &Headers, chunk: &Chunk, flow: &mut ConntrackEntry, assured: bool, now: u32) -> bool {
    if headers.tuple.destination.is_ipv4() {
        touch_in::<Ipv4ConntrackEntry>(headers, chunk, flow, assured, now)
    } else {
        touch_in::<ConntrackEntry>(headers, chunk, flow, assured, now)
    }
}

#[inline(always)]
fn touch_in<E: Table>(headers: &Headers, chunk: &Chunk, flow: &mut ConntrackEntry, assured: bool, now: u32) -> bool {
    if assured && headers.tuple.protocol == Protocol::Tcp as u8 {
        let touched = touch_connection::<E>(flow, headers, now);
        if touched != Touched::Missing as u32 {
            return touched == Touched::Done as u32;
        }
    }
    if headers.tuple.protocol == Protocol::Sctp as u8 {
        let before = flow.meta;
        if !flow.meta.associate(chunk) || !moves(&before, &mut flow.meta, now) {
            return true;
        }
        rewrite::<E>(flow, headers, assured, now);
    }
    touch::<E>(flow, headers, assured, now);
    true
}

/// Puts off the end of an association after one of its packets. Whether that, or what else the packet has changed, is to be
/// written.
#[inline(never)]
fn moves(before: &EntryMeta, meta: &mut EntryMeta, now: u32) -> bool {
    meta.expires = now.wrapping_add(timeout(Protocol::Sctp as u8, meta.state()));
    let tags = (meta.handshake ^ before.handshake) | (meta.service_generation ^ before.service_generation);
    tags != 0 || meta.state != before.state || before.ends_earlier_than(meta, now, JIFFIES_PER_SECOND.load())
}

/// Writes the metadata of an association into its packet's own entry.
#[inline(never)]
fn rewrite<E: Table>(flow: &ConntrackEntry, headers: &Headers, assured: bool, now: u32) {
    let key = E::key(&headers.tuple);
    if assured {
        E::assure(key.borrow(), E::narrow(flow).borrow(), now);
    } else {
        let _ = enter::<E>(key.borrow(), flow, now, |_| false);
    }
}

/// Writes what has changed in a flow's entry into the other one, which is made if it was not there yet or pushed out;
/// moves a flow that is assured out of EMBRYONIC.
#[inline(never)]
fn touch<E: Table>(flow: &mut ConntrackEntry, headers: &Headers, assured: bool, now: u32) {
    let (tuple, becomes_assured) = (&headers.tuple, !assured && flow.meta.state() == State::Established);
    let Ok(other) = reply_at_hand() else { return };
    let is_tcp = tuple.protocol == Protocol::Tcp as u8;
    if becomes_assured && is_tcp {
        flow.meta.begin(&headers.segment());
    }
    turn(flow, tuple, other);
    if (becomes_assured || assured) && is_tcp {
        other.meta.mirror();
    }
    let own = E::narrow(flow);
    let partner = own.borrow().partner(tuple.protocol);
    if !assured && !becomes_assured {
        // A key that has become another flow's stays that one's: of two answers to a connection, the first decides.
        let _ = enter::<E>(&partner, other, now, |_| false);
        return;
    }
    E::assure(&partner, E::narrow(other).borrow(), now);
    if becomes_assured {
        let key = E::key(tuple);
        E::assure(key.borrow(), own.borrow(), now);
        let _ = E::embryonic().remove(&partner);
        let _ = E::embryonic().remove(key.borrow());
    }
}

/// What has become of [`touch_connection`].
#[repr(u32)]
enum Touched {
    /// Both entries are in order.
    Done,
    /// There is no other one.
    Missing,
    /// The packet accepts another connection than this one.
    Stranger,
}

/// The same for an assured TCP connection, each of whose entries remembers its own direction's numbers. What would end,
/// close or accept it is judged by both (S40). Returns a [`Touched`].
#[inline(never)]
fn touch_connection<E: Table>(flow: &mut ConntrackEntry, headers: &Headers, now: u32) -> u32 {
    let Ok(other) = reply_at_hand() else { return Touched::Done as u32 };
    turn(flow, &headers.tuple, other);
    other.meta.mirror();
    let partner = E::narrow(flow).borrow().partner(headers.tuple.protocol);
    // SAFETY: valid until the program ends, and words are read and written one by one.
    let found = E::assured(&partner).map(|found| unsafe { &mut *found });
    let found = found.filter(|found| found.translates_like(other));
    let known = found.as_ref().map_or(&other.meta, |found| found.meta());
    let segment = headers.segment();
    if segment.flags.is_event() {
        match flow.meta.judge(known, &segment) {
            Judgement::Moves(next) => flow.meta.state = next as u8,
            Judgement::Ignored => return Touched::Done as u32,
            Judgement::Stranger => return Touched::Stranger as u32,
        }
        if !segment.flags.has(TcpFlags::RST) {
            let _ = flow.meta.note(&segment);
        }
        flow.meta.expires = now.wrapping_add(timeout(headers.tuple.protocol, flow.meta.state()));
        write_own::<E>(flow, headers);
    }
    match found {
        Some(found) => {
            found.meta_mut().follow(&flow.meta);
            Touched::Done as u32
        }
        None => Touched::Missing as u32,
    }
}

/// Writes the metadata of an assured connection into the packet's own entry.
#[inline(never)]
fn write_own<E: Table>(flow: &ConntrackEntry, headers: &Headers) {
    let key = E::key(&headers.tuple);
    // SAFETY: as above.
    if let Some(own) = E::assured(key.borrow()).map(|own| unsafe { &mut *own })
        && own.translates_like(flow)
    {
        *own.meta_mut() = flow.meta;
    }
}
