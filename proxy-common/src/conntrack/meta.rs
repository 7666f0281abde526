//! An entry's metadata: its flow's state, end and backend, and what is known of the connection.

use super::State;
use crate::{backend::Backend, pod::pod, service::List};

pod! {
    /// Metadata of an entry of either family and direction.
    pub struct EntryMeta: 28 {
        /// The time at which the entry expires: jiffies, modulo 2³².
        pub expires: u32,
        /// Service id.
        pub service: u32,
        /// A [`State`].
        pub state: u8,
        /// A combination of [`EntryMeta::REPLY`] and the flags below it.
        pub flags: u8,
        /// The lower half of the backend's generation when it was chosen: see [`EntryMeta::is_of`].
        pub backend_generation: u16,
        /// Backend id.
        pub backend: u32,
        /// The time of the flow's first packet, as [`EntryMeta::opening`] has it. 0 if it is not known.
        pub opened: u32,
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
    /// For an assured TCP connection: the last segment of this direction was a SYN.
    pub const SYN_SEEN: u8 = 8;
    /// The backend was chosen from the list [`List::Local`], else from [`List::Cluster`].
    pub const LOCAL_LIST: u8 = 16;

    /// The unit of [`EntryMeta::opened`] is 2 to the power of this number of jiffies: less than a second at every tick rate, and
    /// the field does not wrap within eight years.
    const OPENING_SHIFT: u32 = 6;

    /// The value of [`EntryMeta::opened`] for a flow that opens at `jiffies`, which must be whole, not modulo 2³².
    #[inline(always)]
    #[expect(clippy::cast_possible_truncation, reason = "it wraps after eight years")]
    pub const fn opening(jiffies: u64) -> u32 {
        (jiffies >> Self::OPENING_SHIFT) as u32
    }

    /// How long ago the flow's first packet came, in jiffies. `jiffies` is the time now, not modulo 2³². `None` if the time of
    /// the first packet is not known.
    pub const fn age(&self, jiffies: u64) -> Option<u64> {
        if self.opened == 0 {
            return None;
        }
        // The caller's clock may be a little behind that of the programs.
        let age = Self::opening(jiffies).wrapping_sub(self.opened).cast_signed();
        Some(if age < 0 { 0 } else { (age.cast_unsigned() as u64) << Self::OPENING_SHIFT })
    }

    /// Whether the backend that has the flow's backend id now is the flow's own. The entry has room for half of a generation:
    /// another backend is taken for the flow's own only if the id has been given away 65,536 times meanwhile.
    #[inline(always)]
    #[expect(clippy::cast_possible_truncation, reason = "the lower half is meant")]
    pub const fn is_of(&self, backend: &Backend) -> bool {
        backend.generation as u16 == self.backend_generation
    }

    /// The flag of an entry whose backend was chosen from this list.
    #[inline(always)]
    pub const fn flag_of(list: List) -> u8 {
        if matches!(list, List::Local) { Self::LOCAL_LIST } else { 0 }
    }

    /// The list that the backend was chosen from.
    #[inline(always)]
    pub const fn list(&self) -> List {
        if self.flags & Self::LOCAL_LIST == 0 { List::Cluster } else { List::Local }
    }

    /// Whether the last segment of this direction of an assured TCP connection was a SYN.
    #[inline(always)]
    pub const fn has_seen_syn(&self) -> bool {
        self.flags & Self::SYN_SEEN != 0
    }

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
    fn a_flow_is_as_old_as_its_first_packet() {
        let aged = |opened: u64, now| EntryMeta { opened: EntryMeta::opening(opened), ..EntryMeta::default() }.age(now);
        for opened in [64, 1 << 31, (1 << 32) - 64, 1 << 32, (1 << 38) - 6400] {
            assert_eq!(aged(opened, opened), Some(0));
            assert_eq!(aged(opened, opened + 6400), Some(6400));
            assert_eq!(aged(opened + 64, opened), Some(0), "the clock of the reader is behind");
        }
        assert_eq!(EntryMeta::default().age(1 << 40), None);
    }

    #[test]
    fn a_backend_id_that_was_given_to_another_is_not_the_flows() {
        let flow = EntryMeta { backend_generation: 7, ..EntryMeta::default() };
        let backend = |generation| Backend { generation, ..Backend::default() };
        assert!(flow.is_of(&backend(7)) && flow.is_of(&backend(7 | 1 << 16)));
        assert!(!flow.is_of(&backend(8)) && !flow.is_of(&backend(6)));
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
