//! The flow tables. Each family has its own maps, since an IPv4 entry takes half the memory of an IPv6 entry: FLOW_BUCKETS
//! holds assured flows, CONNTRACK those of them whose two buckets were taken (the overflow), EMBRYONIC all other flows. The
//! code is written once, over the trait [`Table`].

use core::{arch::asm, borrow::Borrow as _};

use aya_ebpf::{
    bindings::BPF_F_MMAPABLE,
    btf_maps::{Array, LruHashMap},
};
use proxy_common::{
    ConntrackEntry, EntryMeta, FlowBucket, Ipv4ConntrackEntry, LOCKED, Place, Stored, Tuple,
    config::{CONNTRACK_MAX, EMBRYONIC_MAX},
};

use crate::maps::{
    CONNTRACK_IPV4, CONNTRACK_IPV6, EMBRYONIC_IPV4, EMBRYONIC_IPV6, FLOW_BUCKETS_IPV4, FLOW_BUCKETS_IPV6, FLOW_SETS,
    JIFFIES_PER_SECOND, OVERFLOW,
};

/// Assured flows, each in one of the two buckets of its set.
pub type Buckets<E> = Array<<E as Stored>::Bucket, CONNTRACK_MAX, { BPF_F_MMAPABLE as usize }>;
/// Assured flows whose two buckets were taken.
pub type Overflow<E> = LruHashMap<<E as Stored>::Key, E, { CONNTRACK_MAX / 2 }>;
/// Flows that are not assured yet.
pub type Embryonic<E> = LruHashMap<<E as Stored>::Key, E, EMBRYONIC_MAX>;

/// A family's entries and the maps that they are in.
pub trait Table: Stored + 'static {
    /// FLOW_BUCKETS of this family.
    fn buckets() -> &'static Buckets<Self>;
    /// CONNTRACK of this family.
    fn overflow() -> &'static Overflow<Self>;
    /// EMBRYONIC of this family.
    fn embryonic() -> &'static Embryonic<Self>;

    /// The live entry of a packet, and whether its flow is assured. An LRU map may reuse the entry's memory for another flow
    /// at any time, but not right after a lookup, which marks the entry as used. A bucket is reused once its flow has been
    /// over for a second.
    #[inline(always)]
    fn find(tuple: &Tuple, now: u32) -> Option<(&'static mut Self, bool)> {
        let key = Self::key(tuple);
        let place = place::<Self>(key.borrow());
        // An ended flow keeps its bucket until the flow that follows it is assured.
        if let Some(entry) = in_bucket::<Self>(key.borrow(), place, |entry| !entry.meta().is_expired(now)) {
            return Some((entry, true));
        }
        // A copy for helpers, so that the key of packets whose entry is in a bucket, nearly all, stays in registers.
        let tuple = *tuple;
        let key = Self::key(&tuple);
        if let Some(entry) = alive(in_overflow(key.borrow(), place), now) {
            return Some((entry, true));
        }
        let entry = alive(Self::embryonic().get_ptr_mut(key.borrow()), now)?;
        if entry.meta().flags & EntryMeta::RESERVED == 0 { Some((entry, false)) } else { None }
    }

    /// The entry of an assured flow, ended or not.
    #[inline(always)]
    fn assured(key: &Self::Key) -> Option<*mut Self> {
        let place = place::<Self>(key);
        let in_bucket = in_bucket::<Self>(key, place, |_| true).map(|entry| &raw mut *entry);
        in_bucket.or_else(|| in_overflow(key, place))
    }

    /// Inserts or replaces the entry of an assured flow. If CONNTRACK refuses the entry, the flow stays as it was.
    #[inline(never)]
    fn assure(key: &Self::Key, entry: &Self, now: u32) {
        let place = place::<Self>(key);
        match fill_bucket(key, place, entry, now) {
            Filled::Again => {}
            // An older flow of this key may have left an entry in CONNTRACK, which would be found once this flow has ended.
            Filled::Anew => remove_overflow::<Self>(key, place),
            Filled::Nowhere => {
                if let Some(has_overflowed) = OVERFLOW.get_ptr_mut(place.set()) {
                    // SAFETY: one byte, which never becomes 0 again.
                    unsafe { *has_overflowed = 1 };
                }
                let _ = Self::overflow().insert(key, entry, 0);
            }
        }
    }

    /// Ends or removes the entry of an assured flow, if there is one. A bucket is not emptied: a program that has just found
    /// the flow there may still write its metadata.
    #[inline(always)]
    fn end_assured(key: &Self::Key, now: u32) {
        let place = place::<Self>(key);
        if let Some(bucket) = bucket_of::<Self>(key, place) {
            bucket.entry_mut().meta_mut().expires = now;
        }
        remove_overflow::<Self>(key, place);
    }
}

#[inline(always)]
fn place<E: Table>(key: &E::Key) -> Place {
    E::Bucket::place(key, FLOW_SETS.load())
}

/// The entry of an assured flow in CONNTRACK, which is asked only for sets that have overflowed.
#[inline(always)]
fn in_overflow<E: Table>(key: &E::Key, place: Place) -> Option<*mut E> {
    if has_overflowed(place) { E::overflow().get_ptr_mut(key) } else { None }
}

#[inline(always)]
fn remove_overflow<E: Table>(key: &E::Key, place: Place) {
    if has_overflowed(place) {
        let _ = E::overflow().remove(key);
    }
}

/// Whether an entry of this set has ever gone to CONNTRACK.
#[inline(always)]
fn has_overflowed(place: Place) -> bool {
    OVERFLOW.get(place.set()).is_some_and(|has_overflowed| *has_overflowed != 0)
}

#[inline(always)]
fn alive<E: Table>(entry: Option<*mut E>, now: u32) -> Option<&'static mut E> {
    // SAFETY: the pointer is valid until the program ends, and words are read and written one by one.
    let entry = unsafe { &mut *entry? };
    if entry.meta().is_expired(now) { None } else { Some(entry) }
}

#[inline(always)]
fn bucket_at<E: Table>(index: u32) -> Option<&'static mut E::Bucket> {
    // SAFETY: as above.
    E::buckets().get_ptr_mut(index).map(|bucket| unsafe { &mut *bucket })
}

/// The bucket that has this key.
#[inline(always)]
fn bucket_of<E: Table>(key: &E::Key, place: Place) -> Option<&'static mut E::Bucket> {
    let home = bucket_at::<E>(place.home)?;
    if home.is_of(key) {
        return Some(home);
    }
    let neighbour = bucket_at::<E>(place.neighbour())?;
    if neighbour.is_of(key) { Some(neighbour) } else { None }
}

/// The entry of a key in its bucket, if `wanted` says so.
#[inline(always)]
fn in_bucket<E: Table>(key: &E::Key, place: Place, wanted: impl FnOnce(&E) -> bool) -> Option<&'static mut E> {
    let bucket = bucket_of::<E>(key, place)?;
    if !wanted(bucket.entry()) {
        return None;
    }
    // The end is read before the version: since the key was read, the bucket of an ended flow may have been given to another
    // flow, whose version differs.
    // SAFETY: only a barrier for the compiler.
    unsafe { asm!("", options(nostack)) };
    let version = E::Bucket::version_of(place, bucket.entry());
    // While the entry is being written, its flow is still found in EMBRYONIC.
    if *bucket.version() == version { Some(bucket.entry_mut()) } else { None }
}

/// What became of an entry that was to be put into a bucket.
enum Filled {
    /// The entry was there already, and has been updated.
    Again,
    /// The entry has been put into a free bucket.
    Anew,
    /// Both buckets of the set are other flows'.
    Nowhere,
}

#[inline(always)]
fn fill_bucket<E: Table>(key: &E::Key, place: Place, entry: &E, now: u32) -> Filled {
    if let Some(bucket) = bucket_of::<E>(key, place) {
        let version = E::Bucket::version_of(place, bucket.entry());
        if *bucket.version() == version && bucket.entry().translates_as(entry) {
            // Only the metadata changes, so that readers always find a whole entry.
            *bucket.entry_mut().meta_mut() = *entry.meta();
            return Filled::Again;
        }
        // If another program has written this bucket, that was for the same flow, unless it has given the bucket away.
        let written = fill_if(bucket, place, key, entry, |bucket| bucket.is_of(key)) || bucket.is_of(key);
        return if written { Filled::Again } else { Filled::Nowhere };
    }
    for index in [place.home, place.neighbour()] {
        if let Some(bucket) = bucket_at::<E>(index)
            && fill_if(bucket, place, key, entry, |bucket| is_free(bucket, now))
        {
            return Filled::Anew;
        }
    }
    Filled::Nowhere
}

/// Writes an entry into a bucket, if `may_be_had` still holds when this program has locked it.
#[inline(always)]
fn fill_if<E: Table>(
    bucket: &mut E::Bucket,
    place: Place,
    key: &E::Key,
    entry: &E,
    may_be_had: impl Fn(&E::Bucket) -> bool,
) -> bool {
    if !may_be_had(bucket) {
        return false;
    }
    let Some(version) = lock(bucket) else { return false };
    // Another CPU may have been faster.
    if !may_be_had(bucket) {
        unlock(bucket, version);
        return false;
    }
    bucket.fill(key, entry);
    unlock(bucket, E::Bucket::version_of(place, entry));
    true
}

/// Whether another flow may have the bucket: it is empty, or its flow ended a second ago, longer than any program runs that
/// may have found it there.
#[inline(always)]
fn is_free<L: FlowBucket<Entry: Table>>(bucket: &L, now: u32) -> bool {
    bucket.is_empty() || bucket.entry().meta().is_expired(now.wrapping_sub(JIFFIES_PER_SECOND.load()))
}

/// Locks the bucket for this program, unless another one has; returns the version that it had.
#[inline(always)]
fn lock<L: FlowBucket>(bucket: &mut L) -> Option<u64> {
    let version = bucket.version();
    let old = *version;
    let mut found = old;
    // SAFETY: an aligned word of a map. Written in assembly, since the compiler does not offer BPF's atomic operations.
    unsafe {
        asm!(
            "r0 = cmpxchg_64({version} + 0, r0, {locked})",
            version = in(reg) &raw mut *version,
            locked = in(reg) LOCKED,
            inout("r0") found,
            options(nostack),
        );
    }
    if old != LOCKED && found == old { Some(old) } else { None }
}

/// Unlocks the bucket with this version, so that other programs may read and write.
#[inline(always)]
fn unlock<L: FlowBucket>(bucket: &mut L, with: u64) {
    let version = bucket.version();
    // SAFETY: as above. A full barrier (Linux, Documentation/bpf/standardization): all writes to the bucket come first.
    unsafe {
        asm!(
            "{with} = xchg_64({version} + 0, {with})",
            version = in(reg) &raw mut *version,
            with = inout(reg) with => _,
            options(nostack),
        );
    }
}

impl Table for Ipv4ConntrackEntry {
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

impl Table for ConntrackEntry {
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
