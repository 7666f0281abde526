//! Stage *conntrack*: flows that are known already, and their life. Entries end lazily: whoever finds one past its
//! time treats it as absent.
//!
//! Each flow has two entries, which carry the same state; [`touch`] writes both. Two CPUs that move a flow at the
//! same moment may lose one step: then it lives by the other step's timeout, which is of the same order.

use aya_ebpf::{bindings::BPF_NOEXIST, helpers::generated::bpf_jiffies64};
use proxy_common::{Conntrack, Direction, DropReason, Protocol, State, Timeouts, Tuple, Verdict};

use crate::maps::{
    CONNTRACK, HALF_OPEN, JIFFIES_PER_SECOND, SCRATCH, SCRATCH_FLOW, SCRATCH_REPLY, TIMEOUT_TCP_CLOSE,
    TIMEOUT_TCP_ESTABLISHED, TIMEOUT_TCP_FIN_WAIT, TIMEOUT_TCP_SYN_RECEIVED, TIMEOUT_TCP_SYN_SENT,
    TIMEOUT_TCP_TIME_WAIT, TIMEOUT_UDP, TIMEOUT_UDP_STREAM,
};
use crate::parse::Headers;

/// Jiffies, modulo 2³².
#[inline(always)]
#[expect(clippy::cast_possible_truncation, reason = "ages are far below 2^32 jiffies")]
pub fn now() -> u32 {
    // SAFETY: takes no arguments.
    unsafe { bpf_jiffies64() as u32 }
}

/// The timeout of a flow, jiffies. The arms that are not taken cost nothing: each is a constant.
#[inline(always)]
pub fn timeout(protocol: u8, state: State) -> u32 {
    let timeouts = Timeouts {
        tcp_syn_sent: TIMEOUT_TCP_SYN_SENT.load(),
        tcp_syn_received: TIMEOUT_TCP_SYN_RECEIVED.load(),
        tcp_established: TIMEOUT_TCP_ESTABLISHED.load(),
        tcp_fin_wait: TIMEOUT_TCP_FIN_WAIT.load(),
        tcp_time_wait: TIMEOUT_TCP_TIME_WAIT.load(),
        tcp_close: TIMEOUT_TCP_CLOSE.load(),
        udp: TIMEOUT_UDP.load(),
        udp_stream: TIMEOUT_UDP_STREAM.load(),
    };
    timeouts.of(protocol, state)
}

/// The live entry of a packet, and whether its flow has settled. An LRU map may give the entry's memory to another flow
/// at any time, though not to one that comes right after a lookup, which marks the entry as used.
#[inline(always)]
pub fn lookup(tuple: &Tuple, now: u32) -> Option<(&'static mut Conntrack, bool)> {
    let (entry, settled) = match CONNTRACK.get_ptr_mut(tuple) {
        Some(entry) => (entry, true),
        None => (HALF_OPEN.get_ptr_mut(tuple)?, false),
    };
    // SAFETY: the pointer is valid until the program ends, and words are read and written one by one.
    let entry = unsafe { &mut *entry };
    (!entry.is_expired(now)).then_some((entry, settled))
}

/// Room for the packet's flow, which the stack has not, and which one stage leaves for the next.
#[inline(always)]
pub fn flow_at_hand() -> Result<&'static mut Conntrack, Verdict> {
    let flow = SCRATCH.get_ptr_mut(SCRATCH_FLOW).ok_or(Verdict::Drop(DropReason::ConntrackFull))?;
    // SAFETY: this CPU's own, and no program interrupts another here.
    Ok(unsafe { &mut *flow })
}

/// Which direction an entry is of.
#[inline(always)]
pub fn direction(entry: &Conntrack) -> Direction {
    if entry.flags & Conntrack::REPLY == 0 { Direction::Original } else { Direction::Reply }
}

/// Whether an entry is of what a backend on this node sends.
#[inline(always)]
pub fn is_local_reply(entry: &Conntrack) -> bool {
    entry.flags & (Conntrack::REPLY | Conntrack::LOCAL) == Conntrack::REPLY | Conntrack::LOCAL
}

/// A packet of the flow has come: moves its state and puts off its end, at most once a second.
#[inline(always)]
pub fn track(entry: &mut Conntrack, settled: bool, headers: &Headers, now: u32) {
    let state = entry.state();
    let mut next = state.after(direction(entry), headers.flags);
    let is_tcp = headers.tuple.protocol == Protocol::Tcp as u8;
    // A blind sender's packets don't settle a flow.
    if is_tcp && !settled && next == State::Established && !entry.is_acknowledged_by(headers.acknowledgment) {
        next = state;
    }
    if next != state || entry.is_stale(now, timeout(headers.tuple.protocol, next), JIFFIES_PER_SECOND.load()) {
        if next == State::Replied {
            entry.handshake = headers.sequence.wrapping_add(1);
        }
        entry.state = next as u8;
        entry.expires = now.wrapping_add(timeout(headers.tuple.protocol, next));
        touch(entry, &headers.tuple, settled);
    }
}

/// Puts off the end of an entry that has no other one: a flow that somebody else translates.
#[inline(always)]
pub fn put_off(entry: &mut Conntrack, tuple: &Tuple, now: u32) {
    let timeout = timeout(tuple.protocol, entry.state());
    if entry.is_stale(now, timeout, JIFFIES_PER_SECOND.load()) {
        entry.expires = now.wrapping_add(timeout);
    }
}

/// Writes what has changed in a flow's entry into the other one, which is made anew if it was pushed out; moves a flow
/// that has settled to CONNTRACK. A full map that refuses leaves things as they are: nothing to be done about it here.
#[inline(never)]
fn touch(entry: &Conntrack, tuple: &Tuple, settled: bool) {
    let Some(other) = SCRATCH.get_ptr_mut(SCRATCH_REPLY) else { return };
    // SAFETY: this CPU's own, and no program interrupts another here.
    let other = unsafe { &mut *other };
    turn(entry, tuple, other);
    // By reference: a copy would be on the stack.
    let other: &Conntrack = other;
    let partner = entry.partner(tuple.protocol);
    if settled {
        let _ = CONNTRACK.insert(partner, other, 0);
    } else if entry.state() == State::Established {
        let _ = CONNTRACK.insert(partner, other, 0);
        let _ = CONNTRACK.insert(tuple, entry, 0);
        let _ = HALF_OPEN.remove(partner);
        let _ = HALF_OPEN.remove(tuple);
    } else {
        let _ = HALF_OPEN.insert(partner, other, 0);
    }
}

/// The entry of the other direction, from one of a packet with `tuple`.
#[inline(always)]
pub fn turn(entry: &Conntrack, tuple: &Tuple, other: &mut Conntrack) {
    *other = *entry;
    other.source = tuple.destination;
    other.destination = tuple.source;
    other.source_port = tuple.destination_port;
    other.destination_port = tuple.source_port;
    other.flags ^= Conntrack::REPLY;
}

/// Whether `key` was free and now belongs to the new flow with `entry`. What has ended, or is a leftover of the
/// same flow, counts as free; with `pressed`, so does a half-open flow that has not moved for a second: who floods a
/// backend with SYNs must not keep all its ports from others.
#[inline(always)]
pub fn claim(key: &Tuple, entry: &Conntrack, now: u32, pressed: bool) -> bool {
    // First HALF_OPEN, then a look at CONNTRACK: a flow that settles is entered there before it leaves here.
    if HALF_OPEN.insert(key, entry, BPF_NOEXIST.into()).is_err() {
        let free = HALF_OPEN
            .get_ptr_mut(key)
            // SAFETY: valid until the program ends; only read.
            .map(|found| unsafe { &*found })
            .is_some_and(|found| is_free(found, entry, now) || pressed && gives_way(found, key.protocol, now));
        if !free || HALF_OPEN.insert(key, entry, 0).is_err() {
            return false;
        }
    }
    // SAFETY: as above.
    match CONNTRACK.get_ptr_mut(key).map(|found| unsafe { &*found }) {
        None => true,
        Some(found) if is_free(found, entry, now) => {
            // Gone already is as good.
            let _ = CONNTRACK.remove(key);
            true
        }
        Some(_) => {
            let _ = HALF_OPEN.remove(key);
            false
        }
    }
}

#[inline(always)]
fn is_free(found: &Conntrack, wanted: &Conntrack, now: u32) -> bool {
    found.is_expired(now) || found.translates_like(wanted)
}

/// Whether a half-open flow has been idle for a second. If so, its other entry is gone: no packet is to follow it.
#[inline(never)]
fn gives_way(found: &Conntrack, protocol: u8, now: u32) -> bool {
    let is_idle = found.is_stale(now, timeout(protocol, found.state()), JIFFIES_PER_SECOND.load());
    if is_idle {
        let _ = HALF_OPEN.remove(found.partner(protocol));
    }
    is_idle
}

/// Removes both entries of a flow.
#[inline(never)]
pub fn forget(entry: &Conntrack, tuple: &Tuple) {
    let partner = entry.partner(tuple.protocol);
    // Absent is as good as removed.
    let _ = CONNTRACK.remove(tuple);
    let _ = CONNTRACK.remove(partner);
    let _ = HALF_OPEN.remove(tuple);
    let _ = HALF_OPEN.remove(partner);
}
