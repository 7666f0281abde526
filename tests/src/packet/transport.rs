//! The content of an IP packet: TCP, UDP, SCTP, ICMP and others, and the settings that only one of them has.

use super::{
    Packet,
    icmp::{Echo, ErrorKind},
};

/// Bits of the TCP header.
#[expect(missing_docs, reason = "RFC 9293 §3.1 has them")]
pub mod tcp_flags {
    pub const FIN: u8 = 1;
    pub const SYN: u8 = 2;
    pub const RST: u8 = 4;
    pub const PSH: u8 = 8;
    pub const ACK: u8 = 16;
    pub const ECE: u8 = 64;
    pub const CWR: u8 = 128;
}

/// What a packet carries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Content {
    /// TCP.
    Tcp(Tcp),
    /// UDP.
    Udp(Udp),
    /// SCTP.
    Sctp(Sctp),
    /// ICMP echo.
    Echo(Echo),
    /// An ICMP error.
    Error {
        /// The error's meaning.
        kind: ErrorKind,
        /// The packet that the error is about.
        quoted: Box<Packet>,
        /// How many bytes it quotes behind that packet's network headers.
        beyond_header: usize,
    },
    /// Anything else: the payload only.
    Other {
        /// The protocol number.
        protocol: u8,
    },
}

/// A TCP header without ports.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tcp {
    /// Sequence number.
    pub sequence: u32,
    /// Acknowledgement number.
    pub acknowledgement: u32,
    /// [`tcp_flags`].
    pub flags: u8,
    /// Window.
    pub window: u16,
    /// Options: a multiple of four bytes.
    pub options: Vec<u8>,
}

/// A UDP header without ports.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Udp {
    /// The checksum is 0: not computed.
    pub no_checksum: bool,
}

/// An SCTP header without ports.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sctp {
    /// Verification tag.
    pub tag: u32,
}

impl Packet {
    fn tcp(&mut self) -> &mut Tcp {
        match &mut self.content {
            Content::Tcp(tcp) => tcp,
            other => panic!("not TCP: {other:?}"),
        }
    }

    /// With these [`tcp_flags`], and no others.
    #[must_use]
    pub fn flags(mut self, flags: u8) -> Self {
        self.tcp().flags = flags;
        self
    }

    /// The first segment of a connection.
    #[must_use]
    pub fn syn(self) -> Self {
        self.flags(tcp_flags::SYN).sequence(1000, 0)
    }

    /// The server's SYN-ACK to [`Packet::syn`].
    #[must_use]
    pub fn syn_ack(self) -> Self {
        self.flags(tcp_flags::SYN | tcp_flags::ACK).sequence(5000, 1001)
    }

    /// A plain segment of an open connection.
    #[must_use]
    pub fn ack(self) -> Self {
        self.flags(tcp_flags::ACK).sequence(1001, 5001)
    }

    /// A segment with data.
    #[must_use]
    pub fn data(self) -> Self {
        self.flags(tcp_flags::ACK | tcp_flags::PSH).sequence(1001, 5001).payload(b"GET / HTTP/1.1\r\n\r\n")
    }

    /// The last segment of its sender, a FIN.
    #[must_use]
    pub fn fin(self) -> Self {
        self.flags(tcp_flags::FIN | tcp_flags::ACK).sequence(1019, 5001)
    }

    /// A reset.
    #[must_use]
    pub fn rst(self) -> Self {
        self.flags(tcp_flags::RST).sequence(1001, 0)
    }

    /// With these sequence and acknowledgement numbers.
    #[must_use]
    pub fn sequence(mut self, sequence: u32, acknowledgement: u32) -> Self {
        let tcp = self.tcp();
        (tcp.sequence, tcp.acknowledgement) = (sequence, acknowledgement);
        if tcp.window == 0 {
            tcp.window = 29_200;
        }
        self
    }

    /// With this window.
    #[must_use]
    pub fn window(mut self, window: u16) -> Self {
        self.tcp().window = window;
        self
    }

    /// With these TCP options: a multiple of four bytes.
    #[must_use]
    pub fn tcp_options(mut self, options: &[u8]) -> Self {
        self.tcp().options = options.to_vec();
        self
    }

    /// SCTP with this verification tag.
    #[must_use]
    pub fn tag(mut self, tag: u32) -> Self {
        self.content = Content::Sctp(Sctp { tag });
        self
    }

    /// SCTP with one chunk of this type and these flags. The chunk has eight bytes; the last four are `word`, which is
    /// the initiate tag of INIT and INIT ACK.
    #[must_use]
    pub fn chunk(self, kind: u8, flags: u8, word: u32) -> Self {
        let [a, b, c, d] = word.to_be_bytes();
        self.payload(&[kind, flags, 0, 8, a, b, c, d])
    }

    /// UDP with checksum 0.
    #[must_use]
    pub fn no_checksum(mut self) -> Self {
        self.content = Content::Udp(Udp { no_checksum: true });
        self
    }

    /// An ICMP error that quotes this many bytes behind the quoted packet's network headers.
    ///
    /// # Panics
    /// If the packet is no ICMP error.
    #[must_use]
    pub fn quoting(mut self, bytes: usize) -> Self {
        match &mut self.content {
            Content::Error { beyond_header, .. } => *beyond_header = bytes,
            other => panic!("not an ICMP error: {other:?}"),
        }
        self
    }

    /// Turns an echo request into its reply and the other way round.
    #[must_use]
    pub fn answered(mut self) -> Self {
        std::mem::swap(&mut self.source, &mut self.destination);
        if let Content::Echo(echo) = &mut self.content {
            echo.request = !echo.request;
        }
        self
    }
}
