//! COUNTERS and SERVICE_COUNTERS: events by reason. Counting never changes a verdict.

use crate::{
    pod::pod,
    verdict::{DropReason, RejectReason, Verdict},
};

/// Index of COUNTERS. A number keeps its meaning for ever.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Counter {
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
}

impl Counter {
    /// Every counter, in the order of its number.
    pub const ALL: [Self; 9] = [
        Self::SocketTranslated,
        Self::RejectNoBackend,
        Self::RejectUnservedPort,
        Self::DropNoLocalBackend,
        Self::DropUnownedAddress,
        Self::DropMissingBackend,
        Self::AffinityHit,
        Self::UdpFlowMoved,
        Self::MapFull,
    ];

    /// The counter of a socket hook's verdict; [`Verdict::Pass`] is not counted.
    #[inline(always)]
    pub const fn of_socket(verdict: Verdict) -> Option<Self> {
        Some(match verdict {
            Verdict::Pass => return None,
            Verdict::Translated => Self::SocketTranslated,
            Verdict::Reject(RejectReason::NoBackend) => Self::RejectNoBackend,
            Verdict::Reject(RejectReason::UnservedPort) => Self::RejectUnservedPort,
            Verdict::Drop(DropReason::NoLocalBackend) => Self::DropNoLocalBackend,
            Verdict::Drop(DropReason::UnownedAddress) => Self::DropUnownedAddress,
            Verdict::Drop(DropReason::MissingBackend) => Self::DropMissingBackend,
        })
    }
}

pod! {
    /// Value of SERVICE_COUNTERS, per CPU, indexed by service id.
    pub struct ServiceCounters: 24 {
        /// Flows sent to a backend.
        pub connections: u64,
        /// Packets translated; sockets translate none.
        pub packets: u64,
        /// Bytes of those packets.
        pub bytes: u64,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_are_listed_in_the_order_of_their_numbers() {
        for (index, counter) in Counter::ALL.into_iter().enumerate() {
            assert_eq!(counter as usize, index);
        }
    }
}
