//! The sequence numbers that are remembered of an assured TCP connection, and how its segments are judged by them
//! (docs/adr/0009). A segment that is not believed is passed on and changes nothing: its receiver judges it.
//!
//! The entry of each direction has the sequence number after what its sender has sent, and the sender's last acknowledgment
//! number. They take the places of generation and handshake, which only an embryonic flow needs.

use super::{Direction, EntryMeta, State, TcpFlags};

/// The numbers and flags of a TCP segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Segment {
    /// Its sequence number.
    pub start: u32,
    /// The sequence number that follows it.
    pub end: u32,
    /// Its acknowledgment number. Meaningless without the flag ACK.
    pub acknowledgment: u32,
    /// Its flags.
    pub flags: TcpFlags,
}

/// The meaning of a segment that ends, closes or accepts a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Judgement {
    /// The connection moves to this state.
    Transition(State),
    /// The segment is a late duplicate, or forged, and changes nothing.
    Ignored,
    /// The segment accepts a connection whose opening did not pass through this node.
    OtherConnection,
}

/// The largest distance between two current numbers of a connection: 16 MiB, more than the windows that systems use by default.
const MAX_DISTANCE: u32 = 1 << 24;

/// Whether a number is new: neither the known one nor just a little behind it.
#[inline(always)]
const fn is_new(known: u32, now: u32) -> bool {
    known.wrapping_sub(now) >= MAX_DISTANCE
}

impl TcpFlags {
    /// Whether a segment with these flags needs [`EntryMeta::judge`] in an assured connection.
    #[inline(always)]
    pub const fn is_event(self) -> bool {
        self.has(Self::RST | Self::FIN) || self.accepts()
    }
}

impl EntryMeta {
    /// The sequence number after what this direction has sent.
    #[inline(always)]
    const fn sent(&self) -> u32 {
        self.service_generation
    }

    /// The last acknowledgment number of this direction.
    #[inline(always)]
    const fn acknowledged(&self) -> u32 {
        self.handshake
    }

    #[inline(always)]
    const fn set_sent(&mut self, sent: u32, acknowledged: u32) {
        (self.service_generation, self.handshake) = (sent, acknowledged);
    }

    /// Starts the sequence numbers with this segment of this direction, which makes the connection assured.
    #[inline(always)]
    pub const fn begin(&mut self, segment: &Segment) {
        self.set_sent(segment.end, segment.acknowledgment);
        self.flags &= !Self::SYN_SEEN;
    }

    /// Turns the numbers of one direction into those of the other: what one side has acknowledged, the other has sent.
    #[inline(always)]
    pub const fn mirror(&mut self) {
        self.set_sent(self.acknowledged(), self.sent());
        self.flags &= !Self::SYN_SEEN;
    }

    /// Notes the numbers of a segment of this direction. Returns whether they have changed. Numbers a little behind the known
    /// ones are those of an old segment. All others are believed, so that the next genuine segment ends the effect of a forged
    /// one.
    #[inline(always)]
    #[must_use]
    pub const fn note(&mut self, segment: &Segment) -> bool {
        if segment.flags.opens() {
            self.flags |= Self::SYN_SEEN;
            self.set_sent(segment.end, self.acknowledged());
            return true;
        }
        if !segment.flags.has(TcpFlags::ACK) {
            return false;
        }
        if self.has_seen_syn() || segment.flags.has(TcpFlags::SYN) {
            self.begin(segment);
            return true;
        }
        let (sends, acknowledges) = self.new_numbers(segment);
        if sends {
            self.service_generation = segment.end;
        }
        if acknowledges {
            self.handshake = segment.acknowledgment;
        }
        sends || acknowledges
    }

    /// Whether a segment sends something new, and whether it acknowledges something new.
    #[inline(always)]
    pub(super) const fn new_numbers(&self, segment: &Segment) -> (bool, bool) {
        (is_new(self.sent(), segment.end), is_new(self.acknowledged(), segment.acknowledgment))
    }

    /// Whether a segment of this direction is an ordinary one of an established connection, as most are: it has ACK, opens and
    /// ends nothing, and does not follow a SYN.
    #[inline(always)]
    pub const fn is_plain(&self, flags: TcpFlags) -> bool {
        const EVENTS: u8 = TcpFlags::SYN | TcpFlags::FIN | TcpFlags::RST;
        !self.has_seen_syn() && flags.0 & (EVENTS | TcpFlags::ACK) == TcpFlags::ACK
    }

    /// Judges a segment of this direction of an assured connection that is an event ([`TcpFlags::is_event`]). `other` is the
    /// metadata of the other direction.
    #[inline(always)]
    pub const fn judge(&self, other: &Self, segment: &Segment) -> Judgement {
        let (state, flags) = (self.state(), segment.flags);
        if flags.has(TcpFlags::RST) {
            return if self.is_reset(other, segment) {
                Judgement::Transition(State::Reset)
            } else {
                Judgement::Ignored
            };
        }
        if flags.accepts() {
            if other.has_seen_syn() && segment.acknowledgment == other.sent() {
                return Judgement::Transition(State::Established);
            }
            let again = !state.is_over(true) && segment.end == self.sent();
            return if again { Judgement::Transition(state) } else { Judgement::OtherConnection };
        }
        let direction = if self.flags & Self::REPLY == 0 { Direction::Original } else { Direction::Reply };
        let is_in_window = segment.end.wrapping_sub(other.acknowledged()) < MAX_DISTANCE;
        let acknowledges = flags.has(TcpFlags::ACK) && other.sent().wrapping_sub(segment.acknowledgment) < MAX_DISTANCE;
        if is_in_window && acknowledges {
            Judgement::Transition(state.after(direction, flags))
        } else {
            Judgement::Ignored
        }
    }

    /// Whether a reset is believed. Its number has to be the one that the receiver expects next, or the one after what this
    /// direction has just sent if both entries agree on that. Or it has to answer a SYN that was passed on.
    #[inline(always)]
    const fn is_reset(&self, other: &Self, segment: &Segment) -> bool {
        if other.has_seen_syn() && segment.start == 0 && segment.flags.has(TcpFlags::ACK) {
            return segment.acknowledgment == other.sent();
        }
        let follows = !self.has_seen_syn()
            && segment.start == self.sent()
            && segment.start.wrapping_sub(other.acknowledged()) < MAX_DISTANCE
            && other.sent().wrapping_sub(self.acknowledged()) < MAX_DISTANCE;
        segment.start == other.acknowledged() || follows
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ACK: u8 = TcpFlags::ACK;
    const RST: u8 = TcpFlags::RST;
    const FIN: u8 = TcpFlags::FIN;
    const SYN: u8 = TcpFlags::SYN;

    fn segment(start: u32, length: u32, acknowledgment: u32, flags: u8) -> Segment {
        let phantom = u32::from(flags & (SYN | FIN) != 0);
        Segment { start, end: start.wrapping_add(length + phantom), acknowledgment, flags: TcpFlags(flags) }
    }

    /// A connection right after its handshake. The next numbers are `client` and `backend`.
    fn open(client: u32, backend: u32) -> [EntryMeta; 2] {
        let mut meta = EntryMeta { state: State::Established as u8, ..EntryMeta::default() };
        meta.begin(&segment(client, 0, backend, ACK));
        let mut other = EntryMeta { flags: EntryMeta::REPLY, ..meta };
        other.mirror();
        [meta, other]
    }

    /// Both directions of connections with numbers at the edges and in the middle of the 32-bit range.
    fn connections() -> impl Iterator<Item = (u32, u32, [EntryMeta; 2])> {
        let numbers = [0, 1, 1 << 31, u32::MAX, u32::MAX - 5, 77_000];
        numbers.into_iter().flat_map(move |client| numbers.map(|backend| (client, backend, open(client, backend))))
    }

    const RESETS: Judgement = Judgement::Transition(State::Reset);

    #[test]
    fn s40_a_reset_counts_that_the_receiver_waits_for() {
        for (client, backend, [own, other]) in connections() {
            assert_eq!(own.judge(&other, &segment(client, 0, 0, RST)), RESETS);
            assert_eq!(other.judge(&own, &segment(backend, 0, client, RST | ACK)), RESETS);
            for wrong in [1 << 31, 1 << 30, 1 << 20, 1, 1_u32.wrapping_neg(), 5_000_u32.wrapping_neg()] {
                assert_eq!(own.judge(&other, &segment(client.wrapping_add(wrong), 0, 0, RST)), Judgement::Ignored);
                let forged = segment(backend.wrapping_add(wrong), 0, client, RST | ACK);
                assert_eq!(other.judge(&own, &forged), Judgement::Ignored);
            }
        }
    }

    #[test]
    fn s40_a_reset_counts_that_follows_what_has_just_been_sent() {
        for (client, backend, [mut own, other]) in connections() {
            assert!(own.note(&segment(client, 5000, backend, ACK)));
            assert_eq!(own.judge(&other, &segment(client.wrapping_add(5000), 0, 0, RST)), RESETS);
            // Neither a retransmission nor a keep-alive probe moves the number back.
            assert!(!own.note(&segment(client, 100, backend, ACK)));
            assert_eq!(own.judge(&other, &segment(client.wrapping_add(5000), 0, 0, RST)), RESETS);
            // A forged segment does not make the reset after it believable.
            let far = client.wrapping_add(1 << 30);
            assert!(own.note(&segment(far, 10, backend, ACK)));
            assert_eq!(own.judge(&other, &segment(far.wrapping_add(10), 0, 0, RST)), Judgement::Ignored);
            // The next genuine segment restores the number.
            assert!(own.note(&segment(client, 6000, backend, ACK)));
            assert_eq!(own.judge(&other, &segment(client.wrapping_add(6000), 0, 0, RST)), RESETS);
        }
    }

    #[test]
    fn s40_a_syn_lets_only_its_own_reply_count() {
        for (client, backend, [mut own, mut other]) in connections() {
            let isn = client.wrapping_add(12_345_678);
            assert!(own.note(&segment(isn, 0, 0, SYN)));
            // Neither the SYN's sender nor a sender that forges the backend's address can end the connection now.
            let after = isn.wrapping_add(1);
            assert_eq!(own.judge(&other, &segment(after, 0, 0, RST)), Judgement::Ignored);
            assert_eq!(other.judge(&own, &segment(0, 0, after ^ 1, RST | ACK)), Judgement::Ignored);
            // A backend that has forgotten the connection refuses the new one, or accepts it.
            assert_eq!(other.judge(&own, &segment(0, 0, after, RST | ACK)), RESETS);
            other.state = State::ClientFinished as u8;
            let accepts = segment(9, 0, after, SYN | ACK);
            assert_eq!(other.judge(&own, &accepts), Judgement::Transition(State::Established));
            assert!(other.note(&accepts));
            // A backend that has not forgotten it sends a challenge ACK. The client's reply resets the old connection.
            let [mut own, mut other] = open(client, backend);
            assert!(own.note(&segment(isn, 0, 0, SYN)));
            assert!(!other.note(&segment(backend, 0, client, ACK)));
            assert_eq!(own.judge(&other, &segment(client, 0, 0, RST)), RESETS);
        }
    }

    #[test]
    fn s40_a_fin_counts_if_its_numbers_fit() {
        for (client, backend, [mut own, other]) in connections() {
            let fin = |start: u32, acknowledgment| segment(start, 10, acknowledgment, FIN | ACK);
            let closed = Judgement::Transition(State::ClientClosed);
            assert_eq!(own.judge(&other, &fin(client, backend)), closed);
            assert_eq!(own.judge(&other, &fin(client.wrapping_add(100_000), backend)), closed, "behind lost data");
            assert_eq!(own.judge(&other, &fin(client.wrapping_sub(1000), backend)), Judgement::Ignored);
            assert_eq!(own.judge(&other, &fin(client.wrapping_add(1 << 31), backend)), Judgement::Ignored);
            assert_eq!(own.judge(&other, &fin(client, backend.wrapping_add(1))), Judgement::Ignored);
            own.state = State::BackendFinished as u8;
            assert_eq!(own.judge(&other, &fin(client, backend)), Judgement::Transition(State::Closed));
        }
    }

    #[test]
    fn s28_a_connection_that_came_another_way_is_a_stranger() {
        for (client, backend, [own, other]) in connections() {
            let accepts = |backend: u32, client: u32| segment(backend, 0, client, SYN | ACK);
            assert_eq!(other.judge(&own, &accepts(backend.wrapping_add(99), client)), Judgement::OtherConnection);
            // The backend repeats its SYN-ACK, since the client's ACK was lost.
            let again = accepts(backend.wrapping_sub(1), client);
            assert_eq!(other.judge(&own, &again), Judgement::Transition(State::Established));
        }
    }
}
