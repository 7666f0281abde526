//! Where flows are kept: CONNTRACK and HALF_OPEN, one of each for a family, since IPv4 flows lie in half the memory. What
//! is done with them is written once.

use core::borrow::Borrow as _;

use aya_ebpf::btf_maps::LruHashMap;
use proxy_common::{
    Conntrack, Ipv4Conntrack, Stored, Tuple,
    config::{CONNTRACK_MAX, HALF_OPEN_MAX},
};

use crate::maps::{CONNTRACK_IPV4, CONNTRACK_IPV6, HALF_OPEN_IPV4, HALF_OPEN_IPV6};

/// Flows that both sides have confirmed.
pub type Settled<E> = LruHashMap<<E as Stored>::Key, E, CONNTRACK_MAX>;
/// Flows that nobody has confirmed yet.
pub type HalfOpen<E> = LruHashMap<<E as Stored>::Key, E, HALF_OPEN_MAX>;

/// A family's entries and the maps that they are in.
pub trait Table: Stored + 'static {
    /// CONNTRACK of this family.
    fn settled() -> &'static Settled<Self>;
    /// HALF_OPEN of this family.
    fn half_open() -> &'static HalfOpen<Self>;

    /// The live entry of a packet, and whether its flow has settled. An LRU map may give the entry's memory to another
    /// flow at any time, though not to one that comes right after a lookup, which marks the entry as used.
    #[inline(always)]
    fn find(tuple: &Tuple, now: u32) -> Option<(&'static mut Self, bool)> {
        let key = Self::key(tuple);
        // An ended flow stays in CONNTRACK until its successor settles.
        match alive(Self::settled().get_ptr_mut(key.borrow()), now) {
            Some(entry) => Some((entry, true)),
            None => Some((alive(Self::half_open().get_ptr_mut(key.borrow()), now)?, false)),
        }
    }
}

#[inline(always)]
fn alive<E: Table>(entry: Option<*mut E>, now: u32) -> Option<&'static mut E> {
    // SAFETY: the pointer is valid until the program ends, and words are read and written one by one.
    let entry = unsafe { &mut *entry? };
    if entry.life().is_expired(now) { None } else { Some(entry) }
}

impl Table for Ipv4Conntrack {
    #[inline(always)]
    fn settled() -> &'static Settled<Self> {
        &CONNTRACK_IPV4
    }

    #[inline(always)]
    fn half_open() -> &'static HalfOpen<Self> {
        &HALF_OPEN_IPV4
    }
}

impl Table for Conntrack {
    #[inline(always)]
    fn settled() -> &'static Settled<Self> {
        &CONNTRACK_IPV6
    }

    #[inline(always)]
    fn half_open() -> &'static HalfOpen<Self> {
        &HALF_OPEN_IPV6
    }
}
