//! An entry's metadata: its flow's state, end and backend, and what is known of the connection.

use super::State;
use crate::pod::pod;

pod! {
    /// Metadata of an entry of either family and direction.
    pub struct EntryMeta: 28 {
        /// The time at which the entry expires: jiffies, modulo 2³².
        pub expires: u32,
        /// Service id.
        pub service: u32,
        /// A [`State`].
        pub state: u8,
        /// The flags [`EntryMeta::REPLY`], [`EntryMeta::LOCAL`] and [`EntryMeta::RESERVED`].
        pub flags: u8,
        /// The [`List::bit`](crate::List::bit) of the list the backend was chosen from.
        pub list: u8,
        /// For an assured TCP connection: 1 if the last segment of this direction was a SYN.
        pub syn_seen: u8,
        /// Backend id.
        pub backend: u32,
        /// The backend's generation when it was chosen.
        pub backend_generation: u32,
        /// The service's generation when the backend was last known to be a member. An assured TCP connection, which never moves
        /// to another backend, has the sequence number after what this direction has sent instead (see `sequence.rs`). An SCTP
        /// association to which the backend has replied has the tag of the client's packets instead (see `association.rs`).
        pub service_generation: u32,
        /// TCP: the acknowledgment number by which the client shows that it got the backend's SYN; 0 until the SYN has come. For
        /// an assured connection: what this direction has acknowledged. SCTP: the tag of the backend's packets.
        pub handshake: u32,
    }
}

impl EntryMeta {
    /// The entry's key is the tuple of the backend's packets.
    pub const REPLY: u8 = 1;
    /// The backend is on this node: packets to it go up the stack.
    pub const LOCAL: u8 = 2;
    /// The flow is in the tables of the previous set of programs (docs/adr/0010). This entry only reserves the key: lookups of
    /// packets ignore it.
    pub const RESERVED: u8 = 4;

    /// Whether the entry has expired at `now` (jiffies).
    #[inline(always)]
    pub const fn is_expired(&self, now: u32) -> bool {
        self.expires.wrapping_sub(now).cast_signed() <= 0
    }

    /// Whether the entry should be refreshed at `now`: at most once a second, so that a fast flow does not write its entry for
    /// every packet. Times are in jiffies; `second` is the number of jiffies in a second.
    #[inline(always)]
    pub const fn is_stale(&self, now: u32, timeout: u32, second: u32) -> bool {
        self.expires.wrapping_sub(now) < timeout.wrapping_sub(second)
    }

    /// Whether the entry expires more than a second before `later`, which must not have expired at `now`. Times are in jiffies.
    #[inline(always)]
    pub const fn ends_earlier_than(&self, later: &Self, now: u32, second: u32) -> bool {
        self.is_stale(now, later.expires.wrapping_sub(now), second)
    }

    /// Whether the sender of a TCP segment with this acknowledgment number has seen the backend's SYN. The number may be up to 1
    /// MiB further, since the backend may have sent data already.
    #[inline(always)]
    pub const fn is_acknowledged_by(&self, acknowledgment: u32) -> bool {
        acknowledgment.wrapping_sub(self.handshake) < 1 << 20
    }

    /// The state; an unknown number is [`State::Reset`].
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
        let flow = EntryMeta { handshake: u32::MAX, ..EntryMeta::default() };
        assert!(flow.is_acknowledged_by(u32::MAX));
        assert!(flow.is_acknowledged_by(500), "the backend spoke first");
        assert!(!flow.is_acknowledged_by(u32::MAX - 1));
        assert!(!flow.is_acknowledged_by(1 << 31));
    }

    #[test]
    fn expiry_survives_the_wrap_of_jiffies() {
        let entry = |expires| EntryMeta { expires, ..EntryMeta::default() };
        assert!(entry(5).is_expired(5));
        assert!(!entry(5).is_expired(u32::MAX));
        assert!(entry(u32::MAX).is_expired(5));
        assert!(!entry(1000).is_stale(0, 1000, 100));
        assert!(!entry(1000).is_stale(100, 1000, 100));
        assert!(entry(1000).is_stale(101, 1000, 100));
    }
}
