//! Forgets the flow that a packet has opened, so that an identical packet opens one again, with everything in the
//! caches.

use aya_ebpf::{btf_maps::LruHashMap, macros::btf_map, programs::XdpContext};
use proxy_common::{Ipv4ConntrackEntry, Ipv4Tuple, sizes::EMBRYONIC_MAX};

use crate::{at, floor::key};

/// Waggle's map.
#[btf_map]
static EMBRYONIC_IPV4: LruHashMap<Ipv4Tuple, Ipv4ConntrackEntry, EMBRYONIC_MAX> = LruHashMap::new();

/// Offsets of the addresses, and of the ports behind them.
const ADDRESSES: usize = 26;

/// Removes the only entry of a connection without a reply: the one under the reply's key. The current packet is the
/// connection's last one, translated.
#[inline(always)]
pub fn forget(ctx: &XdpContext) -> Option<()> {
    // SAFETY: `at` checks the bounds; every bit pattern is a number.
    let [source, destination] = unsafe { at::<[u32; 2]>(ctx, ADDRESSES)?.read_unaligned() };
    // SAFETY: as above.
    let [source_port, destination_port] = unsafe { at::<[u16; 2]>(ctx, ADDRESSES + 8)?.read_unaligned() };
    EMBRYONIC_IPV4.remove(key(destination, source, destination_port, source_port, 6)).ok()
}
