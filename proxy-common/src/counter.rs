//! COUNTERS and SERVICE_COUNTERS: events by reason. Counting never changes a verdict.

use crate::{
    pod::pod,
    verdict::{DropReason, RejectReason, Verdict},
};

/// Declares the counters once: number, name, meaning.
macro_rules! counters {
    ($($(#[$doc:meta])* $name:ident = $number:literal,)*) => {
        /// Index of COUNTERS. A number keeps its meaning for ever.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        #[repr(u32)]
        pub enum Counter { $($(#[$doc])* $name = $number,)* }

        impl Counter {
            /// Every counter, in the order of its number.
            pub const ALL: [Self; [$($number),*].len()] = [$(Self::$name),*];
        }
    };
}

counters! {
    /// A socket's destination was rewritten to a backend.
    SocketTranslated = 0,
    /// Rejected: no usable backend anywhere.
    RejectNoBackend = 1,
    /// Rejected: a port that the Service's address does not serve.
    RejectUnservedPort = 2,
    /// Dropped: the policy is Local and no usable backend is on this node.
    DropNoLocalBackend = 3,
    /// Dropped: an address inside a ServiceCIDR that no Service owns.
    DropUnownedAddress = 4,
    /// Dropped: a service names a slot or backend that does not exist.
    DropMissingBackend = 5,
    /// A client kept its backend by session affinity.
    AffinityHit = 6,
    /// A UDP flow was moved because its backend left the list.
    UdpFlowMoved = 7,
    /// A map was full or refused an entry that a socket needed.
    MapFull = 8,
    /// A packet was translated and left to the stack.
    PacketTranslated = 9,
    /// A packet was translated and sent on by the hook itself.
    PacketForwarded = 10,
    /// An echo request got its reply in a frontend's name.
    EchoReply = 11,
    /// A flow of packets was opened.
    FlowOpened = 12,
    /// A flow got another source port than its client's, because that one was taken or is not ours to use.
    SnatPortChanged = 13,
    /// Rejected: a TCP packet in the middle of a connection that nobody knows.
    RejectUnknownConnection = 14,
    /// Dropped: the client is outside `loadBalancerSourceRanges`.
    DropSourceRange = 15,
    /// Dropped: headers that are cut short or contradict themselves.
    DropMalformed = 16,
    /// Dropped: an IPv6 packet with an IPv4-mapped address.
    DropMappedAddress = 17,
    /// Dropped: a later fragment whose first one has not come.
    DropFragmentOutOfOrder = 18,
    /// Dropped: no free source port for the backend.
    DropSnatPortsExhausted = 19,
    /// Dropped: this node has no address of the packet's family.
    DropNoNodeAddress = 20,
    /// Dropped: the routing table refuses the destination.
    DropNoRoute = 21,
    /// Dropped: too big for the way to the backend; the sender has been told, if it can be.
    DropTooBig = 22,
    /// Dropped: the hop limit has run out; the sender has been told.
    DropHopLimit = 23,
    /// Dropped: a refusal beyond the rate limit.
    DropRejectLimited = 24,
    /// Dropped: the connection tracking map refused the flow.
    DropConntrackFull = 25,
    /// Dropped: the program of a stage is not in its place.
    DropMissingStage = 26,
}

impl Counter {
    /// The counter of a socket hook's verdict; [`Verdict::Pass`] is not counted.
    #[inline(always)]
    pub const fn of_socket(verdict: Verdict) -> Option<Self> {
        match verdict {
            Verdict::Translated => Some(Self::SocketTranslated),
            other => Self::of_packet(other),
        }
    }

    /// The counter of a packet's verdict; [`Verdict::Pass`] is not counted.
    #[inline(always)]
    pub const fn of_packet(verdict: Verdict) -> Option<Self> {
        Some(match verdict {
            Verdict::Pass => return None,
            Verdict::Translated => Self::PacketTranslated,
            Verdict::Forwarded => Self::PacketForwarded,
            Verdict::EchoReply => Self::EchoReply,
            Verdict::Reject(RejectReason::NoBackend) => Self::RejectNoBackend,
            Verdict::Reject(RejectReason::UnservedPort) => Self::RejectUnservedPort,
            Verdict::Reject(RejectReason::UnknownConnection) => Self::RejectUnknownConnection,
            Verdict::Drop(reason) => Self::of_drop(reason),
        })
    }

    /// The counter of a drop reason.
    #[inline(always)]
    pub const fn of_drop(reason: DropReason) -> Self {
        match reason {
            DropReason::NoLocalBackend => Self::DropNoLocalBackend,
            DropReason::UnownedAddress => Self::DropUnownedAddress,
            DropReason::MissingBackend => Self::DropMissingBackend,
            DropReason::SourceRange => Self::DropSourceRange,
            DropReason::Malformed => Self::DropMalformed,
            DropReason::MappedAddress => Self::DropMappedAddress,
            DropReason::FragmentOutOfOrder => Self::DropFragmentOutOfOrder,
            DropReason::SnatPortsExhausted => Self::DropSnatPortsExhausted,
            DropReason::NoNodeAddress => Self::DropNoNodeAddress,
            DropReason::NoRoute => Self::DropNoRoute,
            DropReason::TooBig => Self::DropTooBig,
            DropReason::HopLimit => Self::DropHopLimit,
            DropReason::RejectLimited => Self::DropRejectLimited,
            DropReason::ConntrackFull => Self::DropConntrackFull,
            DropReason::MissingStage => Self::DropMissingStage,
        }
    }
}

pod! {
    /// Value of SERVICE_COUNTERS, per CPU, indexed by service id.
    pub struct ServiceCounters: 24 {
        /// Flows sent to a backend.
        pub connections: u64,
        /// Packets translated; sockets translate none.
        pub packets: u64,
        /// Bytes of those packets, by their own account: from the Ethernet header, if there is one, to where the network header
        /// says that they end, without padding.
        pub bytes: u64,
    }

    /// Value of BACKEND_COUNTERS, per CPU, indexed by backend id: how hard it is to find a free source port.
    pub struct BackendCounters: 24 {
        /// Flows that were given a source port.
        pub flows: u64,
        /// Ports tried that were taken.
        pub taken: u64,
        /// Flows dropped because every port tried was taken.
        pub exhausted: u64,
    }
}

#[cfg(test)]
mod tests {
    extern crate std;

    use super::*;

    /// What people read about a map dump.
    const DOCS: &str = include_str!("../../docs/maps.md");

    #[test]
    fn every_counter_has_a_line_in_the_docs() {
        for counter in Counter::ALL {
            assert!(DOCS.contains(&std::format!("\n| {} | ", counter as u32)), "{counter:?}");
        }
    }

    #[test]
    fn counters_are_listed_in_the_order_of_their_numbers() {
        for (index, counter) in Counter::ALL.into_iter().enumerate() {
            assert_eq!(counter as usize, index);
        }
    }
}
