//! FLOW_BUCKETS, CONNTRACK and EMBRYONIC: the flows of packets, with their translations and states.
//!
//! A flow has two entries of the same form. The key of one is the tuple of the client's packets, that of the other the tuple of
//! the backend's packets. Each entry holds the whole translation of its direction, from which the key of the other entry follows:
//! [`ConntrackEntry::inverse_key`]. A TCP connection gets the client's entry only when the backend has replied (docs/adr/0007).
//! States and their default timeouts follow Linux's nf_conntrack.
//!
//! Each family has its own tables, since the size of an entry decides what a packet costs when there are many flows. [`Stored`]
//! is an entry in the form of its tables. Programs work with [`Tuple`] and [`ConntrackEntry`], which hold either family.

mod association;
mod bucket;
mod in_maps;
mod meta;
mod sequence;
mod state;
mod stored;
mod timeouts;

pub use self::{
    association::{Chunk, chunk},
    bucket::{FlowBucket, Ipv4Bucket, Ipv6Bucket, LOCKED, Place},
    in_maps::{SharedBucket, SharedEntry},
    meta::EntryMeta,
    sequence::{Judgement, Segment},
    state::{Direction, State, TcpFlags},
    stored::{Ipv4ConntrackEntry, Ipv4Tuple, Stored},
    timeouts::{AssociationTimeouts, Timeouts},
};

use crate::{addr::Address, pod::pod};

pod! {
    /// The tuple of a packet as it arrives; key of CONNTRACK_IPV6 and EMBRYONIC_IPV6.
    pub struct Tuple: 40 {
        /// Source address.
        pub source: Address,
        /// Destination address.
        pub destination: Address,
        /// Source port, host byte order.
        pub source_port: u16,
        /// Destination port, host byte order.
        pub destination_port: u16,
        /// IANA protocol number.
        pub protocol: u8,
        /// Zero.
        pub _pad: [u8; 3],
    }

    /// An entry of either family; value of CONNTRACK_IPV6 and EMBRYONIC_IPV6.
    pub struct ConntrackEntry: 64 {
        /// The packet's source address after translation.
        pub source: Address,
        /// The packet's destination address after translation.
        pub destination: Address,
        /// The packet's source port after translation, host byte order.
        pub source_port: u16,
        /// The packet's destination port after translation, host byte order.
        pub destination_port: u16,
        /// The flow's state, timeout and backend.
        pub meta: EntryMeta,
    }
}

impl Tuple {
    /// The tuple of a packet whose ports are not known yet.
    #[inline(always)]
    pub const fn from_addresses(source: Address, destination: Address, protocol: u8) -> Self {
        Self { source, destination, source_port: 0, destination_port: 0, protocol, _pad: [0; 3] }
    }

    /// The inverse tuple, which replies to packets with this one have (`nf_ct_invert_tuple`).
    #[inline(always)]
    #[must_use]
    pub const fn inverse(&self) -> Self {
        Self {
            source: self.destination,
            destination: self.source,
            source_port: self.destination_port,
            destination_port: self.source_port,
            ..*self
        }
    }
}

impl ConntrackEntry {
    /// The tuple of a packet after translation by this entry.
    #[inline(always)]
    pub const fn translated(&self, protocol: u8) -> Tuple {
        Tuple {
            source: self.source,
            destination: self.destination,
            source_port: self.source_port,
            destination_port: self.destination_port,
            protocol,
            _pad: [0; 3],
        }
    }

    /// The key of the other direction's entry: the inverse of the translated tuple.
    #[inline(always)]
    pub const fn inverse_key(&self, protocol: u8) -> Tuple {
        self.translated(protocol).inverse()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn s28_the_inverse_of_the_inverse_is_the_packet_itself() {
        let tuple = Tuple {
            source: [10, 0, 0, 1].into(),
            destination: [10, 0, 0, 2].into(),
            source_port: 1,
            destination_port: 2,
            protocol: 6,
            ..Tuple::default()
        };
        let forward = ConntrackEntry { source_port: 3, destination_port: 4, ..ConntrackEntry::default() };
        let reply = ConntrackEntry {
            source: tuple.destination,
            destination: tuple.source,
            source_port: tuple.destination_port,
            destination_port: tuple.source_port,
            ..ConntrackEntry::default()
        };
        assert_eq!(forward.inverse_key(6).inverse(), forward.translated(6));
        assert_eq!(reply.inverse_key(6), tuple);
    }
}
