//! Counters: the only place that changes them. A counter that can't be found changes no verdict.

use proxy_common::Counter;

use crate::maps::{COUNTERS, SERVICE_COUNTERS};

/// Adds one event.
#[inline(always)]
pub fn count(counter: Counter) {
    count_number(counter as u32);
}

/// Counts one event by the number of its counter, which another program has chosen.
#[inline(always)]
pub fn count_number(counter: u32) {
    if let Some(value) = COUNTERS.get_ptr_mut(counter) {
        // SAFETY: a per-CPU value: this CPU alone writes it, and programs don't preempt one another here.
        unsafe { *value += 1 };
    }
}

/// Adds one flow to its service.
#[inline(always)]
pub fn count_connection(service: u32) {
    if let Some(value) = SERVICE_COUNTERS.get_ptr_mut(service) {
        // SAFETY: as in `count`.
        unsafe { (*value).connections += 1 };
    }
}

/// Adds one packet to its service. `bytes` is the length that its headers say, since asking the kernel takes time.
#[inline(always)]
pub fn count_packet(service: u32, bytes: usize) {
    if let Some(value) = SERVICE_COUNTERS.get_ptr_mut(service) {
        // SAFETY: as in `count`.
        let value = unsafe { &mut *value };
        value.packets += 1;
        value.bytes += bytes as u64;
    }
}
