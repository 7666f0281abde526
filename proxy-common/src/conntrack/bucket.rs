//! FLOW_BUCKETS: assured flows in a hash table of our own. A bucket holds one entry, in one cache line for IPv4 and in two for
//! IPv6.
//!
//! A lookup in the kernel's hash waits for memory twice, for the bucket and for the element in it. Here it waits once
//! (docs/adr/0008). Two neighbouring buckets form a set. The key decides on the set, and the entry is in one of its two buckets.
//! If other flows have both, the entry goes to CONNTRACK, a hash of the kernel. So no flow is evicted by another, the buckets
//! need no LRU order, and no entry is ever moved.
//!
//! A bucket is free again when its flow has ended. Writers lock the bucket; readers detect a half-written bucket by its
//! version, as with a seqlock.

use super::{ConntrackEntry, Ipv4ConntrackEntry, Ipv4Tuple, Stored, Tuple};
use crate::{
    pod::pod,
    select::{pair, slot_index, spread},
};

pod! {
    /// Element of FLOW_BUCKETS_IPV4.
    pub struct Ipv4Bucket: 64 {
        /// The tuple of packets as they arrive. Its protocol is 0 in an empty bucket.
        pub key: Ipv4Tuple,
        /// The translation of these packets.
        pub entry: Ipv4ConntrackEntry,
        /// Version of the contents: a hash of key and translation, which readers compare as they do with a seqlock. [`LOCKED`]
        /// while a program writes.
        pub version: u64,
    }

    /// Element of FLOW_BUCKETS_IPV6.
    pub struct Ipv6Bucket: 128 {
        /// The tuple of packets as they arrive. Its protocol is 0 in an empty bucket.
        pub key: Tuple,
        /// The translation of these packets.
        pub entry: ConntrackEntry,
        /// Version of the contents: a hash of key and translation, which readers compare as they do with a seqlock. [`LOCKED`]
        /// while a program writes.
        pub version: u64,
        /// Zero.
        pub _pad: [u64; 2],
    }
}

/// A bucket of one family.
pub trait FlowBucket: Copy + Default + 'static {
    /// The type of the entry in it.
    type Entry: Stored<Bucket = Self>;

    /// The place of a key's entry in a table of `sets` sets.
    fn place(key: &Key<Self>, sets: u32) -> Place;

    /// Whether this bucket holds the entry of this key.
    fn is_of(&self, key: &Key<Self>) -> bool;

    /// Whether the bucket is empty.
    fn is_empty(&self) -> bool;

    /// The key that was filled in last.
    fn key(&self) -> &Key<Self>;

    /// The entry that was filled in last.
    fn entry(&self) -> &Self::Entry;

    /// The entry that was filled in last, whose metadata may be changed in place.
    fn entry_mut(&mut self) -> &mut Self::Entry;

    /// The version word.
    fn version(&mut self) -> &mut u64;

    /// The version of an entry whose key has this place.
    fn version_of(place: Place, entry: &Self::Entry) -> u64;

    /// Puts an entry in. The caller sets the version.
    fn fill(&mut self, key: &Key<Self>, entry: &Self::Entry);

    /// Takes the entry out. The caller sets the version.
    fn clear(&mut self);
}

/// The version word of a bucket while a program writes it.
pub const LOCKED: u64 = 1;

pub(super) type Key<L> = <<L as FlowBucket>::Entry as Stored>::Key;

/// The set of buckets of a key, and which of the two to look at first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// The number of the bucket to look at first.
    pub home: u32,
    /// The key's contribution to the version.
    check: u32,
}

impl Place {
    #[inline(always)]
    #[expect(clippy::cast_possible_truncation, reason = "either half is meant")]
    const fn new(hash: u64, sets: u32) -> Self {
        let low = hash as u32;
        Self { home: slot_index((hash >> 32) as u32, sets) << 1 | low & 1, check: low }
    }

    /// The number of the set.
    #[inline(always)]
    pub const fn set(self) -> u32 {
        self.home >> 1
    }

    /// The number of the other bucket of the set.
    #[inline(always)]
    pub const fn neighbour(self) -> u32 {
        self.home ^ 1
    }
}

/// A hash in which each bit of the words may change each bit of the result.
#[inline(always)]
const fn hash<const N: usize>(words: [u64; N]) -> u64 {
    let mut hash = 0;
    let mut index = 0;
    while index < N {
        hash = spread(hash ^ words[index]);
        index += 1;
    }
    spread(hash)
}

#[inline(always)]
pub(super) const fn both(source: u16, destination: u16) -> u32 {
    (source as u32) << 16 | destination as u32
}

impl Ipv4Bucket {
    #[inline(always)]
    const fn words(key: &Ipv4Tuple) -> [u64; 2] {
        let (source, destination) = (u32::from_ne_bytes(key.source), u32::from_ne_bytes(key.destination));
        [pair(source, destination), pair(key.protocol as u32, both(key.source_port, key.destination_port))]
    }

    #[inline(always)]
    const fn fold(entry: &Ipv4ConntrackEntry) -> u32 {
        let (source, destination) = (u32::from_ne_bytes(entry.source), u32::from_ne_bytes(entry.destination));
        source.rotate_left(13) ^ destination ^ both(entry.source_port, entry.destination_port)
    }
}

impl Ipv6Bucket {
    #[inline(always)]
    const fn words(key: &Tuple) -> [u64; 5] {
        let ([a, b, c, d], [e, f, g, h]) = (key.source.words(), key.destination.words());
        let ports = both(key.source_port, key.destination_port);
        [pair(a, b), pair(c, d), pair(e, f), pair(g, h), pair(key.protocol as u32, ports)]
    }

    #[inline(always)]
    const fn fold(entry: &ConntrackEntry) -> u32 {
        let ([a, b, c, d], [e, f, g, h]) = (entry.source.words(), entry.destination.words());
        let source = a ^ b.rotate_left(7) ^ c.rotate_left(14) ^ d.rotate_left(21);
        let destination = e ^ f.rotate_left(5) ^ g.rotate_left(10) ^ h.rotate_left(15);
        source.rotate_left(13) ^ destination ^ both(entry.source_port, entry.destination_port)
    }
}

macro_rules! flow_bucket {
    ($bucket:ident, $entry:ident, $key:ident) => {
        impl FlowBucket for $bucket {
            type Entry = $entry;

            #[inline(always)]
            fn place(key: &$key, sets: u32) -> Place {
                Place::new(hash(Self::words(key)), sets)
            }

            #[inline(always)]
            fn is_of(&self, key: &$key) -> bool {
                let (here, wanted) = (Self::words(&self.key), Self::words(key));
                here.iter().zip(wanted).fold(0, |differences, (here, wanted)| differences | (here ^ wanted)) == 0
            }

            #[inline(always)]
            fn is_empty(&self) -> bool {
                self.key.protocol == 0
            }

            #[inline(always)]
            fn key(&self) -> &$key {
                &self.key
            }

            #[inline(always)]
            fn entry(&self) -> &$entry {
                &self.entry
            }

            #[inline(always)]
            fn entry_mut(&mut self) -> &mut $entry {
                &mut self.entry
            }

            #[inline(always)]
            fn version(&mut self) -> &mut u64 {
                &mut self.version
            }

            #[inline(always)]
            fn version_of(place: Place, entry: &$entry) -> u64 {
                pair(place.check ^ Self::fold(entry), 0)
            }

            #[inline(always)]
            fn fill(&mut self, key: &$key, entry: &$entry) {
                (self.key, self.entry) = (*key, *entry);
            }

            #[inline(always)]
            fn clear(&mut self) {
                self.key.protocol = 0;
            }
        }
    };
}

flow_bucket!(Ipv4Bucket, Ipv4ConntrackEntry, Ipv4Tuple);
flow_bucket!(Ipv6Bucket, ConntrackEntry, Tuple);

#[cfg(test)]
mod tests {
    extern crate std;

    use super::*;

    /// The share of entries, in thousandths, whose two buckets are taken when there are as many buckets as entries.
    fn overflow<L: FlowBucket>(count: u32, key: impl Fn(u32) -> Key<L>) -> u32 {
        let sets = count / 2;
        let mut taken = std::vec![false; count as usize];
        let mut overflow = 0;
        for index in 0..count {
            let place = L::place(&key(index), sets);
            match [place.home, place.neighbour()].into_iter().find(|bucket| !taken[*bucket as usize]) {
                Some(bucket) => taken[bucket as usize] = true,
                None => overflow += 1,
            }
        }
        overflow * 1000 / count
    }

    #[test]
    #[expect(clippy::cast_possible_truncation, reason = "bytes and ports of numbers")]
    fn one_flow_in_four_overflows_when_there_is_a_bucket_for_each() {
        const COUNT: u32 = 100_000;
        let ipv4 = |source: u32, source_port: u32, destination_port: u32| Ipv4Tuple {
            source: source.to_be_bytes(),
            destination: [192, 0, 2, 1],
            source_port: source_port as u16,
            destination_port: destination_port as u16,
            protocol: 6,
            ..Ipv4Tuple::default()
        };
        let ipv6 = |source: [u32; 4], port: u32| Tuple {
            source: crate::Address::from_words(source.map(u32::to_be)),
            source_port: port as u16,
            destination_port: 80,
            protocol: 17,
            ..Tuple::default()
        };
        for share in [
            overflow::<Ipv4Bucket>(COUNT, |index| ipv4(0x0a00_0000 + index, 40_000, 80)),
            overflow::<Ipv4Bucket>(COUNT, |index| ipv4(0x0a00_0000 + index / 50_000, index % 50_000, 80)),
            overflow::<Ipv4Bucket>(COUNT, |index| ipv4(0x0a00_0000 + (index >> 4 << 8), 40_000 + index % 16, 80)),
            overflow::<Ipv4Bucket>(COUNT, |index| ipv4(0x0a00_0000 + index / 50_000, 8080, index % 50_000)),
            overflow::<Ipv6Bucket>(COUNT, |index| ipv6([0x2001_0db8, index, 0, 1], 40_000)),
            overflow::<Ipv6Bucket>(COUNT, |index| ipv6([0x2001_0db8, 0, 7, index], 40_000)),
            overflow::<Ipv6Bucket>(COUNT, |index| ipv6([index, 0, 0, 0], 40_000)),
            overflow::<Ipv6Bucket>(COUNT, |index| ipv6([1, 2, 3, index / 50_000], index % 50_000)),
        ] {
            // Random places give 271.
            assert!((260..285).contains(&share), "{share}");
        }
    }
}
