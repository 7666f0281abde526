//! Stage *conntrack*: flows that are known already, and their life. Entries end lazily: whoever finds one past its
//! time treats it as absent.
//!
//! A packet's entry is copied to the flow at hand, and only what moves is written back. Each flow has two entries, which
//! carry the same state; `touch.rs` writes the other one, and makes that of a connection which has just been answered.
//! Two CPUs that move a flow at the same moment may lose one step: then it lives by the other step's timeout, which is
//! of the same order.

use core::borrow::Borrow as _;

use aya_ebpf::bindings::BPF_NOEXIST;
use proxy_common::{
    ConntrackEntry, Direction, DropReason, EntryMeta, Headers, Ipv4ConntrackEntry, Protocol, State, Tuple, Verdict,
};

use crate::{
    clock::{now, timeout},
    maps::JIFFIES_PER_SECOND,
    tables::Table,
};

/// Copies the live entry of a packet to `flow`. Returns what of it may be changed, and whether the flow is assured.
#[inline(always)]
pub fn lookup(tuple: &Tuple, now: u32, flow: &mut ConntrackEntry) -> Option<(&'static mut EntryMeta, bool)> {
    if tuple.destination.is_ipv4() {
        lookup_in::<Ipv4ConntrackEntry>(tuple, now, flow)
    } else {
        lookup_in::<ConntrackEntry>(tuple, now, flow)
    }
}

#[inline(always)]
fn lookup_in<E: Table>(tuple: &Tuple, now: u32, flow: &mut ConntrackEntry) -> Option<(&'static mut EntryMeta, bool)> {
    let (entry, assured) = E::find(tuple, now)?;
    entry.widen(flow);
    Some((entry.meta_mut(), assured))
}

/// Which direction an entry is of.
#[inline(always)]
pub fn direction(meta: &EntryMeta) -> Direction {
    if meta.flags & EntryMeta::REPLY == 0 { Direction::Original } else { Direction::Reply }
}

/// Whether an entry is of what a backend on this node sends.
#[inline(always)]
pub fn is_local_reply(meta: &EntryMeta) -> bool {
    meta.flags & (EntryMeta::REPLY | EntryMeta::LOCAL) == EntryMeta::REPLY | EntryMeta::LOCAL
}

/// Whether a packet only goes on in an assured flow that lives long enough, as nearly all packets do: no more than a
/// connection's sequence numbers are written. All others are [`track`]'s.
#[inline(always)]
#[must_use]
pub fn goes_on(flow: &ConntrackEntry, meta: &mut EntryMeta, assured: bool, headers: &Headers, now: u32) -> bool {
    let (protocol, state) = (headers.tuple.protocol, State::Established);
    if !assured || flow.meta.state != state as u8 {
        return false;
    }
    if protocol == Protocol::Tcp as u8 {
        if !meta.is_plain(headers.flags()) {
            return false;
        }
        let _ = meta.go_on(&headers.segment());
    } else if protocol != Protocol::Udp as u8 {
        return false;
    }
    !flow.meta.is_stale(now, timeout(protocol, state), JIFFIES_PER_SECOND.load())
}

/// A packet of the flow has come: moves its state and puts off its end, at most once a second. True: `touch_other` is to
/// follow. An assured connection keeps its sequence numbers besides, and what would end it is left to that. Not for SCTP, all of
/// which is.
///
/// This and what it calls are subprograms that leave what they have found in memory: the verifier follows one outcome
/// of each, not every state.
#[inline(never)]
#[must_use]
pub fn track(flow: &mut ConntrackEntry, meta: &mut EntryMeta, assured: bool, headers: &Headers, now: u32) -> bool {
    if assured && headers.tuple.protocol == Protocol::Tcp as u8 {
        if headers.flags().is_event() {
            return true;
        }
        note(flow, meta, headers);
    }
    advance(flow, assured, headers, now);
    let moves = flow.meta.state != meta.state || meta.ends_earlier_than(&flow.meta, now, JIFFIES_PER_SECOND.load());
    if moves {
        *meta = flow.meta;
    }
    moves
}

/// Remembers what an assured connection's packet says.
#[inline(never)]
fn note(flow: &mut ConntrackEntry, meta: &mut EntryMeta, headers: &Headers) {
    if flow.meta.note(&headers.segment()) {
        meta.remember(&flow.meta);
    }
}

/// Gives the flow at hand the state after its packet, and the end that it has then.
#[inline(never)]
fn advance(flow: &mut ConntrackEntry, assured: bool, headers: &Headers, now: u32) {
    let protocol = headers.tuple.protocol;
    let is_tcp = protocol == Protocol::Tcp as u8;
    let next = if assured {
        flow.meta.state().after(direction(&flow.meta), headers.flags())
    } else {
        embryonic(&flow.meta, is_tcp, headers)
    };
    if is_tcp && next == State::Replied && headers.flags().accepts() {
        flow.meta.handshake = headers.sequence.wrapping_add(1);
    }
    flow.meta.state = next as u8;
    flow.meta.expires = now.wrapping_add(timeout(protocol, next));
}

/// The state of a flow after one of its packets, when it is not assured.
#[inline(always)]
fn embryonic(meta: &EntryMeta, is_tcp: bool, headers: &Headers) -> State {
    let next = meta.state().after_embryonic(direction(meta), headers.flags());
    // A blind sender's packets don't make a flow assured.
    if is_tcp && next == State::Established && !meta.is_acknowledged_by(headers.acknowledgment) {
        return meta.state();
    }
    next
}

/// Puts off the end of an entry that has no other one: a flow that somebody else translates.
#[inline(always)]
pub fn put_off(meta: &mut EntryMeta, tuple: &Tuple, now: u32) {
    let timeout = timeout(tuple.protocol, meta.state());
    if meta.is_stale(now, timeout, JIFFIES_PER_SECOND.load()) {
        meta.expires = now.wrapping_add(timeout);
    }
}

/// The entry of the other direction, from one of a packet with `tuple`.
#[inline(always)]
pub fn turn(flow: &ConntrackEntry, tuple: &Tuple, other: &mut ConntrackEntry) {
    other.source = tuple.destination;
    other.destination = tuple.source;
    other.source_port = tuple.destination_port;
    other.destination_port = tuple.source_port;
    other.meta = flow.meta;
    other.meta.flags ^= EntryMeta::REPLY;
}

/// Whom a key belonged to before a flow claimed it.
#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub enum Owner {
    /// Nobody, or a flow that has ended: it is this flow's now.
    Nobody = 1,
    /// This very flow, which nobody has answered yet.
    Itself,
    /// Another flow, which keeps it.
    Another,
}

/// Enters an entry into EMBRYONIC, if its key is free. What has ended, or is a leftover of the same flow, counts as
/// free, and so does what `yields`.
#[inline(always)]
pub fn enter<E: Table>(key: &E::Key, entry: &ConntrackEntry, now: u32, yields: impl FnOnce(&E) -> bool) -> Owner {
    let stored = E::narrow(entry);
    if E::embryonic().insert(key, stored.borrow(), BPF_NOEXIST.into()).is_ok() {
        return Owner::Nobody;
    }
    let Some(found) = E::embryonic().get_ptr_mut(key) else { return Owner::Another };
    // SAFETY: valid until the program ends; only read.
    let found = unsafe { &*found };
    let owner = if found.meta().is_expired(now) {
        Owner::Nobody
    } else if found.translates_like(entry) {
        if found.meta().state() == State::New { Owner::Itself } else { Owner::Nobody }
    } else if yields(found) {
        Owner::Nobody
    } else {
        return Owner::Another;
    };
    if E::embryonic().insert(key, stored.borrow(), 0).is_ok() { owner } else { Owner::Another }
}

/// Enters a new flow's entry for what the backend sends, if the key is free. With `pressed`, so are those of embryonic
/// flows that have not moved for a second: who floods a backend with SYNs must not keep all its ports from others.
#[inline(always)]
pub fn claim<E: Table>(key: &E::Key, entry: &ConntrackEntry, protocol: u8, now: u32, pressed: bool) -> Owner {
    // First EMBRYONIC, then a look at what is assured: a flow that becomes assured is entered there before it leaves here.
    let owner = enter::<E>(key, entry, now, |found| pressed && gives_way(found, protocol, now));
    if owner != Owner::Nobody {
        return owner;
    }
    // SAFETY: valid until the program ends; only read.
    match E::assured(key).map(|found| unsafe { &*found }) {
        None => owner,
        Some(found) if found.meta().is_expired(now) || found.translates_like(entry) => {
            E::end_assured(key, now);
            owner
        }
        Some(_) => {
            let _ = E::embryonic().remove(key);
            Owner::Another
        }
    }
}

/// Whether an embryonic flow has been idle for a second. If so, its other entry is gone: no packet is to follow it. How long
/// somebody else's has been idle is not known.
#[inline(never)]
fn gives_way<E: Table>(found: &E, protocol: u8, now: u32) -> bool {
    let is_idle = found.meta().state() != State::Foreign
        && found.meta().flags & EntryMeta::RESERVED == 0
        && found.meta().is_stale(now, timeout(protocol, found.meta().state()), JIFFIES_PER_SECOND.load());
    if is_idle {
        let _ = E::embryonic().remove(found.partner(protocol));
    }
    is_idle
}

/// Enters a new flow, whose other key it has claimed, under the key of its packet. Another CPU with a packet of the same
/// flow may have been faster: then its choice holds for both. 0, or the code of the refusal.
#[inline(never)]
pub fn enter_original<E: Table>(tuple: &Tuple, flow: &mut ConntrackEntry, now: u32) -> u32 {
    let key = E::key(tuple);
    if enter::<E>(key.borrow(), flow, now, |_| false) != Owner::Another {
        return 0;
    }
    let Some(found) = E::embryonic().get_ptr_mut(key.borrow()) else {
        return Verdict::Drop(DropReason::ConntrackFull).code();
    };
    let _ = E::embryonic().remove(E::narrow(flow).borrow().partner(tuple.protocol));
    // SAFETY: valid until the program ends; only read.
    unsafe { &*found }.widen(flow);
    0
}

/// Ends or removes both entries of a flow.
#[inline(always)]
pub fn forget(flow: &ConntrackEntry, tuple: &Tuple) {
    if tuple.destination.is_ipv4() {
        forget_in::<Ipv4ConntrackEntry>(flow, tuple);
    } else {
        forget_in::<ConntrackEntry>(flow, tuple);
    }
}

#[inline(never)]
fn forget_in<E: Table>(flow: &ConntrackEntry, tuple: &Tuple) {
    let key = E::key(tuple);
    let partner = E::narrow(flow).borrow().partner(tuple.protocol);
    // Absent is as good as removed.
    let now = now();
    E::end_assured(key.borrow(), now);
    E::end_assured(&partner, now);
    let _ = E::embryonic().remove(key.borrow());
    let _ = E::embryonic().remove(&partner);
}
