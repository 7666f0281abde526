//! Entries and buckets in maps, where other CPUs may write them at any time (`shared.rs`).
//!
//! Comparisons read word by word and stop at the first difference. The compiler can't move a shared read, so it would have to
//! keep words that are read too early on the stack, which has 512 bytes.

use bytemuck::Pod;

use super::{
    ConntrackEntry, EntryMeta, FlowBucket, Ipv4Bucket, Ipv4ConntrackEntry, Ipv4Tuple, Ipv6Bucket, Segment, Stored,
    Tuple,
    bucket::{Key, both},
    stored::widen,
};
use crate::{
    addr::Address,
    select::pair,
    shared::{Shared, parts},
};

// IPv4 addresses are words here, so that each is read at once.
parts! {
    EntryMeta { expires: u32, state: u8, flags: u8, opened: u32, service_generation: u32, handshake: u32 }
    Ipv4ConntrackEntry { source: u32, destination: u32, source_port: u16, destination_port: u16, meta: EntryMeta }
    ConntrackEntry { source: Address, destination: Address, source_port: u16, destination_port: u16, meta: EntryMeta }
    Ipv4Tuple { source: u32, destination: u32, source_port: u16, destination_port: u16, protocol: u8 }
    Tuple { source: Address, destination: Address, source_port: u16, destination_port: u16, protocol: u8 }
    Ipv4Bucket { key: Ipv4Tuple, entry: Ipv4ConntrackEntry, version: u64 }
    Ipv6Bucket { key: Tuple, entry: ConntrackEntry, version: u64 }
}

/// An entry in a map.
pub trait SharedEntry: Stored<Key: Pod> + Pod {
    /// The metadata of an entry.
    fn meta_of(entry: Shared<Self>) -> Shared<EntryMeta>;

    /// A copy of an entry's translation. The copy's metadata is zero.
    fn translation_of(entry: Shared<Self>) -> Self;

    /// Copies an entry to `flow`.
    fn copy_to(entry: Shared<Self>, flow: &mut ConntrackEntry);

    /// Whether both entries translate a packet to the same tuple.
    fn same_translation(entry: Shared<Self>, other: &Self) -> bool;
}

/// A bucket in FLOW_BUCKETS.
pub trait SharedBucket: FlowBucket<Entry: SharedEntry> + Pod {
    /// The key of a bucket.
    fn key_of(bucket: Shared<Self>) -> Shared<Key<Self>>;

    /// The entry of a bucket.
    fn entry_of(bucket: Shared<Self>) -> Shared<Self::Entry>;

    /// The version word of a bucket.
    fn version_word(bucket: Shared<Self>) -> Shared<u64>;

    /// Whether a bucket holds the entry of this key.
    fn has(bucket: Shared<Self>, key: &Key<Self>) -> bool;

    /// Whether a bucket is empty.
    fn is_vacant(bucket: Shared<Self>) -> bool;
}

impl Shared<EntryMeta> {
    /// A copy in which only `expires` is set.
    #[inline(always)]
    fn end(self) -> EntryMeta {
        EntryMeta { expires: self.expires().read(), ..EntryMeta::default() }
    }

    /// Whether the entry has ended: see [`EntryMeta::is_expired`].
    #[inline(always)]
    pub fn is_expired(self, now: u32) -> bool {
        self.end().is_expired(now)
    }

    /// Whether the entry's end should be refreshed: see [`EntryMeta::is_stale`].
    #[inline(always)]
    pub fn is_stale(self, now: u32, timeout: u32, second: u32) -> bool {
        self.end().is_stale(now, timeout, second)
    }

    /// Copies from `other` what both directions of an assured connection share: state and end.
    #[inline(always)]
    pub fn copy_state(self, other: &EntryMeta) {
        self.state().write(&other.state);
        self.expires().write(&other.expires);
    }

    /// Replaces all of the metadata but the time of the flow's first packet: the first packet has come once more.
    #[inline(always)]
    pub fn open_again(self, other: &EntryMeta) {
        let opened = self.opened().read();
        self.write(other);
        self.opened().write(&opened);
    }

    /// Copies the sequence numbers, and whether the last segment was a SYN, back from a copy of this metadata.
    #[inline(always)]
    pub fn copy_numbers(self, copy: &EntryMeta) {
        self.service_generation().write(&copy.service_generation);
        self.handshake().write(&copy.handshake);
        self.flags().write(&copy.flags);
    }

    /// Notes the sequence numbers of a segment that is plain ([`EntryMeta::is_plain`]) and so changes nothing else. Only new
    /// numbers are written, so that a repeated segment does not dirty the cache line.
    #[inline(always)]
    pub fn note_plain(self, segment: &Segment) {
        let (service_generation, handshake) = (self.service_generation().read(), self.handshake().read());
        let (sends, acknowledges) =
            EntryMeta { service_generation, handshake, ..EntryMeta::default() }.new_numbers(segment);
        if sends {
            self.service_generation().write(&segment.end);
        }
        if acknowledges {
            self.handshake().write(&segment.acknowledgment);
        }
    }
}

impl Shared<Address> {
    /// The two words at byte `AT`, as one of 64 bits.
    #[inline(always)]
    fn half<const AT: usize>(self) -> u64 {
        let [first, second] = self.part::<[u32; 2], AT>().read();
        pair(first, second)
    }

    #[inline(always)]
    fn is(self, other: &Address) -> bool {
        self.part::<u32, 0>().read() == other.word::<0>()
            && self.part::<u32, 4>().read() == other.word::<1>()
            && self.part::<u32, 8>().read() == other.word::<2>()
            && self.part::<u32, 12>().read() == other.word::<3>()
    }
}

/// Ports and protocol of a key as one word. Addresses are compared in such words, too, since hashing the key has made them
/// already.
#[inline(always)]
fn rest(source: u16, destination: u16, protocol: u8) -> u64 {
    pair(protocol.into(), both(source, destination))
}

impl Shared<Ipv4Tuple> {
    #[inline(always)]
    fn is(self, key: &Ipv4Tuple) -> bool {
        let addresses = pair(u32::from_ne_bytes(key.source), u32::from_ne_bytes(key.destination));
        pair(self.source().read(), self.destination().read()) == addresses
            && rest(self.source_port().read(), self.destination_port().read(), self.protocol().read())
                == rest(key.source_port, key.destination_port, key.protocol)
    }
}

impl Shared<Tuple> {
    #[inline(always)]
    fn is(self, key: &Tuple) -> bool {
        let (source, destination) = (&key.source, &key.destination);
        self.source().half::<0>() == pair(source.word::<0>(), source.word::<1>())
            && self.source().half::<8>() == pair(source.word::<2>(), source.word::<3>())
            && self.destination().half::<0>() == pair(destination.word::<0>(), destination.word::<1>())
            && self.destination().half::<8>() == pair(destination.word::<2>(), destination.word::<3>())
            && rest(self.source_port().read(), self.destination_port().read(), self.protocol().read())
                == rest(key.source_port, key.destination_port, key.protocol)
    }
}

impl SharedEntry for ConntrackEntry {
    #[inline(always)]
    fn meta_of(entry: Shared<Self>) -> Shared<EntryMeta> {
        entry.meta()
    }

    #[inline(always)]
    fn translation_of(entry: Shared<Self>) -> Self {
        Self {
            source: entry.source().read(),
            destination: entry.destination().read(),
            source_port: entry.source_port().read(),
            destination_port: entry.destination_port().read(),
            meta: EntryMeta::default(),
        }
    }

    #[inline(always)]
    fn copy_to(entry: Shared<Self>, flow: &mut ConntrackEntry) {
        entry.read_to(flow);
    }

    #[inline(always)]
    fn same_translation(entry: Shared<Self>, other: &Self) -> bool {
        entry.source().is(&other.source)
            && entry.destination().is(&other.destination)
            && entry.source_port().read() == other.source_port
            && entry.destination_port().read() == other.destination_port
    }
}

impl SharedEntry for Ipv4ConntrackEntry {
    #[inline(always)]
    fn meta_of(entry: Shared<Self>) -> Shared<EntryMeta> {
        entry.meta()
    }

    #[inline(always)]
    fn translation_of(entry: Shared<Self>) -> Self {
        Self {
            source: entry.source().read().to_ne_bytes(),
            destination: entry.destination().read().to_ne_bytes(),
            source_port: entry.source_port().read(),
            destination_port: entry.destination_port().read(),
            meta: EntryMeta::default(),
        }
    }

    #[inline(always)]
    fn copy_to(entry: Shared<Self>, flow: &mut ConntrackEntry) {
        flow.source = widen(entry.source().read().to_ne_bytes());
        flow.destination = widen(entry.destination().read().to_ne_bytes());
        flow.source_port = entry.source_port().read();
        flow.destination_port = entry.destination_port().read();
        entry.meta().read_to(&mut flow.meta);
    }

    #[inline(always)]
    fn same_translation(entry: Shared<Self>, other: &Self) -> bool {
        entry.source().read() == u32::from_ne_bytes(other.source)
            && entry.destination().read() == u32::from_ne_bytes(other.destination)
            && entry.source_port().read() == other.source_port
            && entry.destination_port().read() == other.destination_port
    }
}

macro_rules! shared_bucket {
    ($bucket:ident) => {
        impl SharedBucket for $bucket {
            #[inline(always)]
            fn key_of(bucket: Shared<Self>) -> Shared<Key<Self>> {
                bucket.key()
            }

            #[inline(always)]
            fn entry_of(bucket: Shared<Self>) -> Shared<Self::Entry> {
                bucket.entry()
            }

            #[inline(always)]
            fn version_word(bucket: Shared<Self>) -> Shared<u64> {
                bucket.version()
            }

            #[inline(always)]
            fn has(bucket: Shared<Self>, key: &Key<Self>) -> bool {
                bucket.key().is(key)
            }

            #[inline(always)]
            fn is_vacant(bucket: Shared<Self>) -> bool {
                bucket.key().protocol().read() == 0
            }
        }
    };
}

shared_bucket!(Ipv4Bucket);
shared_bucket!(Ipv6Bucket);

#[cfg(test)]
mod tests;
