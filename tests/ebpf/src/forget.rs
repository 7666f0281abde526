//! Forgets the flow that a packet has opened, so that the same packet opens one again with everything in the caches.

use aya_ebpf::{btf_maps::LruHashMap, macros::btf_map};
use proxy_common::{Conntrack, Tuple, config::HALF_OPEN_MAX};

use crate::{floor::key, walk::Walk};

/// The product's.
#[btf_map]
static HALF_OPEN: LruHashMap<Tuple, Conntrack, HALF_OPEN_MAX> = LruHashMap::new();

/// Removes both entries of the flow of a walk's first packet, if they are there.
#[inline(always)]
pub fn forget(walk: &Walk) {
    let high = |word: usize, bits: u32| (walk.frame[word] >> bits) as u32;
    // The source address lies 26 bytes from the start, the destination's and the ports follow.
    let destination = high(3, 48) | (walk.frame[4] as u32) << 16;
    let ports = high(4, 16);
    let forward = key(high(3, 16), destination, ports as u16, (ports >> 16) as u16, (walk.frame[2] >> 56) as u8);
    let Some(entry) = HALF_OPEN.get_ptr_mut(&forward) else { return };
    // SAFETY: valid until the program ends.
    let partner = unsafe { (*entry).partner(forward.protocol) };
    let _ = HALF_OPEN.remove(&partner);
    let _ = HALF_OPEN.remove(&forward);
}
