//! SNAT port allocation: finds a source port that makes the reply tuple unique.

use core::{borrow::Borrow as _, ffi::c_void};

use aya_ebpf::helpers::bpf_loop;
use proxy_common::{
    BackendCounters, ConntrackEntry, Counter, EntryMeta, Tuple, filter::PortClass, select::attempt_number,
};

use super::{
    conntrack::{KeyOwner, claim, invert},
    table::FlowTable,
};
use crate::{
    counters::{backend_counters, count, count_ports},
    filter::{note_snat_port, port_class},
    owner::{WouldReceive, owner_is},
    scratch::ReplyRoom,
    succession::own_port,
};

/// How many source ports are tried for a flow, besides the client's own.
const ATTEMPTS: u32 = 32;
/// How many ports are looked at for those attempts: at least one port in sixteen is usable (`SnatPorts`).
const CANDIDATES: u32 = 512;
/// How many of the first candidates skip ports that the host's sockets may use.
const UNSHARED_CANDIDATES: u32 = 16;
/// The lowest port that source translation uses.
const PORT_MIN: u32 = 1024;
/// How many of the first candidates are above the default of ip_local_port_range.
const HIGH_CANDIDATES: u32 = 8;
/// How many of the first attempts evict no embryonic flow.
const ATTEMPTS_WITHOUT_EVICTION: u32 = 16;
/// The lowest port above that default.
const HIGH_PORT_MIN: u32 = 61_000;

/// Finds a source port that makes the reply tuple unique, and inserts the flow under that tuple. The client's port is kept if
/// possible; `random` decides which others are tried. Returns the port's previous [`KeyOwner`]; `OtherFlow` means that all
/// attempts failed.
#[inline(never)]
pub fn claim_port<E: FlowTable>(
    context: *mut c_void,
    tuple: &Tuple,
    flow: &mut ConntrackEntry,
    room: ReplyRoom<'_>,
    now: u32,
    random: u32,
) -> u32 {
    const EXHAUSTED: u32 = KeyOwner::OtherFlow as u32;
    let Ok(reply) = room.get() else { return EXHAUSTED };
    invert(flow, tuple, reply);
    let tag = core::mem::take(&mut flow.meta.handshake);
    let local = flow.meta.flags & EntryMeta::LOCAL != 0;
    let may_be_kept =
        port_class(tuple.source_port) & PortClass::SNAT != 0 && own_port(tuple.source_port) == tuple.source_port;
    let is_changed = !local && !may_be_kept;
    let mut search = Search {
        context,
        flow,
        reply,
        now,
        protocol: tuple.protocol,
        first: is_changed.into(),
        local: local.into(),
        random,
        owner: EXHAUSTED,
    };
    // SAFETY: the kernel calls `try_port` with `search`, which lives until the helper returns.
    unsafe {
        bpf_loop(1 + CANDIDATES - u32::from(is_changed), try_port::<E> as *mut c_void, (&raw mut search).cast(), 0)
    };
    // Before the results are read: on kernels before 6.6 there is no stack for keeping them across calls of helpers.
    let counters = backend_counters(&search.flow.meta.backend);
    let Search { flow, owner, .. } = search;
    let taken = core::mem::replace(&mut flow.meta.handshake, tag);
    let found = owner != EXHAUSTED;
    if let Some(counters) = counters {
        let flows = (owner == KeyOwner::Free as u32).into();
        count_ports(counters, &BackendCounters { flows, taken: taken.into(), exhausted: (!found).into() });
    }
    if found && flow.source_port != tuple.source_port {
        count(Counter::SnatPortChanged);
    }
    if found && !local {
        note_snat_port(flow.source_port);
    }
    owner
}

/// The search for a free source port for a new flow.
#[repr(C)]
struct Search<'a> {
    /// The hook's context, for lookups of sockets.
    context: *mut c_void,
    /// The new flow. Its source port is the one that was tried last. Its field `handshake`, which otherwise belongs to replies
    /// and to the tag of an INIT, counts the ports that were taken: with a counter on the stack, the verifier would follow every
    /// number.
    flow: &'a mut ConntrackEntry,
    /// The flow's entry of the other direction.
    reply: &'a ConntrackEntry,
    now: u32,
    /// The previous owner of the claimed port: a [`KeyOwner`]. It must not be at a multiple of eight bytes, where the verifier
    /// would remember the number and follow the loop once for each.
    owner: u32,
    /// Decides which ports are tried.
    random: u32,
    protocol: u8,
    /// Number of the first candidate: 0 for the client's own port, or 1 if that may not be kept.
    first: u8,
    /// Not 0 if the flow keeps its client's address, so that its ports are not the host's.
    local: u8,
}

/// Tries a port, the client's own first. Returns 1 to end the search, 0 to continue. The kernel calls it (`bpf_loop`), so that
/// the verifier checks it only once.
extern "C" fn try_port<E: FlowTable>(index: u32, search: *mut c_void) -> i64 {
    // SAFETY: `claim_port` passes a `Search`.
    let search = unsafe { &mut *search.cast::<Search>() };
    let number = index + u32::from(search.first);
    if number != 0 {
        search.flow.source_port = own_port(candidate(number, search.random));
    }
    let class = port_class(search.flow.source_port);
    if number != 0 && (class & PortClass::SNAT == 0 || class & PortClass::SHARED != 0 && number <= UNSHARED_CANDIDATES)
    {
        return 0;
    }
    if class & PortClass::SHARED != 0 && search.local == 0 && belongs_to_socket(search) {
        return search.count_taken();
    }
    let key = E::narrow(search.flow).borrow().inverse_key(search.protocol);
    let owner = claim::<E>(
        &key,
        search.reply,
        search.protocol,
        search.now,
        search.flow.meta.handshake > ATTEMPTS_WITHOUT_EVICTION,
    );
    if owner == KeyOwner::OtherFlow {
        return search.count_taken();
    }
    search.owner = owner as u32;
    1
}

impl Search<'_> {
    /// Counts a port that another flow or socket has. Returns 1 if no further port should be tried.
    #[inline(always)]
    fn count_taken(&mut self) -> i64 {
        let taken = &mut self.flow.meta.handshake;
        *taken += 1;
        i64::from(*taken > ATTEMPTS - u32::from(self.first))
    }
}

/// Whether a socket of this host would take the backend's replies to this port. `foreign.rs` notes the ports that netfilter
/// masquerades to.
#[inline(always)]
fn belongs_to_socket(search: &Search<'_>) -> bool {
    let reply = search.flow.inverse_key(search.protocol);
    owner_is::<WouldReceive>(search.context, &reply)
}

/// A port to try. The first ones are in a range that hosts don't use by default, so that SNAT_PORTS notes few ports. Later ones
/// are anywhere.
#[inline(always)]
#[expect(clippy::cast_possible_truncation, reason = "below 2^16")]
fn candidate(number: u32, random: u32) -> u16 {
    let random = attempt_number(random, number) >> 16;
    let first = if number <= HIGH_CANDIDATES { HIGH_PORT_MIN } else { PORT_MIN };
    (first + random * (0x1_0000 - first) / 0x1_0000) as u16
}
