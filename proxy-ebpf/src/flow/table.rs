//! The flow tables. Each family has its own maps, since an IPv4 entry takes half the memory of an IPv6 entry: FLOW_BUCKETS
//! holds assured flows, CONNTRACK those of them whose two buckets were taken (the overflow), EMBRYONIC all other flows. The
//! code is written once, over the trait [`FlowTable`].

use core::borrow::Borrow as _;

use aya_ebpf::{
    bindings::BPF_F_MMAPABLE,
    btf_maps::{Array, LruHashMap},
};
use proxy_common::{
    ConntrackEntry, EntryMeta, FlowBucket as _, Ipv4ConntrackEntry, Place, Shared, SharedBucket, SharedEntry, Stored,
    Tuple,
    sizes::{CONNTRACK_MAX, EMBRYONIC_MAX},
};

use super::bucket::{Filled, bucket_of, fill_bucket, in_bucket};
use crate::{
    lookup::Lookup as _,
    maps::{
        CONNTRACK_IPV4, CONNTRACK_IPV6, EMBRYONIC_IPV4, EMBRYONIC_IPV6, FLOW_BUCKETS_IPV4, FLOW_BUCKETS_IPV6,
        FLOW_SETS, OVERFLOW,
    },
};

/// Assured flows, each in one of the two buckets of its set.
pub type Buckets<E> = Array<<E as Stored>::Bucket, CONNTRACK_MAX, { BPF_F_MMAPABLE as usize }>;
/// Assured flows whose two buckets were taken.
pub type Overflow<E> = LruHashMap<<E as Stored>::Key, E, { CONNTRACK_MAX / 2 }>;
/// Flows that are not assured yet.
pub type Embryonic<E> = LruHashMap<<E as Stored>::Key, E, EMBRYONIC_MAX>;

/// A family's entries and the maps that they are in.
pub trait FlowTable: SharedEntry<Bucket: SharedBucket> {
    /// FLOW_BUCKETS of this family.
    fn buckets() -> &'static Buckets<Self>;
    /// CONNTRACK of this family.
    fn overflow() -> &'static Overflow<Self>;
    /// EMBRYONIC of this family.
    fn embryonic() -> &'static Embryonic<Self>;

    /// The live entry of a packet, and whether its flow is assured. An LRU map may reuse the entry's memory for another flow at
    /// any time, but not right after a lookup, which marks the entry as used. A bucket is reused only when its flow ended a
    /// second ago.
    #[inline(always)]
    fn find(tuple: &Tuple, now: u32) -> Option<(Shared<Self>, bool)> {
        let key = Self::key(tuple);
        let place = place::<Self>(key.borrow());
        // An ended flow keeps its bucket until the flow that follows it is assured.
        if let Some(entry) = in_bucket::<Self>(key.borrow(), place, |meta| !meta.is_expired(now)) {
            return Some((entry, true));
        }
        // Helpers get a copy. So the original key stays in registers for packets whose entry is in a bucket, which are nearly
        // all.
        let tuple = *tuple;
        let key = Self::key(&tuple);
        if let Some(entry) = alive(in_overflow(key.borrow(), place), now) {
            return Some((entry, true));
        }
        let entry = alive(Self::embryonic().get_shared(key.borrow()), now)?;
        let is_reserved = Self::meta_of(entry).flags().read() & EntryMeta::RESERVED != 0;
        if is_reserved { None } else { Some((entry, false)) }
    }

    /// The entry of an assured flow, ended or not.
    #[inline(always)]
    fn assured(key: &Self::Key) -> Option<Shared<Self>> {
        let place = place::<Self>(key);
        in_bucket(key, place, |_| true).or_else(|| in_overflow(key, place))
    }

    /// Inserts or replaces the entry of an assured flow. If CONNTRACK refuses the entry, the flow stays as it was.
    #[inline(never)]
    fn assure(key: &Self::Key, entry: &Self, now: u32) {
        let place = place::<Self>(key);
        match fill_bucket(key, place, entry, now) {
            Filled::Updated => {}
            // An older flow of this key may have left an entry in CONNTRACK, which would be found once this flow has ended.
            Filled::Inserted => remove_overflow::<Self>(key, place),
            Filled::SetFull => {
                if let Some(has_overflowed) = OVERFLOW.get_shared(place.set()) {
                    has_overflowed.write(&1);
                }
                let _ = Self::overflow().insert(key, entry, 0);
            }
        }
    }

    /// Ends or removes the entry of an assured flow, if there is one. A bucket is not emptied: a program that has just found
    /// the flow there may still write its metadata. If the flow ended over a second ago, another CPU may give the bucket to a new
    /// flow between the lookup and this write. The new flow then expires at once. This is tolerated: the two steps are nanoseconds
    /// apart.
    #[inline(always)]
    fn end_assured(key: &Self::Key, now: u32) {
        let place = place::<Self>(key);
        if let Some(bucket) = bucket_of::<Self>(key, place) {
            Self::meta_of(Self::Bucket::entry_of(bucket)).expires().write(&now);
        }
        remove_overflow::<Self>(key, place);
    }
}

#[inline(always)]
fn place<E: FlowTable>(key: &E::Key) -> Place {
    E::Bucket::place(key, FLOW_SETS.load())
}

/// The entry of an assured flow in CONNTRACK, which is read only for sets that have overflowed.
#[inline(always)]
fn in_overflow<E: FlowTable>(key: &E::Key, place: Place) -> Option<Shared<E>> {
    if has_overflowed(place) { E::overflow().get_shared(key) } else { None }
}

#[inline(always)]
fn remove_overflow<E: FlowTable>(key: &E::Key, place: Place) {
    if has_overflowed(place) {
        let _ = E::overflow().remove(key);
    }
}

/// Whether an entry of this set has ever gone to CONNTRACK: a byte that never becomes 0 again.
#[inline(always)]
fn has_overflowed(place: Place) -> bool {
    OVERFLOW.get_shared(place.set()).is_some_and(|has_overflowed| has_overflowed.read() != 0)
}

#[inline(always)]
fn alive<E: FlowTable>(entry: Option<Shared<E>>, now: u32) -> Option<Shared<E>> {
    entry.filter(|entry| !E::meta_of(*entry).is_expired(now))
}

impl FlowTable for Ipv4ConntrackEntry {
    #[inline(always)]
    fn buckets() -> &'static Buckets<Self> {
        &FLOW_BUCKETS_IPV4
    }

    #[inline(always)]
    fn overflow() -> &'static Overflow<Self> {
        &CONNTRACK_IPV4
    }

    #[inline(always)]
    fn embryonic() -> &'static Embryonic<Self> {
        &EMBRYONIC_IPV4
    }
}

impl FlowTable for ConntrackEntry {
    #[inline(always)]
    fn buckets() -> &'static Buckets<Self> {
        &FLOW_BUCKETS_IPV6
    }

    #[inline(always)]
    fn overflow() -> &'static Overflow<Self> {
        &CONNTRACK_IPV6
    }

    #[inline(always)]
    fn embryonic() -> &'static Embryonic<Self> {
        &EMBRYONIC_IPV6
    }
}
