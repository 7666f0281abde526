//! The states of a flow, and the packets that move it from one to the next. They follow Linux's nf_conntrack
//! (`net/netfilter/nf_conntrack_proto_tcp.c`), but are fewer, since no windows are checked here.

/// The direction of a packet of a flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// From the client to the backend.
    Original,
    /// From the backend to the client.
    Reply,
}

/// The state of a flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum State {
    /// The client has sent; the backend has not replied.
    New = 1,
    /// The backend has replied.
    Replied = 2,
    /// The client has sent again, and has shown that it got the backend's reply.
    Established = 3,
    /// TCP: the client has closed its side; the backend has not acknowledged that.
    ClientClosed = 4,
    /// TCP: the backend has closed its side; the client has not acknowledged that.
    BackendClosed = 5,
    /// TCP: both sides are closed.
    Closed = 6,
    /// TCP: one side has reset the connection.
    Reset = 7,
    /// A flow that Waggle does not translate (kube-proxy does, or netfilter): its packets pass untouched.
    Foreign = 8,
    /// TCP: the client has closed its side, and the backend may continue to send.
    ClientFinished = 9,
    /// TCP: the backend has closed its side, and the client may continue to send.
    BackendFinished = 10,
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

    /// Whether this accepts a connection: SYN and ACK.
    #[inline(always)]
    pub const fn accepts(self) -> bool {
        self.0 & (Self::SYN | Self::ACK | Self::RST | Self::FIN) == Self::SYN | Self::ACK
    }

    /// Whether this opens a connection: SYN alone.
    #[inline(always)]
    pub const fn opens(self) -> bool {
        self.0 & (Self::SYN | Self::ACK | Self::RST | Self::FIN) == Self::SYN
    }
}

impl State {
    /// Every state.
    pub const ALL: [Self; 10] = [
        Self::New,
        Self::Replied,
        Self::Established,
        Self::ClientFinished,
        Self::ClientClosed,
        Self::BackendFinished,
        Self::BackendClosed,
        Self::Closed,
        Self::Reset,
        Self::Foreign,
    ];

    /// The label of its metric.
    pub const fn label(self) -> &'static str {
        match self {
            Self::New => "new",
            Self::Replied => "replied",
            Self::Established => "established",
            Self::ClientFinished => "client_finished",
            Self::ClientClosed => "client_closed",
            Self::BackendFinished => "backend_finished",
            Self::BackendClosed => "backend_closed",
            Self::Closed => "closed",
            Self::Reset => "reset",
            Self::Foreign => "foreign",
        }
    }

    /// The state with this number; [`State::Reset`] if there is none.
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
            9 => Self::ClientFinished,
            10 => Self::BackendFinished,
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
            (Self::ClientClosed | Self::ClientFinished, Direction::Reply, true)
            | (Self::BackendClosed | Self::BackendFinished, Direction::Original, true) => Self::Closed,
            (Self::ClientClosed, Direction::Reply, false) => Self::ClientFinished,
            (Self::BackendClosed, Direction::Original, false) if !flags.has(TcpFlags::SYN) => Self::BackendFinished,
            _ => self,
        }
    }

    /// The state after a packet of an embryonic flow. A reset does not end a handshake that continues, since it is not
    /// known yet whether the reset was genuine.
    #[inline(always)]
    #[must_use]
    pub const fn after_embryonic(self, direction: Direction, flags: TcpFlags) -> Self {
        let is_plain = !flags.has(TcpFlags::SYN | TcpFlags::RST | TcpFlags::FIN);
        match (self, direction) {
            (Self::Reset, Direction::Reply) if flags.accepts() => Self::Replied,
            (Self::Reset, Direction::Original) if flags.has(TcpFlags::ACK) && is_plain => Self::Established,
            _ => self.after(direction, flags),
        }
    }

    /// Whether the flow is assured (IPS_ASSURED): both sides have confirmed it.
    #[inline(always)]
    pub const fn is_assured(self) -> bool {
        !matches!(self, Self::New | Self::Replied)
    }

    /// Whether a packet that opens a connection replaces this flow by a new one. A flow with one side closed is kept if it
    /// `may_be_half_closed`, which is for assured TCP flows.
    #[inline(always)]
    pub const fn is_over(self, may_be_half_closed: bool) -> bool {
        match self {
            Self::Closed | Self::Reset | Self::Foreign => true,
            Self::ClientClosed | Self::BackendClosed | Self::ClientFinished | Self::BackendFinished => {
                !may_be_half_closed
            }
            Self::New | Self::Replied | Self::Established => false,
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
            (Original, ACK, State::BackendFinished),
            (Reply, FIN, State::BackendFinished),
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
    fn s29_a_datagram_flow_is_assured_with_the_clients_second_word() {
        assert_eq!(State::New.after(Original, NONE), State::New);
        assert_eq!(State::New.after(Reply, NONE), State::Replied);
        assert_eq!(State::Replied.after(Reply, NONE), State::Replied);
        assert_eq!(State::Replied.after(Original, NONE), State::Established);
    }

    #[test]
    fn only_a_lone_syn_opens() {
        assert!(SYN.opens() && !SYN.accepts());
        assert!(SYN_ACK.accepts());
        for flags in [SYN_ACK, ACK, FIN, RST, TcpFlags(TcpFlags::SYN | TcpFlags::FIN)] {
            assert!(!flags.opens(), "{flags:?}");
        }
    }
}
