//! What an entry remembers of its flow besides the translation.

use super::State;
use crate::pod::pod;

pod! {
    /// The same for both families and both directions of a flow.
    pub struct Life: 28 {
        /// When the entry ends: jiffies, modulo 2³².
        pub expires: u32,
        /// Service id.
        pub service: u32,
        /// A [`State`].
        pub state: u8,
        /// [`Life::REPLY`] and its siblings.
        pub flags: u8,
        /// The [`List::bit`](crate::List::bit) of the list the backend was chosen from.
        pub list: u8,
        /// An assured TCP connection: 1 when the last segment of this direction was a SYN.
        pub asks: u8,
        /// Backend id.
        pub backend: u32,
        /// The backend's generation when it was chosen.
        pub backend_generation: u32,
        /// The service's generation when the backend was last known to be a member. Of an assured TCP connection, which nobody
        /// moves: the sequence number after what this direction has sent (see `sequence.rs`). Of an SCTP association that
        /// has been answered: the tag of what the client sends (see `association.rs`).
        pub service_generation: u32,
        /// TCP: what the client has to acknowledge to show that it got the backend's SYN; 0 until that has come. Of an
        /// assured connection: what this direction has acknowledged. SCTP: the tag of what the backend sends.
        pub handshake: u32,
    }
}

impl Life {
    /// The entry is found by what the backend sends.
    pub const REPLY: u8 = 1;
    /// The backend is on this node: its packets go up the stack.
    pub const LOCAL: u8 = 2;
    /// The set of programs before has the flow (docs/adr/0010): here only its key is taken, and no packet finds it.
    pub const RESERVED: u8 = 4;

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

    /// Whether the entry ends more than a second earlier than `later`, which does not end before `now`.
    #[inline(always)]
    pub const fn ends_earlier_than(&self, later: &Self, now: u32, second: u32) -> bool {
        self.is_stale(now, later.expires.wrapping_sub(now), second)
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
        let flow = Life { handshake: u32::MAX, ..Life::default() };
        assert!(flow.is_acknowledged_by(u32::MAX));
        assert!(flow.is_acknowledged_by(500), "the backend spoke first");
        assert!(!flow.is_acknowledged_by(u32::MAX - 1));
        assert!(!flow.is_acknowledged_by(1 << 31));
    }

    #[test]
    fn expiry_survives_the_wrap_of_jiffies() {
        let entry = |expires| Life { expires, ..Life::default() };
        assert!(entry(5).is_expired(5));
        assert!(!entry(5).is_expired(u32::MAX));
        assert!(entry(u32::MAX).is_expired(5));
        assert!(!entry(1000).is_stale(0, 1000, 100));
        assert!(!entry(1000).is_stale(100, 1000, 100));
        assert!(entry(1000).is_stale(101, 1000, 100));
    }
}
