//! ICMP and ICMPv6: echo, and errors that quote a packet (RFC 792, RFC 4443).

use crate::scene::Family;

/// An echo request or reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Echo {
    /// Request or reply.
    pub request: bool,
    /// Identifier.
    pub identifier: u16,
    /// Sequence number.
    pub sequence: u16,
}

impl Echo {
    pub(super) fn request() -> Self {
        Self { request: true, identifier: 77, sequence: 3 }
    }

    pub(super) fn reply() -> Self {
        Self { request: false, ..Self::request() }
    }

    pub(super) fn header(self, family: Family) -> Vec<u8> {
        let kind = match (family, self.request) {
            (Family::Ipv4, true) => 8,
            (Family::Ipv4, false) => 0,
            (Family::Ipv6, true) => 128,
            (Family::Ipv6, false) => 129,
        };
        let mut header = vec![kind, 0, 0, 0];
        header.extend(self.identifier.to_be_bytes());
        header.extend(self.sequence.to_be_bytes());
        header
    }
}

/// The meaning of an ICMP error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorKind {
    /// No socket listens on the port.
    PortUnreachable,
    /// The host does not answer.
    HostUnreachable,
    /// Fragmentation needed, or packet too big: the size that fits.
    TooBig(u16),
    /// The hop limit has run out.
    TimeExceeded,
    /// Any other: the source is asked to slow down, or a parameter is wrong.
    ParameterProblem,
}

impl ErrorKind {
    pub(super) fn header(self, family: Family) -> Vec<u8> {
        let (kind, code) = match (family, self) {
            (Family::Ipv4, Self::PortUnreachable) => (3, 3),
            (Family::Ipv4, Self::HostUnreachable) => (3, 1),
            (Family::Ipv4, Self::TooBig(_)) => (3, 4),
            (Family::Ipv4, Self::TimeExceeded) => (11, 0),
            (Family::Ipv4, Self::ParameterProblem) => (12, 0),
            (Family::Ipv6, Self::PortUnreachable) => (1, 4),
            (Family::Ipv6, Self::HostUnreachable) => (1, 3),
            (Family::Ipv6, Self::TooBig(_)) => (2, 0),
            (Family::Ipv6, Self::TimeExceeded) => (3, 0),
            (Family::Ipv6, Self::ParameterProblem) => (4, 0),
        };
        let mut header = vec![kind, code, 0, 0, 0, 0];
        header.extend(if let Self::TooBig(size) = self { size.to_be_bytes() } else { [0, 0] });
        header
    }
}
