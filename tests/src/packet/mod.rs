//! Packets as values: a line of Rust says what is on the wire, and [`Packet::bytes`] makes the frame with right
//! lengths and checksums. Addresses are [`Place`]s, which have an address of each family, so that one packet serves
//! for both. Every byte is built here and none pasted; the builder shares no code with what it tests.
//!
//! ```
//! use harness::{packet::{Place, tcp}, scene::Family};
//!
//! const CLIENT: Place = Place::new([192, 0, 2, 100], [0x2001, 0xdb8, 0, 0, 0, 0, 0, 0x100]);
//! let syn = tcp(CLIENT.at(40000), "192.0.2.1:30080").syn();
//! assert_eq!(syn.bytes(Family::Ipv4).len(), 14 + 20 + 20);
//! let forwarded = syn.clone().ttl(63).to("192.0.2.50:8080");
//! assert_eq!(forwarded.bytes(Family::Ipv4)[22], 63);
//! ```

pub mod association;
mod bytes;
pub mod check;
mod checksum;
mod headers;
mod icmp;
mod pending;
mod place;
mod transport;

use std::ops::Range;

pub use self::{
    checksum::{crc32c, internet_checksum, internet_sum},
    headers::{Ethernet, Extension, Mac},
    icmp::{Echo, ErrorKind},
    place::{End, Place},
    transport::{Content, Sctp, Tcp, Udp, tcp_flags},
};

/// A packet that can be built for either family.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Packet {
    /// The Ethernet header with its VLAN tags.
    pub ethernet: Ethernet,
    /// The source; its port has no meaning where `content` has no ports.
    pub source: End,
    /// The destination.
    pub destination: End,
    /// TTL or hop limit.
    pub ttl: u8,
    /// TOS or traffic class.
    pub tos: u8,
    /// The flow label; IPv6 only.
    pub flow_label: u32,
    /// IPv4's identification; IPv6 has one in fragments only.
    pub identification: u32,
    /// Whether it may be fragmented; IPv4 only.
    pub dont_fragment: bool,
    /// Options, a multiple of four bytes; IPv4 only.
    pub options: Vec<u8>,
    /// Extension headers; IPv6 only.
    pub extensions: Vec<Extension>,
    /// The bytes of the transport part that are in this packet: those of one fragment.
    pub fragment: Option<Range<usize>>,
    /// The transport header.
    pub content: Content,
    /// Bytes after the transport header.
    pub payload: Vec<u8>,
    wrong_checksum: bool,
    wrong_header_checksum: bool,
    network_patches: Vec<(usize, u8)>,
    transport_patches: Vec<(usize, u8)>,
    padding: usize,
    length: Option<usize>,
}

/// A TCP segment without flags.
pub fn tcp(source: impl Into<End>, destination: impl Into<End>) -> Packet {
    Packet::new(source.into(), destination.into(), Content::Tcp(Tcp::default()))
}

/// A UDP datagram.
pub fn udp(source: impl Into<End>, destination: impl Into<End>) -> Packet {
    Packet::new(source.into(), destination.into(), Content::Udp(Udp::default())).payload(b"question")
}

/// An SCTP packet with one INIT-like chunk.
pub fn sctp(source: impl Into<End>, destination: impl Into<End>) -> Packet {
    Packet::new(source.into(), destination.into(), Content::Sctp(Sctp::default())).payload(&[1, 0, 0, 8, 0, 0, 0, 42])
}

/// An ICMP echo request.
pub fn echo_request(source: Place, destination: Place) -> Packet {
    Packet::new(source.at(0), destination.at(0), Content::Echo(Echo::request())).payload(b"are you there?")
}

/// The reply to [`echo_request`].
pub fn echo_reply(source: Place, destination: Place) -> Packet {
    Packet::new(source.at(0), destination.at(0), Content::Echo(Echo::reply())).payload(b"are you there?")
}

/// An ICMP error about `quoted`. It carries the network headers of that packet and eight bytes more.
pub fn icmp_error(source: Place, destination: Place, kind: ErrorKind, quoted: Packet) -> Packet {
    let content = Content::Error { kind, quoted: Box::new(quoted), beyond_header: 8 };
    Packet::new(source.at(0), destination.at(0), content)
}

/// A packet of any other protocol.
pub fn other(protocol: u8, source: Place, destination: Place) -> Packet {
    Packet::new(source.at(0), destination.at(0), Content::Other { protocol }).payload(b"twenty bytes or so..")
}

impl Packet {
    fn new(source: End, destination: End, content: Content) -> Self {
        Self {
            ethernet: Ethernet::default(),
            source,
            destination,
            ttl: 64,
            tos: 0,
            flow_label: 0,
            identification: 0x1234,
            dont_fragment: true,
            options: Vec::new(),
            extensions: Vec::new(),
            fragment: None,
            content,
            payload: Vec::new(),
            wrong_checksum: false,
            wrong_header_checksum: false,
            network_patches: Vec::new(),
            transport_patches: Vec::new(),
            padding: 0,
            length: None,
        }
    }

    /// With this source.
    #[must_use]
    pub fn from(mut self, source: impl Into<End>) -> Self {
        self.source = source.into();
        self
    }

    /// With this destination.
    #[must_use]
    pub fn to(mut self, destination: impl Into<End>) -> Self {
        self.destination = destination.into();
        self
    }

    /// With this TTL or hop limit.
    #[must_use]
    pub fn ttl(mut self, ttl: u8) -> Self {
        self.ttl = ttl;
        self
    }

    /// With this TOS or traffic class.
    #[must_use]
    pub fn tos(mut self, tos: u8) -> Self {
        self.tos = tos;
        self
    }

    /// With this IPv6 flow label.
    #[must_use]
    pub fn flow_label(mut self, label: u32) -> Self {
        self.flow_label = label;
        self
    }

    /// With this identification.
    #[must_use]
    pub fn identification(mut self, identification: u32) -> Self {
        self.identification = identification;
        self
    }

    /// With permission to fragment it on its way (IPv4).
    #[must_use]
    pub fn may_fragment(mut self) -> Self {
        self.dont_fragment = false;
        self
    }

    /// With these IPv4 options: a multiple of four bytes.
    #[must_use]
    pub fn options(mut self, options: &[u8]) -> Self {
        self.options = options.to_vec();
        self
    }

    /// With one more IPv6 extension header, after those that it has.
    #[must_use]
    pub fn extension(mut self, extension: Extension) -> Self {
        self.extensions.push(extension);
        self
    }

    /// Behind these VLAN tags, the outermost first.
    #[must_use]
    pub fn vlans(mut self, tags: &[u16]) -> Self {
        self.ethernet.vlans = tags.to_vec();
        self
    }

    /// With this Ethernet header.
    #[must_use]
    pub fn ethernet(mut self, source: Mac, destination: Mac) -> Self {
        (self.ethernet.source, self.ethernet.destination) = (source, destination);
        self
    }

    /// With these bytes behind the transport header.
    #[must_use]
    pub fn payload(mut self, payload: &[u8]) -> Self {
        self.payload = payload.to_vec();
        self
    }

    /// With a payload of this many bytes.
    #[must_use]
    pub fn payload_length(mut self, length: usize) -> Self {
        #[expect(clippy::cast_possible_truncation, reason = "a pattern of bytes")]
        let pattern = (0..length).map(|index| (index * 7) as u8);
        self.payload = pattern.collect();
        self
    }

    /// The fragment with these bytes of the transport part, counted from its header on. Both ends are multiples of
    /// eight, except the end of the last fragment.
    #[must_use]
    pub fn fragment(mut self, range: Range<usize>) -> Self {
        self.fragment = Some(range);
        self.dont_fragment = false;
        self
    }

    /// The packet without fragmentation.
    #[must_use]
    pub fn whole(mut self) -> Self {
        self.fragment = None;
        self
    }

    /// With a transport checksum that is wrong by a fixed amount.
    #[must_use]
    pub fn wrong_checksum(mut self) -> Self {
        self.wrong_checksum = true;
        self
    }

    /// With an IPv4 header checksum that is wrong by a fixed amount.
    #[must_use]
    pub fn wrong_header_checksum(mut self) -> Self {
        self.wrong_header_checksum = true;
        self
    }

    /// With another byte at `offset` of the network header, whose checksum then fits.
    #[must_use]
    pub fn network_byte(mut self, offset: usize, byte: u8) -> Self {
        self.network_patches.push((offset, byte));
        self
    }

    /// With another byte at `offset` of the transport header, whose checksum then fits.
    #[must_use]
    pub fn transport_byte(mut self, offset: usize, byte: u8) -> Self {
        self.transport_patches.push((offset, byte));
        self
    }

    /// With bytes at its end that belong to no header, as short Ethernet frames have them.
    #[must_use]
    pub fn padded(mut self, bytes: usize) -> Self {
        self.padding = bytes;
        self
    }

    /// Only the first `length` bytes of the frame arrive.
    #[must_use]
    pub fn truncated(mut self, length: usize) -> Self {
        self.length = Some(length);
        self
    }
}

#[cfg(test)]
mod tests;
