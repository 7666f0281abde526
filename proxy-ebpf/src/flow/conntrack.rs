//! Stage *conntrack*: looks up flows and updates their states. Entries expire lazily: an expired entry that a lookup finds counts
//! as absent.
//!
//! A packet's entry is copied to SCRATCH, and only changes are written back. Each flow has two entries with the same state.
//! `refresh.rs` writes the other one, and inserts it when the backend replies for the first time. Concurrent updates by two CPUs
//! may lose one state transition. Until a later packet changes the state, the flow then has the timeout of the other state: at
//! worst, an ended connection keeps its entries as long as an established one.

use core::borrow::Borrow as _;

use aya_ebpf::bindings::BPF_NOEXIST;
use proxy_common::{
    ConntrackEntry, Direction, DropReason, EntryMeta, Headers, Ipv4ConntrackEntry, Protocol, Shared, State, Tuple,
    Verdict,
};

use super::table::FlowTable;
use crate::{
    clock::{now_jiffies, timeout},
    lookup::Lookup as _,
    maps::JIFFIES_PER_SECOND,
};

/// Copies the live entry of a packet to `flow`. Returns the metadata in the map, and whether the flow is assured.
#[inline(always)]
pub fn lookup(tuple: &Tuple, now: u32, flow: &mut ConntrackEntry) -> Option<(Shared<EntryMeta>, bool)> {
    if tuple.destination.is_ipv4() {
        lookup_in::<Ipv4ConntrackEntry>(tuple, now, flow)
    } else {
        lookup_in::<ConntrackEntry>(tuple, now, flow)
    }
}

#[inline(always)]
fn lookup_in<E: FlowTable>(tuple: &Tuple, now: u32, flow: &mut ConntrackEntry) -> Option<(Shared<EntryMeta>, bool)> {
    let (entry, assured) = E::find(tuple, now)?;
    E::copy_to(entry, flow);
    Some((E::meta_of(entry), assured))
}

/// The direction of an entry's packets.
#[inline(always)]
pub fn direction(meta: &EntryMeta) -> Direction {
    if meta.flags & EntryMeta::REPLY == 0 { Direction::Original } else { Direction::Reply }
}

/// Whether an entry is that of the replies of a backend on this node.
#[inline(always)]
pub fn is_local_reply(meta: &EntryMeta) -> bool {
    meta.flags & (EntryMeta::REPLY | EntryMeta::LOCAL) == EntryMeta::REPLY | EntryMeta::LOCAL
}

/// Whether a packet of an assured flow changes neither the flow's state nor its end, as nearly all packets do. Notes the sequence
/// numbers of a connection. All other packets go to [`track`].
#[inline(always)]
#[must_use]
pub fn leaves_unchanged(
    flow: &ConntrackEntry,
    meta: Shared<EntryMeta>,
    assured: bool,
    headers: &Headers,
    now: u32,
) -> bool {
    let (protocol, state) = (headers.tuple.protocol, State::Established);
    if !assured || flow.meta.state != state as u8 {
        return false;
    }
    if protocol == Protocol::Tcp as u8 {
        if !flow.meta.is_plain(headers.flags()) {
            return false;
        }
        meta.note_plain(&headers.segment());
    } else if protocol != Protocol::Udp as u8 {
        return false;
    }
    !flow.meta.is_stale(now, timeout(protocol, state), JIFFIES_PER_SECOND.load())
}

/// Updates a flow's state by one of its packets and refreshes its end, at most once a second. Returns whether `refresh_flow` has
/// to follow. For an assured connection it notes the sequence numbers, and leaves segments that would end it to `refresh_flow`.
/// SCTP never comes here: `refresh_flow` handles all of it.
///
/// This function and the ones that it calls are subprograms with their results in memory, so that the verifier follows one
/// outcome of each, not every state.
#[inline(never)]
#[must_use]
pub fn track(flow: &mut ConntrackEntry, meta: Shared<EntryMeta>, assured: bool, headers: &Headers, now: u32) -> bool {
    if assured && headers.tuple.protocol == Protocol::Tcp as u8 {
        if headers.flags().is_event() {
            return true;
        }
        note(flow, meta, headers);
    }
    advance(flow, assured, headers, now);
    let before = meta.read();
    let moves = flow.meta.state != before.state || before.ends_earlier_than(&flow.meta, now, JIFFIES_PER_SECOND.load());
    if moves {
        meta.write(&flow.meta);
    }
    moves
}

/// Notes the sequence numbers of an assured connection's packet.
#[inline(never)]
fn note(flow: &mut ConntrackEntry, meta: Shared<EntryMeta>, headers: &Headers) {
    if flow.meta.note(&headers.segment()) {
        meta.copy_numbers(&flow.meta);
    }
}

/// Sets a flow's state after one of its packets, and the end by the timeout of that state.
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

/// The state of an embryonic flow after one of its packets.
#[inline(always)]
fn embryonic(meta: &EntryMeta, is_tcp: bool, headers: &Headers) -> State {
    let next = meta.state().after_embryonic(direction(meta), headers.flags());
    // A sender that has not seen the backend's packets must not make a flow assured.
    if is_tcp && next == State::Established && !meta.is_acknowledged_by(headers.acknowledgment) {
        return meta.state();
    }
    next
}

/// Refreshes a foreign flow, which has a single entry, since its packets are not translated here. A flow of UDP that was imported,
/// which alone is assured, is only refreshed by its replies, when they leave (`foreign::note`): once kube-proxy's rules are gone, a
/// client that goes on sending would otherwise never reach a backend again.
#[inline(always)]
pub fn refresh_foreign(flow: &ConntrackEntry, (meta, assured): (Shared<EntryMeta>, bool), tuple: &Tuple, now: u32) {
    if assured && tuple.protocol == Protocol::Udp as u8 {
        return;
    }
    let timeout = timeout(tuple.protocol, flow.meta.state());
    if flow.meta.is_stale(now, timeout, JIFFIES_PER_SECOND.load()) {
        meta.expires().write(&now.wrapping_add(timeout));
    }
}

/// Writes the inverse of an entry, which is the entry of the other direction, to `other`. `tuple` is that of the entry's packets.
#[inline(always)]
pub fn invert(flow: &ConntrackEntry, tuple: &Tuple, other: &mut ConntrackEntry) {
    other.source = tuple.destination;
    other.destination = tuple.source;
    other.source_port = tuple.destination_port;
    other.destination_port = tuple.source_port;
    other.meta = flow.meta;
    other.meta.flags ^= EntryMeta::REPLY;
}

/// The owner of a key before a flow claimed it.
#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub enum KeyOwner {
    /// No flow, or one that has ended. The key now belongs to the new flow.
    Free = 1,
    /// The new flow itself: it was inserted before, and the backend has not replied yet.
    SameFlow,
    /// Another flow, which keeps the key.
    OtherFlow,
}

/// Inserts an entry into EMBRYONIC, if its key is free. The key is also free if the entry there has expired, is a leftover of
/// this flow, or may be evicted as `may_evict` says. Returns the key's previous owner.
#[inline(always)]
pub fn insert_embryonic<E: FlowTable>(
    key: &E::Key,
    entry: &ConntrackEntry,
    now: u32,
    may_evict: impl FnOnce(Shared<E>) -> bool,
) -> KeyOwner {
    let stored = E::narrow(entry);
    if E::embryonic().insert(key, stored.borrow(), BPF_NOEXIST.into()).is_ok() {
        return KeyOwner::Free;
    }
    let Some(found) = E::embryonic().get_shared(key) else { return KeyOwner::OtherFlow };
    let meta = E::meta_of(found);
    let owner = if meta.is_expired(now) {
        KeyOwner::Free
    } else if E::same_translation(found, stored.borrow()) {
        if meta.state().read() == State::New as u8 {
            meta.open_again(&entry.meta);
            return KeyOwner::SameFlow;
        }
        KeyOwner::Free
    } else if may_evict(found) {
        KeyOwner::Free
    } else {
        return KeyOwner::OtherFlow;
    };
    if E::embryonic().insert(key, stored.borrow(), 0).is_ok() { owner } else { KeyOwner::OtherFlow }
}

/// Claims the reply key of a new flow: inserts the entry for the backend's packets, if the key is free. With `pressed`, it evicts
/// embryonic flows that have been idle for a second, so that a flood of SYNs can't keep all ports of a backend from other
/// clients.
#[inline(always)]
pub fn claim<E: FlowTable>(key: &E::Key, entry: &ConntrackEntry, protocol: u8, now: u32, pressed: bool) -> KeyOwner {
    // EMBRYONIC comes first: a flow that becomes assured is inserted among the assured flows before it is removed from EMBRYONIC.
    let owner = insert_embryonic::<E>(key, entry, now, |found| pressed && early_drop(found, protocol, now));
    if owner != KeyOwner::Free {
        return owner;
    }
    match E::assured(key) {
        None => owner,
        Some(found) if E::meta_of(found).is_expired(now) || E::same_translation(found, E::narrow(entry).borrow()) => {
            E::end_assured(key, now);
            owner
        }
        Some(_) => {
            let _ = E::embryonic().remove(key);
            KeyOwner::OtherFlow
        }
    }
}

/// Whether an embryonic flow may be evicted, as by nf_conntrack's `early_drop`: it has been idle for a second. If so, its other
/// entry is removed, so that no packet finds it. A foreign flow is never evicted, since its idle time is not known.
#[inline(never)]
fn early_drop<E: FlowTable>(found: Shared<E>, protocol: u8, now: u32) -> bool {
    let meta = E::meta_of(found);
    let (state, flags) = (meta.state().read(), meta.flags().read());
    let is_idle = state != State::Foreign as u8
        && flags & EntryMeta::RESERVED == 0
        && meta.is_stale(now, timeout(protocol, State::from_number(state)), JIFFIES_PER_SECOND.load());
    if is_idle {
        let _ = E::embryonic().remove(E::translation_of(found).inverse_key(protocol));
    }
    is_idle
}

/// Inserts a new flow, whose reply key has been claimed, under the key of its packet. If another CPU inserted the flow first, its
/// choice holds for both. Returns 0, or the code of the refusal.
#[inline(never)]
pub fn insert_original<E: FlowTable>(tuple: &Tuple, flow: &mut ConntrackEntry, now: u32) -> u32 {
    let key = E::key(tuple);
    if insert_embryonic::<E>(key.borrow(), flow, now, |_| false) != KeyOwner::OtherFlow {
        return 0;
    }
    let Some(found) = E::embryonic().get_shared(key.borrow()) else {
        return Verdict::Drop(DropReason::ConntrackFull).code();
    };
    let _ = E::embryonic().remove(E::narrow(flow).borrow().inverse_key(tuple.protocol));
    E::copy_to(found, flow);
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
fn forget_in<E: FlowTable>(flow: &ConntrackEntry, tuple: &Tuple) {
    let key = E::key(tuple);
    let inverse = &E::narrow(flow).borrow().inverse_key(tuple.protocol);
    // Removal fails if the entry is absent, which is just as well.
    let now = now_jiffies();
    E::end_assured(key.borrow(), now);
    E::end_assured(inverse, now);
    let _ = E::embryonic().remove(key.borrow());
    let _ = E::embryonic().remove(inverse);
}
