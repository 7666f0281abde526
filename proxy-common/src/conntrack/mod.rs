//! CONNTRACK and HALF_OPEN: the translation of every flow that came as packets, and its life.
//!
//! A flow has two entries of the same form, one found by what the client sends and one by what the backend
//! sends. Each holds the whole translation of its direction, and the key of the other: see
//! [`Conntrack::partner`]. States and their default timeouts follow Linux's nf_conntrack.

mod state;
mod timeouts;

pub use self::{
    state::{Direction, State, TcpFlags},
    timeouts::Timeouts,
};

use crate::{addr::Address, pod::pod};

pod! {
    /// Key of CONNTRACK and HALF_OPEN: a packet as it arrives.
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

    /// Value of CONNTRACK and HALF_OPEN. What an established packet needs comes first.
    pub struct Conntrack: 64 {
        /// What the packet's source address becomes.
        pub source: Address,
        /// What its destination address becomes.
        pub destination: Address,
        /// What its source port becomes, host byte order.
        pub source_port: u16,
        /// What its destination port becomes, host byte order.
        pub destination_port: u16,
        /// When the entry ends: jiffies, modulo 2³².
        pub expires: u32,
        /// Service id.
        pub service: u32,
        /// A [`State`].
        pub state: u8,
        /// [`Conntrack::REPLY`] and its siblings.
        pub flags: u8,
        /// The [`List::bit`](crate::List::bit) of the list the backend was chosen from.
        pub list: u8,
        /// Zero.
        pub _pad: u8,
        /// Backend id.
        pub backend: u32,
        /// The backend's generation when it was chosen.
        pub backend_generation: u32,
        /// The service's generation when the backend was last known to be a member.
        pub service_generation: u32,
        /// TCP: what the client has to acknowledge to show that it got the backend's SYN; 0 until that has come.
        pub handshake: u32,
    }
}

impl Tuple {
    /// The tuple of a packet whose ports are not known yet.
    #[inline(always)]
    pub const fn from_addresses(source: Address, destination: Address, protocol: u8) -> Self {
        Self { source, destination, source_port: 0, destination_port: 0, protocol, _pad: [0; 3] }
    }

    /// The tuple of the answer to a packet with this one.
    #[inline(always)]
    #[must_use]
    pub const fn reversed(&self) -> Self {
        Self {
            source: self.destination,
            destination: self.source,
            source_port: self.destination_port,
            destination_port: self.source_port,
            ..*self
        }
    }
}

impl Conntrack {
    /// The entry is found by what the backend sends.
    pub const REPLY: u8 = 1;
    /// The backend is on this node: its packets go up the stack.
    pub const LOCAL: u8 = 2;

    /// What a packet with this entry looks like after translation.
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

    /// Whether a packet with either entry looks the same after translation.
    #[inline(always)]
    pub const fn translates_like(&self, other: &Self) -> bool {
        let ([a, b, c, d], [e, f, g, h]) = (self.source.words(), self.destination.words());
        let ([i, j, k, l], [m, n, o, p]) = (other.source.words(), other.destination.words());
        // Word by word: comparing arrays, the compiler would put copies on the stack.
        let addresses = (a ^ i) | (b ^ j) | (c ^ k) | (d ^ l) | (e ^ m) | (f ^ n) | (g ^ o) | (h ^ p);
        let ports = (self.source_port ^ other.source_port) | (self.destination_port ^ other.destination_port);
        addresses == 0 && ports == 0
    }

    /// The key of the other direction's entry.
    #[inline(always)]
    pub const fn partner(&self, protocol: u8) -> Tuple {
        self.translated(protocol).reversed()
    }

    /// Whether the entry has ended at `now` (jiffies).
    #[inline(always)]
    pub const fn is_expired(&self, now: u32) -> bool {
        self.expires.wrapping_sub(now).cast_signed() <= 0
    }

    /// Whether the entry's end should be put off at `now`: at most once a second, so that a fast flow does not
    /// write its entry for every packet. Times in jiffies.
    #[inline(always)]
    pub const fn is_stale(&self, now: u32, timeout: u32, second: u32) -> bool {
        self.expires.wrapping_sub(now) < timeout.wrapping_sub(second)
    }

    /// Whether a TCP segment with this acknowledgment number comes from somebody who has seen what the backend sent: the
    /// backend may have said a little more than its SYN by now.
    #[inline(always)]
    pub const fn is_acknowledged_by(&self, acknowledgment: u32) -> bool {
        acknowledgment.wrapping_sub(self.handshake) < 1 << 20
    }

    /// The state; unknown numbers are ended flows.
    #[inline(always)]
    pub const fn state(&self) -> State {
        State::from_number(self.state)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_blind_sender_does_not_confirm_a_connection() {
        let flow = Conntrack { handshake: u32::MAX, ..Conntrack::default() };
        assert!(flow.is_acknowledged_by(u32::MAX));
        assert!(flow.is_acknowledged_by(500), "the backend spoke first");
        assert!(!flow.is_acknowledged_by(u32::MAX - 1));
        assert!(!flow.is_acknowledged_by(1 << 31));
    }

    #[test]
    fn expiry_survives_the_wrap_of_jiffies() {
        let entry = |expires| Conntrack { expires, ..Conntrack::default() };
        assert!(entry(5).is_expired(5));
        assert!(!entry(5).is_expired(u32::MAX));
        assert!(entry(u32::MAX).is_expired(5));
        assert!(!entry(1000).is_stale(0, 1000, 100));
        assert!(!entry(1000).is_stale(100, 1000, 100));
        assert!(entry(1000).is_stale(101, 1000, 100));
    }

    #[test]
    fn s28_the_partners_partner_is_the_packet_itself() {
        let tuple = Tuple {
            source: [10, 0, 0, 1].into(),
            destination: [10, 0, 0, 2].into(),
            source_port: 1,
            destination_port: 2,
            protocol: 6,
            ..Tuple::default()
        };
        let forward = Conntrack { source_port: 3, destination_port: 4, ..Conntrack::default() };
        let reply = Conntrack {
            source: tuple.destination,
            destination: tuple.source,
            source_port: tuple.destination_port,
            destination_port: tuple.source_port,
            ..Conntrack::default()
        };
        assert_eq!(forward.partner(6).reversed(), forward.translated(6));
        assert_eq!(reply.partner(6), tuple);
    }
}
