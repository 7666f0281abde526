//! The source port of a flow: with it, the backend's answers belong to this flow alone.

use core::{borrow::Borrow as _, ffi::c_void};

use aya_ebpf::helpers::{bpf_get_prandom_u32, bpf_loop};
use proxy_common::{BackendCounters, Conntrack, Counter, Tuple, filter::PortClass};

use crate::{
    conntrack::{claim, turn},
    counters::count,
    filter::{note_snat_port, port_class},
    maps::{BACKEND_COUNTERS, SCRATCH, SCRATCH_FLOW, SCRATCH_REPLY},
    tables::Table,
};

/// How many source ports are tried for a flow.
const ATTEMPTS: u32 = 32;
/// The lowest port that source translation uses.
const PORT_MIN: u32 = 1024;
/// How many of the attempts are made above the default of ip_local_port_range.
const HIGH_ATTEMPTS: u32 = 8;
/// How many of the attempts leave half-open flows alone.
const POLITE_ATTEMPTS: u32 = 16;
/// The lowest port above that default.
const HIGH_PORT_MIN: u32 = 61_000;

/// Finds a source port that makes the backend's answers this flow's alone, and enters the flow under it. The client's
/// port is kept if it may be.
#[inline(never)]
pub fn claim_port<E: Table>(tuple: &Tuple, flow: &mut Conntrack, local: bool, now: u32) -> bool {
    let Some(reply) = SCRATCH.get_ptr_mut(SCRATCH_REPLY) else { return false };
    // SAFETY: this CPU's own, and no program interrupts another here.
    turn(flow, tuple, unsafe { &mut *reply });
    let keeps = local || port_class(tuple.source_port) & PortClass::SNAT != 0;
    let mut search = Search { now, protocol: tuple.protocol.into(), keeps: keeps.into(), taken: 0, found: 0 };
    // SAFETY: the kernel calls `attempt` with what it is given here, which lives until the helper returns.
    unsafe { bpf_loop(1 + ATTEMPTS, attempt::<E> as *mut c_void, (&raw mut search).cast(), 0) };
    let found = search.found != 0;
    count_ports(flow.life.backend, search.taken.into(), !found);
    if found && flow.source_port != tuple.source_port {
        count(Counter::SnatPortChanged);
    }
    if found && !local {
        note_snat_port(flow.source_port);
    }
    found
}

/// The search for a free source port for the flow at hand.
#[repr(C)]
struct Search {
    now: u32,
    protocol: u32,
    /// 1: the client's port may be kept.
    keeps: u32,
    /// How many ports belonged to others.
    taken: u32,
    /// 1 once a port has been claimed.
    found: u32,
}

/// Tries a port, the client's first: 1 ends the search. The kernel calls it, so that the verifier looks at it once.
#[expect(clippy::cast_possible_truncation, reason = "the protocol is a byte")]
extern "C" fn attempt<E: Table>(number: u32, search: *mut c_void) -> i64 {
    // SAFETY: `claim_port` passes a `Search`.
    let search = unsafe { &mut *search.cast::<Search>() };
    let (Some(flow), Some(reply)) = (SCRATCH.get_ptr_mut(SCRATCH_FLOW), SCRATCH.get_ptr_mut(SCRATCH_REPLY)) else {
        return 1;
    };
    // SAFETY: this CPU's own, and no program interrupts another here.
    let (flow, reply) = unsafe { (&mut *flow, &*reply) };
    if number == 0 {
        if search.keeps == 0 {
            return 0;
        }
    } else {
        let port = candidate(number);
        if port_class(port) & PortClass::SNAT == 0 {
            return 0;
        }
        flow.source_port = port;
    }
    let protocol = search.protocol as u8;
    let key = E::narrow(flow).borrow().partner(protocol);
    if claim::<E>(&key, reply, protocol, search.now, number > POLITE_ATTEMPTS) {
        search.found = 1;
        return 1;
    }
    search.taken += 1;
    0
}

/// A random port to try: first in a range that hosts leave alone by default, so that few ports of the node have to be
/// suspected of belonging to flows; then anywhere.
#[inline(always)]
#[expect(clippy::cast_possible_truncation, reason = "below 2^16")]
fn candidate(number: u32) -> u16 {
    // SAFETY: takes no arguments.
    let random = unsafe { bpf_get_prandom_u32() } & 0xffff;
    let first = if number <= HIGH_ATTEMPTS { HIGH_PORT_MIN } else { PORT_MIN };
    (first + random * (0x1_0000 - first) / 0x1_0000) as u16
}

#[inline(always)]
fn count_ports(backend: u32, taken: u64, exhausted: bool) {
    if let Some(value) = BACKEND_COUNTERS.get_ptr_mut(backend) {
        // SAFETY: a per-CPU value, as in `counters`.
        let BackendCounters { flows, taken: total, exhausted: dropped } = unsafe { &mut *value };
        *flows += u64::from(!exhausted);
        *total += taken;
        *dropped += u64::from(exhausted);
    }
}
