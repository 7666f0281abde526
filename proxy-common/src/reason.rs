//! The list of reject reasons, drop reasons and counters, with the labels of their metrics. Numbers and labels never change their
//! meaning.

/// Declares the enums of the list.
macro_rules! list {
    (
        rejects { $($(#[doc = $reject_doc:literal])* $reject:ident = $reject_number:literal,
            $reject_counter:ident = $reject_index:literal, $reject_label:literal;)* }
        drops { $($(#[doc = $drop_doc:literal])* $drop:ident = $drop_number:literal,
            $drop_counter:ident = $drop_index:literal, $drop_label:literal;)* }
        events { $($(#[doc = $event_doc:literal])* $event:ident = $event_index:literal, $event_label:literal;)* }
    ) => {
        reasons! {
            /// Why a flow is rejected.
            RejectReason { $($(#[doc = $reject_doc])* $reject = $reject_number, $reject_counter;)* }
        }

        reasons! {
            /// Why a flow or packet is dropped.
            DropReason { $($(#[doc = $drop_doc])* $drop = $drop_number, $drop_counter;)* }
        }

        /// Index of COUNTERS.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        #[repr(u32)]
        pub enum Counter {
            $(/// Rejected:
            $(#[doc = $reject_doc])* $reject_counter = $reject_index,)*
            $(/// Dropped:
            $(#[doc = $drop_doc])* $drop_counter = $drop_index,)*
            $($(#[doc = $event_doc])* $event = $event_index,)*
        }

        impl Counter {
            /// Every counter, in the order of their numbers.
            pub const ALL: [Self; [$($reject_index,)* $($drop_index,)* $($event_index),*].len()] =
                sorted([$(Self::$reject_counter,)* $(Self::$drop_counter,)* $(Self::$event),*]);

            /// The labels of its metric: outcome and reason.
            pub const fn label(self) -> (Outcome, &'static str) {
                match self {
                    $(Self::$reject_counter => (Outcome::Rejected, $reject_label),)*
                    $(Self::$drop_counter => (Outcome::Dropped, $drop_label),)*
                    $(Self::$event => (Outcome::Done, $event_label),)*
                }
            }

            /// What it counts, in words, without a full stop.
            pub const fn meaning(self) -> &'static str {
                let text = match self {
                    $(Self::$reject_counter => concat!($($reject_doc),*),)*
                    $(Self::$drop_counter => concat!($($drop_doc),*),)*
                    $(Self::$event => concat!($($event_doc),*),)*
                };
                match text.trim_ascii().as_bytes() {
                    [words @ .., b'.'] => words_of(words),
                    words => words_of(words),
                }
            }
        }
    };
}

/// Declares reasons by their numbers, with their counters.
macro_rules! reasons {
    ($(#[$meta:meta])* $name:ident { $($(#[$doc:meta])* $variant:ident = $number:literal, $counter:ident;)* }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[repr(u8)]
        pub enum $name { $($(#[$doc])* $variant = $number,)* }

        impl $name {
            /// The reason with this number, if there is one.
            #[inline(always)]
            pub const fn from_number(number: u8) -> Option<Self> {
                match number {
                    $($number => Some(Self::$variant),)*
                    _ => None,
                }
            }

            /// The counter of this reason.
            #[inline(always)]
            pub const fn counter(self) -> Counter {
                match self { $(Self::$variant => Counter::$counter,)* }
            }
        }
    };
}

list! {
    rejects {
        /// No usable backend anywhere (S16).
        NoBackend = 1, RejectNoBackend = 1, "no_backend";
        /// A port that the Service's address does not serve (S20).
        UnservedPort = 2, RejectUnservedPort = 2, "unserved_port";
        /// A TCP packet in the middle of an unknown connection.
        UnknownConnection = 3, RejectUnknownConnection = 14, "unknown_connection";
    }
    drops {
        /// The policy is Local and no usable backend is on this node (S16).
        NoLocalBackend = 1, DropNoLocalBackend = 3, "no_local_backend";
        /// An address inside a ServiceCIDR that no Service owns (S20).
        UnownedAddress = 2, DropUnownedAddress = 4, "unowned_address";
        /// The slot or backend that a service names does not exist: the maps are damaged.
        MissingBackend = 3, DropMissingBackend = 5, "missing_backend";
        /// The client is outside `loadBalancerSourceRanges` (S21).
        SourceRange = 4, DropSourceRange = 15, "source_range";
        /// A packet to a frontend, with headers that are cut short or contradict one another (S28).
        Malformed = 5, DropMalformed = 16, "malformed";
        /// An IPv6 packet with an IPv4-mapped address.
        MappedAddress = 6, DropMappedAddress = 17, "mapped_address";
        /// A later fragment that came before the first one (S28).
        FragmentOutOfOrder = 7, DropFragmentOutOfOrder = 18, "fragment_out_of_order";
        /// No free source port for the backend.
        SnatPortsExhausted = 8, DropSnatPortsExhausted = 19, "snat_ports_exhausted";
        /// This node has no address of the packet's family to send from.
        NoNodeAddress = 9, DropNoNodeAddress = 20, "no_node_address";
        /// The routing table refuses the destination.
        NoRoute = 10, DropNoRoute = 21, "no_route";
        /// The packet exceeds the MTU of the path to the backend and must not be fragmented here.
        TooBig = 11, DropTooBig = 22, "too_big";
        /// The hop limit has run out.
        HopLimit = 12, DropHopLimit = 23, "hop_limit";
        /// A refusal beyond the rate limit `--reject-rate`, which was not sent.
        RejectLimited = 13, DropRejectLimited = 24, "reject_limited";
        /// The connection tracking map refused the flow.
        ConntrackFull = 14, DropConntrackFull = 25, "conntrack_full";
        /// The program of a stage is missing: the maps are damaged.
        MissingStage = 15, DropMissingStage = 26, "missing_stage";
    }
    events {
        /// A call's destination was rewritten to a backend.
        SocketTranslated = 0, "socket_translated";
        /// A client kept its backend by session affinity.
        AffinityHit = 6, "affinity_hit";
        /// A UDP flow was moved because its backend left the list.
        UdpFlowMoved = 7, "udp_flow_moved";
        /// A map was full or refused an entry that a socket needed.
        MapFull = 8, "map_full";
        /// A packet was translated and left to the stack: to a backend on this node, or its reply.
        PacketTranslated = 9, "packet_translated";
        /// A packet was translated and sent on by the hook itself.
        PacketForwarded = 10, "packet_forwarded";
        /// An echo request got its reply in a frontend's name.
        EchoReply = 11, "echo_reply";
        /// A flow of packets was opened.
        FlowOpened = 12, "flow_opened";
        /// A flow got another source port than its client's: that one is taken, also by a socket of the node or by netfilter, or is
        /// not Waggle's to use.
        SnatPortChanged = 13, "snat_port_changed";
        /// An event was lost because `waggle monitor` had not read earlier ones yet.
        EventLost = 27, "event_lost";
    }
}

/// The outcome of what is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Refused with an error that the client sees at once.
    Rejected,
    /// Refused silently, or as unreachable.
    Dropped,
    /// Served, or another event.
    Done,
}

/// The text with these bytes, which are a part of documentation.
const fn words_of(bytes: &'static [u8]) -> &'static str {
    match core::str::from_utf8(bytes) {
        Ok(text) => text,
        Err(_) => "",
    }
}

/// Sorts counters by their numbers.
const fn sorted<const N: usize>(mut all: [Counter; N]) -> [Counter; N] {
    let mut first = 0;
    while first < N {
        let (mut least, mut other) = (first, first + 1);
        while other < N {
            if (all[other] as u32) < all[least] as u32 {
                least = other;
            }
            other += 1;
        }
        (all[first], all[least]) = (all[least], all[first]);
        first += 1;
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_counter_says_what_it_counts() {
        for counter in Counter::ALL {
            let meaning = counter.meaning();
            assert!(meaning.len() > 10 && meaning.starts_with(char::is_uppercase), "{counter:?}: {meaning:?}");
            assert!(!meaning.ends_with(['.', ' ']) && !meaning.contains("  "), "{counter:?}: {meaning:?}");
        }
    }

    #[test]
    fn counters_are_listed_in_the_order_of_their_numbers() {
        for (index, counter) in Counter::ALL.into_iter().enumerate() {
            assert_eq!(counter as usize, index);
        }
    }
}
