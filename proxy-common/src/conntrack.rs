//! CONNTRACK and HALF_OPEN: the translation of every flow that came as packets, and its life.
//!
//! A flow has two entries of the same form, one found by what the client sends and one by what the backend
//! sends. Each holds the whole translation of its direction, and the key of the other: see
//! [`Conntrack::partner`]. States and their default timeouts follow Linux's nf_conntrack.

use crate::{addr::Address, config::Protocol, pod::pod};

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

/// Who sent a packet of a flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// The client.
    Original,
    /// The backend.
    Reply,
}

/// How far a flow has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum State {
    /// The client has sent; nobody has answered.
    New = 1,
    /// The backend has answered.
    Replied = 2,
    /// Both have sent, and the client once more, in a way that shows that it has got the answer.
    Established = 3,
    /// TCP: the client has closed its side.
    ClientClosed = 4,
    /// TCP: the backend has closed its side.
    BackendClosed = 5,
    /// TCP: both sides are closed.
    Closed = 6,
    /// TCP: one side has reset the connection.
    Reset = 7,
    /// Somebody else's translation (kube-proxy's, from before Waggle came): passes untouched.
    Foreign = 8,
}

/// The flags of a TCP header that move a flow.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TcpFlags(pub u8);

impl TcpFlags {
    /// FIN.
    pub const FIN: u8 = 1;
    /// SYN.
    pub const SYN: u8 = 2;
    /// RST.
    pub const RST: u8 = 4;
    /// ACK.
    pub const ACK: u8 = 16;

    /// Whether one of `flags` is set.
    #[inline(always)]
    pub const fn has(self, flags: u8) -> bool {
        self.0 & flags != 0
    }

    /// Whether this opens a connection: SYN alone.
    #[inline(always)]
    pub const fn opens(self) -> bool {
        self.0 & (Self::SYN | Self::ACK | Self::RST | Self::FIN) == Self::SYN
    }
}

impl State {
    /// The state with this number.
    #[inline(always)]
    pub const fn from_number(number: u8) -> Self {
        match number {
            1 => Self::New,
            2 => Self::Replied,
            3 => Self::Established,
            4 => Self::ClientClosed,
            5 => Self::BackendClosed,
            6 => Self::Closed,
            8 => Self::Foreign,
            _ => Self::Reset,
        }
    }

    /// The state after a packet. `flags` are those of a TCP packet; other protocols have none.
    #[inline(always)]
    #[must_use]
    pub const fn after(self, direction: Direction, flags: TcpFlags) -> Self {
        if flags.has(TcpFlags::RST) {
            return if matches!(self, Self::Foreign) { self } else { Self::Reset };
        }
        match (self, direction, flags.has(TcpFlags::FIN)) {
            (Self::New, Direction::Reply, false) => Self::Replied,
            (Self::Replied, Direction::Original, false) if !flags.has(TcpFlags::SYN) => Self::Established,
            (Self::New | Self::Replied | Self::Established, Direction::Original, true) => Self::ClientClosed,
            (Self::New | Self::Replied | Self::Established, Direction::Reply, true) => Self::BackendClosed,
            (Self::ClientClosed, Direction::Reply, true) | (Self::BackendClosed, Direction::Original, true) => {
                Self::Closed
            }
            _ => self,
        }
    }

    /// Whether both sides have confirmed the flow.
    #[inline(always)]
    pub const fn is_settled(self) -> bool {
        !matches!(self, Self::New | Self::Replied)
    }

    /// Whether a packet that opens a connection starts a new flow in this one's place.
    #[inline(always)]
    pub const fn is_over(self) -> bool {
        matches!(self, Self::ClientClosed | Self::BackendClosed | Self::Closed | Self::Reset | Self::Foreign)
    }
}

/// How long an entry lives without a packet: Linux's nf_conntrack names. In jiffies for the programs, in seconds
/// on the command line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// A connection that nobody has answered.
    pub tcp_syn_sent: u32,
    /// A connection that the client has not confirmed.
    pub tcp_syn_received: u32,
    /// An established connection.
    pub tcp_established: u32,
    /// A connection that one side has closed.
    pub tcp_fin_wait: u32,
    /// A connection that both sides have closed.
    pub tcp_time_wait: u32,
    /// A connection that was reset.
    pub tcp_close: u32,
    /// UDP and SCTP that went one way only, or once there and back.
    pub udp: u32,
    /// UDP and SCTP that goes both ways.
    pub udp_stream: u32,
}

impl Timeouts {
    /// nf_conntrack's defaults, in seconds.
    pub const DEFAULT: Self = Self {
        tcp_syn_sent: 120,
        tcp_syn_received: 60,
        tcp_established: 432_000,
        tcp_fin_wait: 120,
        tcp_time_wait: 120,
        tcp_close: 10,
        udp: 30,
        udp_stream: 120,
    };

    /// The timeout of a flow of this protocol in this state.
    #[inline(always)]
    pub const fn of(&self, protocol: u8, state: State) -> u32 {
        if protocol != Protocol::Tcp as u8 {
            return if state.is_settled() { self.udp_stream } else { self.udp };
        }
        match state {
            State::New => self.tcp_syn_sent,
            State::Replied => self.tcp_syn_received,
            State::Established | State::Foreign => self.tcp_established,
            State::ClientClosed | State::BackendClosed => self.tcp_fin_wait,
            State::Closed => self.tcp_time_wait,
            State::Reset => self.tcp_close,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Direction::{Original, Reply};

    const NONE: TcpFlags = TcpFlags(0);
    const SYN: TcpFlags = TcpFlags(TcpFlags::SYN);
    const SYN_ACK: TcpFlags = TcpFlags(TcpFlags::SYN | TcpFlags::ACK);
    const ACK: TcpFlags = TcpFlags(TcpFlags::ACK);
    const FIN: TcpFlags = TcpFlags(TcpFlags::FIN | TcpFlags::ACK);
    const RST: TcpFlags = TcpFlags(TcpFlags::RST);

    #[test]
    fn s29_a_connection_opens_and_closes_as_nf_conntrack_has_it() {
        let steps = [
            (Original, SYN, State::New),
            (Reply, SYN_ACK, State::Replied),
            (Original, SYN, State::Replied),
            (Original, ACK, State::Established),
            (Reply, ACK, State::Established),
            (Reply, FIN, State::BackendClosed),
            (Reply, FIN, State::BackendClosed),
            (Original, ACK, State::BackendClosed),
            (Original, FIN, State::Closed),
            (Reply, ACK, State::Closed),
            (Reply, RST, State::Reset),
        ];
        let mut state = State::New;
        for (index, (direction, flags, expected)) in steps.into_iter().enumerate() {
            state = state.after(direction, flags);
            assert_eq!(state, expected, "step {index}");
        }
    }

    #[test]
    fn s29_a_datagram_flow_settles_with_the_clients_second_word() {
        assert_eq!(State::New.after(Original, NONE), State::New);
        assert_eq!(State::New.after(Reply, NONE), State::Replied);
        assert_eq!(State::Replied.after(Reply, NONE), State::Replied);
        assert_eq!(State::Replied.after(Original, NONE), State::Established);
    }

    #[test]
    fn a_blind_sender_does_not_confirm_a_connection() {
        let flow = Conntrack { handshake: u32::MAX, ..Conntrack::default() };
        assert!(flow.is_acknowledged_by(u32::MAX));
        assert!(flow.is_acknowledged_by(500), "the backend spoke first");
        assert!(!flow.is_acknowledged_by(u32::MAX - 1));
        assert!(!flow.is_acknowledged_by(1 << 31));
    }

    #[test]
    fn only_a_lone_syn_opens() {
        assert!(SYN.opens());
        for flags in [SYN_ACK, ACK, FIN, RST, TcpFlags(TcpFlags::SYN | TcpFlags::FIN)] {
            assert!(!flags.opens(), "{flags:?}");
        }
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
