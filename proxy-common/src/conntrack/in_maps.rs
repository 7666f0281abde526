//! Entries and buckets where programs find them: in maps that other CPUs write (`shared.rs`).
//!
//! What compares reads word by word and stops at the first difference. The compiler must not read words that are not needed yet,
//! since it can't move a shared read: it would keep them all on the stack of 512 bytes.

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

// IPv4 addresses are read in one piece.
parts! {
    EntryMeta { expires: u32, state: u8, flags: u8, asks: u8, service_generation: u32, handshake: u32 }
    Ipv4ConntrackEntry { source: u32, destination: u32, source_port: u16, destination_port: u16, meta: EntryMeta }
    ConntrackEntry { source: Address, destination: Address, source_port: u16, destination_port: u16, meta: EntryMeta }
    Ipv4Tuple { source: u32, destination: u32, source_port: u16, destination_port: u16, protocol: u8 }
    Tuple { source: Address, destination: Address, source_port: u16, destination_port: u16, protocol: u8 }
    Ipv4Bucket { key: Ipv4Tuple, entry: Ipv4ConntrackEntry, version: u64 }
    Ipv6Bucket { key: Tuple, entry: ConntrackEntry, version: u64 }
}

/// An entry in a map.
pub trait SharedEntry: Stored<Key: Pod> + Pod {
    /// Its metadata.
    fn meta_of(entry: Shared<Self>) -> Shared<EntryMeta>;

    /// A copy of its translation: the metadata is zero.
    fn translation_of(entry: Shared<Self>) -> Self;

    /// Copies its flow to `flow`.
    fn copy_to(entry: Shared<Self>, flow: &mut ConntrackEntry);

    /// Whether it and another one translate a packet to the same tuple.
    fn is_like(entry: Shared<Self>, other: &Self) -> bool;
}

/// A bucket in FLOW_BUCKETS.
pub trait SharedBucket: FlowBucket<Entry: SharedEntry> + Pod {
    /// Its key.
    fn key_of(bucket: Shared<Self>) -> Shared<Key<Self>>;

    /// Its entry.
    fn entry_of(bucket: Shared<Self>) -> Shared<Self::Entry>;

    /// Its version word.
    fn version_word(bucket: Shared<Self>) -> Shared<u64>;

    /// Whether it has the entry of this key.
    fn has(bucket: Shared<Self>, key: &Key<Self>) -> bool;

    /// Whether it is empty.
    fn is_vacant(bucket: Shared<Self>) -> bool;
}

impl Shared<EntryMeta> {
    /// A copy that has nothing but the end.
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

    /// Takes over what both directions of an assured connection share.
    #[inline(always)]
    pub fn follow(self, other: &EntryMeta) {
        self.state().write(&other.state);
        self.expires().write(&other.expires);
    }

    /// Takes over the sequence numbers from a copy of this entry's metadata.
    #[inline(always)]
    pub fn remember(self, copy: &EntryMeta) {
        self.service_generation().write(&copy.service_generation);
        self.handshake().write(&copy.handshake);
        self.asks().write(&copy.asks);
    }

    /// Notes the numbers of a segment that [`is_plain`](EntryMeta::is_plain): nothing else can change. They are written only if
    /// they do, so that a repeated segment does not dirty the cache line.
    #[inline(always)]
    pub fn go_on(self, segment: &Segment) {
        let (service_generation, handshake) = (self.service_generation().read(), self.handshake().read());
        let (sends, acknowledges) = EntryMeta { service_generation, handshake, ..EntryMeta::default() }.news(segment);
        if sends {
            self.service_generation().write(&segment.end);
        }
        if acknowledges {
            self.handshake().write(&segment.acknowledgment);
        }
    }
}

impl Shared<Address> {
    /// Two words from byte `AT` on, as one.
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

/// Ports and protocol of a key in one word. Addresses, too, are compared in such words: the key's are at hand from hashing it.
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
    fn is_like(entry: Shared<Self>, other: &Self) -> bool {
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
    fn is_like(entry: Shared<Self>, other: &Self) -> bool {
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
