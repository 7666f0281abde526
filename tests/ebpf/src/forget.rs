//! Forgets the flow that a packet has opened, so that the same packet opens one again with everything in the caches.

use aya_ebpf::{btf_maps::LruHashMap, macros::btf_map};
use proxy_common::{Ipv4Conntrack, Ipv4Tuple, Stored as _, config::HALF_OPEN_MAX};

use crate::{floor::key, walk::Walk};

/// The product's.
#[btf_map]
static HALF_OPEN_IPV4: LruHashMap<Ipv4Tuple, Ipv4Conntrack, HALF_OPEN_MAX> = LruHashMap::new();

/// Removes both entries of the flow of a walk's first packet, if they are there.
#[inline(always)]
#[expect(clippy::cast_possible_truncation, reason = "parts of words")]
pub fn forget(walk: &Walk) {
    let word = |index: usize| walk.frame[index];
    // The source address lies 26 bytes from the start, the destination's and the ports follow.
    let source = (word(3) >> 16) as u32;
    let destination = (word(3) >> 48 | word(4) << 16) as u32;
    let forward = key(source, destination, (word(4) >> 16) as u16, (word(4) >> 32) as u16, word(2).to_ne_bytes()[7]);
    let Some(entry) = HALF_OPEN_IPV4.get_ptr_mut(forward) else { return };
    // SAFETY: valid until the program ends.
    let partner = unsafe { (*entry).partner(forward.protocol) };
    let _ = HALF_OPEN_IPV4.remove(partner);
    let _ = HALF_OPEN_IPV4.remove(forward);
}
