//! What a program decided about a connect or a packet, and why. The numbers are metric labels: they
//! never change their meaning.

/// The end of the pipeline.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Verdict {
    /// Not ours: leave it as it is.
    Pass,
    /// The addresses have been rewritten; the stack takes it from here.
    Translated,
    /// The packet was rewritten and leaves by the hook itself.
    Forwarded,
    /// The packet, an echo request, has become its reply.
    EchoReply,
    /// Refuse it so that the client knows at once.
    Reject(RejectReason),
    /// Refuse it silently (packets) or as unreachable (sockets).
    Drop(DropReason),
}

impl Verdict {
    /// A number for the verdict, never 0: eBPF subprograms return nothing wider.
    #[inline(always)]
    pub const fn code(self) -> u32 {
        match self {
            Self::Pass => 1,
            Self::Translated => 2,
            Self::Forwarded => 3,
            Self::EchoReply => 4,
            Self::Reject(reason) => 0x100 | reason as u32,
            Self::Drop(reason) => 0x200 | reason as u32,
        }
    }

    /// The verdict with this code; none for a number that [`Verdict::code`] does not return.
    #[inline(always)]
    pub const fn from_code(code: u32) -> Option<Self> {
        #[expect(clippy::cast_possible_truncation, reason = "the lowest byte is meant")]
        let reason = code as u8;
        match (code >> 8, reason) {
            (0, 1) => Some(Self::Pass),
            (0, 2) => Some(Self::Translated),
            (0, 3) => Some(Self::Forwarded),
            (0, 4) => Some(Self::EchoReply),
            (1, _) => match RejectReason::from_number(reason) {
                Some(reason) => Some(Self::Reject(reason)),
                None => None,
            },
            (2, _) => match DropReason::from_number(reason) {
                Some(reason) => Some(Self::Drop(reason)),
                None => None,
            },
            _ => None,
        }
    }
}

/// Declares reasons by their numbers.
macro_rules! reasons {
    ($(#[$meta:meta])* $name:ident { $($(#[$doc:meta])* $variant:ident = $number:literal,)* }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[repr(u8)]
        pub enum $name { $($(#[$doc])* $variant = $number,)* }

        impl $name {
            /// The reason with this number.
            #[inline(always)]
            pub const fn from_number(number: u8) -> Option<Self> {
                match number {
                    $($number => Some(Self::$variant),)*
                    _ => None,
                }
            }
        }
    };
}

reasons! {
    /// Why a flow is rejected.
    RejectReason {
        /// No usable backend anywhere (S16).
        NoBackend = 1,
        /// A port that the Service's address does not serve (S20).
        UnservedPort = 2,
        /// A TCP packet in the middle of a connection that nobody knows.
        UnknownConnection = 3,
    }
}

reasons! {
    /// Why a flow or packet is dropped.
    DropReason {
        /// The policy is Local and no usable backend is on this node (S16).
        NoLocalBackend = 1,
        /// An address inside a ServiceCIDR that no Service owns (S20).
        UnownedAddress = 2,
        /// The slot or backend that a service names does not exist: the maps are damaged.
        MissingBackend = 3,
        /// The client is outside `loadBalancerSourceRanges` (S21).
        SourceRange = 4,
        /// A packet for a frontend whose headers are cut short or contradict themselves (S28).
        Malformed = 5,
        /// An IPv6 packet with an IPv4-mapped address.
        MappedAddress = 6,
        /// A later fragment whose first one has not come (S28).
        FragmentOutOfOrder = 7,
        /// No free source port for the backend.
        SnatPortsExhausted = 8,
        /// This node has no address of the packet's family to send from.
        NoNodeAddress = 9,
        /// The routing table refuses the destination.
        NoRoute = 10,
        /// The packet does not fit the way to the backend and must not be fragmented here.
        TooBig = 11,
        /// The hop limit has run out.
        HopLimit = 12,
        /// A refusal that was not sent because too many were sent lately.
        RejectLimited = 13,
        /// The connection tracking map refused the flow.
        ConntrackFull = 14,
        /// The program of a stage is not in its place: the maps are damaged.
        MissingStage = 15,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn verdicts_survive_the_round_trip() {
        let verdicts = [Verdict::Pass, Verdict::Translated, Verdict::Forwarded, Verdict::EchoReply].into_iter();
        let rejects = (0..=u8::MAX).filter_map(RejectReason::from_number).map(Verdict::Reject);
        let drops = (0..=u8::MAX).filter_map(DropReason::from_number).map(Verdict::Drop);
        for verdict in verdicts.chain(rejects).chain(drops) {
            assert_eq!(Verdict::from_code(verdict.code()), Some(verdict));
        }
        assert_eq!(Verdict::from_code(0), None);
    }
}
