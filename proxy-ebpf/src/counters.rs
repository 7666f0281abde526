//! The only place that changes counters. A counter that can't be found changes no verdict.

#![expect(unsafe_code, reason = "an atomic addition")]

use core::arch::asm;

use aya_ebpf::bindings::BPF_NOEXIST;
use proxy_common::{BackendCounters, Counter, Shared};

use crate::{
    lookup::Lookup as _,
    maps::{BACKEND_COUNTERS, COUNTERS, SERVICE_COUNTERS},
};

/// Adds one event.
#[inline(always)]
pub fn count(counter: Counter) {
    count_number(counter as u32);
}

/// Adds one event by the number of its counter, which another program has chosen.
#[inline(always)]
pub fn count_number(counter: u32) {
    if let Some(value) = COUNTERS.get_shared(counter) {
        add(value, 1);
    }
}

/// Adds one flow to its service.
#[inline(always)]
pub fn count_connection(service: u32) {
    if let Some(value) = SERVICE_COUNTERS.get_shared(service) {
        add(value.connections(), 1);
    }
}

/// Adds one packet to its service. `bytes` is its length by its headers, since asking the kernel takes time.
#[inline(always)]
pub fn count_packet(service: u32, bytes: usize) {
    if let Some(value) = SERVICE_COUNTERS.get_shared(service) {
        add(value.packets(), 1);
        add(value.bytes(), bytes as u64);
    }
}

/// What a backend's counters begin with. In read-only data, since the caller has no stack left for it.
const ZERO: &BackendCounters = &BackendCounters { flows: 0, taken: 0, exhausted: 0 };

/// The counters of a backend, which all CPUs share. Inserts them if there are none.
#[inline(always)]
pub fn backend_counters(backend: &u32) -> Option<Shared<BackendCounters>> {
    if BACKEND_COUNTERS.get_shared(backend).is_none() {
        // Two CPUs may get here at the same time. The second can't insert an entry, and gets the first one's.
        let _ = BACKEND_COUNTERS.insert(backend, ZERO, BPF_NOEXIST.into());
    }
    BACKEND_COUNTERS.get_shared(backend)
}

/// Adds the result of a search for a source port to the counters of its backend.
#[inline(always)]
pub fn count_ports(counters: Shared<BackendCounters>, found: &BackendCounters) {
    add_shared(counters.flows(), found.flows);
    add_shared(counters.taken(), found.taken);
    add_shared(counters.exhausted(), found.exhausted);
}

/// Adds to a number that other CPUs add to, too.
#[inline(always)]
fn add_shared(number: Shared<u64>, more: u64) {
    if more == 0 {
        return;
    }
    // SAFETY: an aligned word of a map. Written in assembly, since the compiler does not offer BPF's atomic operations.
    unsafe {
        asm!(
            "lock *(u64 *)({number} + 0) += {more}",
            number = in(reg) number.as_ptr(),
            more = in(reg) more,
            options(nostack),
        );
    }
}

/// Adds to this CPU's number. No program interrupts a packet program here. A socket program may be interrupted between the read
/// and the write: then what the other program has counted is lost.
#[inline(always)]
fn add(number: Shared<u64>, more: u64) {
    number.write(&(number.read() + more));
}
