//! FLOW_BUCKETS: the hash table of assured flows (docs/adr/0008). Writers lock a bucket by its version word. Readers take no
//! lock.
//!
//! # Races of a reader
//!
//! [`in_bucket`] reads key, end, translation and version, in this order. Its callers then read what they need of the entry, and
//! may write its metadata. At the same time another CPU may do one of these things (`proxy_common::shared` has the memory model):
//!
//! - **It gives the bucket to another flow**, as soon as a second has passed since the bucket's flow ended. The version is a hash
//!   of key and translation, so it matches neither a mix of two translations nor the translation of another key: the reader then
//!   looks into the other tables. One mix in 2³² matches all the same, and sends one packet astray. A flow that was alive when
//!   its end was read keeps the bucket for at least a second more, longer than any program runs. So whatever is read and written
//!   after the check belongs to that flow.
//! - **It writes another translation of the same flow**, between the reader's check and its copy. For that, the flow must have
//!   been forgotten, opened with another backend, and become assured, which takes two packets of its client and one of that
//!   backend, while the two reads are a few nanoseconds apart. Then one packet may go to the address of one backend and the port
//!   of the other. Its receiver knows no such connection and drops or resets it; the client sends again.
//! - **It writes the metadata**, which the version does not cover. Each word is whole, but the state may be newer than the end,
//!   or the end newer than the state. If two CPUs change the state, one of the changes is lost: see `conntrack.rs`.
//!
//! An arm64 processor may reorder the reads. For key, translation and version this does not matter, since the version is compared
//! by content: parts that match belong together, whenever they were read. The end has no such check. Suppose that the bucket of
//! an ended flow is just being given away, and a reader reads the version early and the end late. Then the ended flow looks
//! alive. Its packet, which must have come in those nanoseconds, is translated by one of the two flows, and its sequence numbers
//! are written to the other flow's metadata, where that flow's next packet replaces them. The packet's receiver knows no such
//! connection, as above. A barrier between the two reads would prevent this. BPF has none that every supported kernel knows:
//! load-acquire came with Linux 6.15, and an atomic operation in its place would write to the bucket, which costs a cache miss
//! for each packet.
//!
//! Writers need no further barriers on any processor: cmpxchg and xchg are full barriers, so that all writes to a bucket come
//! after it has been locked and before it is unlocked.

use core::arch::asm;

use proxy_common::{EntryMeta, FlowBucket as _, LOCKED, Place, Shared, SharedBucket, SharedEntry as _};

use super::table::FlowTable;
use crate::{lookup::Lookup as _, maps::JIFFIES_PER_SECOND};

/// The bucket that holds the entry of this key.
#[inline(always)]
pub fn bucket_of<E: FlowTable>(key: &E::Key, place: Place) -> Option<Shared<E::Bucket>> {
    let home = E::buckets().get_shared(place.home)?;
    if E::Bucket::has(home, key) {
        return Some(home);
    }
    let neighbour = E::buckets().get_shared(place.neighbour())?;
    if E::Bucket::has(neighbour, key) { Some(neighbour) } else { None }
}

/// The entry of a key in its bucket, if `wanted` returns true for its metadata.
#[inline(always)]
pub fn in_bucket<E: FlowTable>(
    key: &E::Key,
    place: Place,
    wanted: impl FnOnce(Shared<EntryMeta>) -> bool,
) -> Option<Shared<E>> {
    let bucket = bucket_of::<E>(key, place)?;
    let entry = E::Bucket::entry_of(bucket);
    // The end is read before the version: if the bucket of an ended flow has been given to another flow since the key was read,
    // the version differs.
    if !wanted(E::meta_of(entry)) {
        return None;
    }
    let version = E::Bucket::version_of(place, &E::translation_of(entry));
    // While the entry is being written, its flow can still be found in EMBRYONIC.
    if E::Bucket::version_word(bucket).read() == version { Some(entry) } else { None }
}

/// The result of [`fill_bucket`].
pub enum Filled {
    /// The entry was there already, and has been updated.
    Updated,
    /// The entry has been put into a free bucket.
    Inserted,
    /// Both buckets of the set are other flows'.
    SetFull,
}

/// Puts an entry into the bucket of its key, or into a free one.
#[inline(always)]
pub fn fill_bucket<E: FlowTable>(key: &E::Key, place: Place, entry: &E, now: u32) -> Filled {
    if let Some(bucket) = bucket_of::<E>(key, place) {
        let found = E::Bucket::entry_of(bucket);
        let version = E::Bucket::version_of(place, entry);
        if E::Bucket::version_word(bucket).read() == version && E::same_translation(found, entry) {
            // Only the metadata changes, so that readers always find a whole entry.
            E::meta_of(found).write(entry.meta());
            return Filled::Updated;
        }
        // If another program has written this bucket first, it was for the same flow, unless that program has given the bucket
        // away.
        let written =
            fill_if(bucket, place, key, entry, |bucket| E::Bucket::has(bucket, key)) || E::Bucket::has(bucket, key);
        return if written { Filled::Updated } else { Filled::SetFull };
    }
    for index in [place.home, place.neighbour()] {
        if let Some(bucket) = E::buckets().get_shared(index)
            && fill_if(bucket, place, key, entry, |bucket| is_free(bucket, now))
        {
            return Filled::Inserted;
        }
    }
    Filled::SetFull
}

/// Writes an entry into a bucket if `may_take` holds, also after the bucket has been locked. Returns whether it was written.
#[inline(always)]
fn fill_if<E: FlowTable>(
    bucket: Shared<E::Bucket>,
    place: Place,
    key: &E::Key,
    entry: &E,
    may_take: impl Fn(Shared<E::Bucket>) -> bool,
) -> bool {
    if !may_take(bucket) {
        return false;
    }
    let word = E::Bucket::version_word(bucket);
    let Some(version) = lock(word) else { return false };
    // Another CPU may have been faster.
    if !may_take(bucket) {
        unlock(word, version);
        return false;
    }
    E::Bucket::key_of(bucket).write(key);
    E::Bucket::entry_of(bucket).write(entry);
    unlock(word, E::Bucket::version_of(place, entry));
    true
}

/// Whether another flow may have the bucket: it is empty, or its flow ended a second ago. A program that found the flow alive has
/// ended by then.
#[inline(always)]
fn is_free<B: SharedBucket>(bucket: Shared<B>, now: u32) -> bool {
    let meta = B::Entry::meta_of(B::entry_of(bucket));
    B::is_vacant(bucket) || meta.is_expired(now.wrapping_sub(JIFFIES_PER_SECOND.load()))
}

/// Locks a bucket by its version word and returns its previous version. `None` if another program has locked it.
#[inline(always)]
fn lock(word: Shared<u64>) -> Option<u64> {
    let old = word.read();
    let mut found = old;
    // SAFETY: an aligned word of a map. Written in assembly, since the compiler does not offer BPF's atomic operations.
    unsafe {
        asm!(
            "r0 = cmpxchg_64({word} + 0, r0, {locked})",
            word = in(reg) word.as_ptr(),
            locked = in(reg) LOCKED,
            inout("r0") found,
            options(nostack),
        );
    }
    if old != LOCKED && found == old { Some(old) } else { None }
}

/// Unlocks a bucket and gives it this version, so that other programs may read and write it.
#[inline(always)]
fn unlock(word: Shared<u64>, version: u64) {
    // SAFETY: as above. A full barrier (Linux, Documentation/bpf/standardization): all writes to the bucket come first.
    unsafe {
        asm!(
            "{version} = xchg_64({word} + 0, {version})",
            word = in(reg) word.as_ptr(),
            version = inout(reg) version => _,
            options(nostack),
        );
    }
}
