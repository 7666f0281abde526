//! Counters of verdicts, services and backends. Counting never changes a verdict.

use crate::{pod::pod, reason::Counter, shared::parts, verdict::Verdict};

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
            Verdict::Reject(reason) => reason.counter(),
            Verdict::Drop(reason) => reason.counter(),
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
        /// Bytes of those packets, from the Ethernet header, if there is one, to the end that the network header gives, without
        /// padding.
        pub bytes: u64,
    }

    /// Value of BACKEND_COUNTERS, by backend id: the search for free source ports.
    pub struct BackendCounters: 24 {
        /// Flows that were given a source port.
        pub flows: u64,
        /// Ports that were tried and found taken.
        pub taken: u64,
        /// Flows dropped because every port tried was taken.
        pub exhausted: u64,
    }
}

parts! {
    ServiceCounters { connections: u64, packets: u64, bytes: u64 }
    BackendCounters { flows: u64, taken: u64, exhausted: u64 }
}
