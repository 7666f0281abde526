//! The form of flows in the maps of each family. IPv6 flows have the form that programs work with. IPv4 flows have addresses of
//! four bytes, which takes two cache lines instead of three (docs/adr/0005).

use core::borrow::Borrow;

use super::{
    ConntrackEntry, EntryMeta, Tuple,
    bucket::{FlowBucket, Ipv4Bucket, Ipv6Bucket},
};
use crate::{addr::Address, pod::pod};

pod! {
    /// Key of CONNTRACK_IPV4 and EMBRYONIC_IPV4. Aligned, so that each address is read as one word.
    #[repr(align(4))]
    pub struct Ipv4Tuple: 16 {
        /// Source address.
        pub source: [u8; 4],
        /// Destination address.
        pub destination: [u8; 4],
        /// Source port, host byte order.
        pub source_port: u16,
        /// Destination port, host byte order.
        pub destination_port: u16,
        /// IANA protocol number.
        pub protocol: u8,
        /// Zero.
        pub _pad: [u8; 3],
    }

    /// Value of CONNTRACK_IPV4 and EMBRYONIC_IPV4.
    pub struct Ipv4ConntrackEntry: 40 {
        /// The packet's source address after translation.
        pub source: [u8; 4],
        /// The packet's destination address after translation.
        pub destination: [u8; 4],
        /// The packet's source port after translation, host byte order.
        pub source_port: u16,
        /// The packet's destination port after translation, host byte order.
        pub destination_port: u16,
        /// The flow's state, timeout and backend.
        pub meta: EntryMeta,
    }
}

/// An entry in the form of one family's maps. Tuples and flows that are passed to it must be of that family.
pub trait Stored: Sized {
    /// The type of the maps' keys.
    type Key;
    /// A key, or a reference to a tuple that has the form of a key.
    type KeyRef<'a>: Borrow<Self::Key>;
    /// An entry, or a reference to a flow that has the form of an entry.
    type Ref<'a>: Borrow<Self>;
    /// The type of FLOW_BUCKETS' elements.
    type Bucket: FlowBucket<Entry = Self>;

    /// The key of packets with this tuple.
    fn key(tuple: &Tuple) -> Self::KeyRef<'_>;

    /// The tuple of packets with this key.
    fn tuple(key: &Self::Key) -> Tuple;

    /// The entry of a flow.
    fn narrow(flow: &ConntrackEntry) -> Self::Ref<'_>;

    /// Copies this entry to `flow`.
    fn widen(&self, flow: &mut ConntrackEntry);

    /// The metadata, which both families have.
    fn meta(&self) -> &EntryMeta;

    /// The metadata, for changes in place.
    fn meta_mut(&mut self) -> &mut EntryMeta;

    /// The key of the other direction's entry.
    fn inverse_key(&self, protocol: u8) -> Self::Key;
}

impl Stored for ConntrackEntry {
    type Key = Tuple;
    type KeyRef<'a> = &'a Tuple;
    type Ref<'a> = &'a Self;
    type Bucket = Ipv6Bucket;

    #[inline(always)]
    fn key(tuple: &Tuple) -> &Tuple {
        tuple
    }

    #[inline(always)]
    fn tuple(key: &Tuple) -> Tuple {
        *key
    }

    #[inline(always)]
    fn narrow(flow: &ConntrackEntry) -> &Self {
        flow
    }

    #[inline(always)]
    fn widen(&self, flow: &mut ConntrackEntry) {
        *flow = *self;
    }

    #[inline(always)]
    fn meta(&self) -> &EntryMeta {
        &self.meta
    }

    #[inline(always)]
    fn meta_mut(&mut self) -> &mut EntryMeta {
        &mut self.meta
    }

    #[inline(always)]
    fn inverse_key(&self, protocol: u8) -> Tuple {
        Self::inverse_key(self, protocol)
    }
}

/// The four bytes of an IPv4 address.
#[inline(always)]
const fn narrow(address: &Address) -> [u8; 4] {
    address.words()[3].to_ne_bytes()
}

#[inline(always)]
pub(super) const fn widen(bytes: [u8; 4]) -> Address {
    Address::from_ipv4_word(u32::from_ne_bytes(bytes))
}

impl Stored for Ipv4ConntrackEntry {
    type Key = Ipv4Tuple;
    type KeyRef<'a> = Ipv4Tuple;
    type Ref<'a> = Self;
    type Bucket = Ipv4Bucket;

    #[inline(always)]
    fn key(tuple: &Tuple) -> Ipv4Tuple {
        Ipv4Tuple {
            source: narrow(&tuple.source),
            destination: narrow(&tuple.destination),
            source_port: tuple.source_port,
            destination_port: tuple.destination_port,
            protocol: tuple.protocol,
            _pad: [0; 3],
        }
    }

    #[inline(always)]
    fn tuple(key: &Ipv4Tuple) -> Tuple {
        Tuple {
            source: widen(key.source),
            destination: widen(key.destination),
            source_port: key.source_port,
            destination_port: key.destination_port,
            protocol: key.protocol,
            _pad: [0; 3],
        }
    }

    #[inline(always)]
    fn narrow(flow: &ConntrackEntry) -> Self {
        Self {
            source: narrow(&flow.source),
            destination: narrow(&flow.destination),
            source_port: flow.source_port,
            destination_port: flow.destination_port,
            meta: flow.meta,
        }
    }

    #[inline(always)]
    fn widen(&self, flow: &mut ConntrackEntry) {
        flow.source = widen(self.source);
        flow.destination = widen(self.destination);
        flow.source_port = self.source_port;
        flow.destination_port = self.destination_port;
        flow.meta = self.meta;
    }

    #[inline(always)]
    fn meta(&self) -> &EntryMeta {
        &self.meta
    }

    #[inline(always)]
    fn meta_mut(&mut self) -> &mut EntryMeta {
        &mut self.meta
    }

    #[inline(always)]
    fn inverse_key(&self, protocol: u8) -> Ipv4Tuple {
        Ipv4Tuple {
            source: self.destination,
            destination: self.source,
            source_port: self.destination_port,
            destination_port: self.source_port,
            protocol,
            _pad: [0; 3],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn same_through<E: Stored>(a: [u8; 4], b: [u8; 4]) {
        let address = |bytes| {
            if size_of::<E>() == 40 {
                Address::from(bytes)
            } else {
                Address::from_words([1, 2, 3, u32::from_ne_bytes(bytes)])
            }
        };
        let flow = ConntrackEntry {
            source: address(a),
            destination: address(b),
            source_port: 1,
            destination_port: 2,
            meta: EntryMeta { expires: 3, service: 4, flags: EntryMeta::REPLY, opened: 5, ..EntryMeta::default() },
        };
        let stored = E::narrow(&flow);
        let stored: &E = stored.borrow();
        let mut again = ConntrackEntry::default();
        stored.widen(&mut again);
        assert_eq!(again, flow);
        assert_eq!(E::tuple(&stored.inverse_key(6)), flow.inverse_key(6));
        let tuple = flow.inverse_key(17);
        assert_eq!(E::tuple(E::key(&tuple).borrow()), tuple);
    }

    #[test]
    fn s28_a_flow_is_the_same_in_either_familys_maps() {
        same_through::<Ipv4ConntrackEntry>([10, 0, 0, 1], [192, 0, 2, 77]);
        same_through::<ConntrackEntry>([10, 0, 0, 1], [192, 0, 2, 77]);
    }
}
