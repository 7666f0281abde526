//! The transport protocols of Services: their IANA numbers and the names that Kubernetes gives them.

use core::{
    fmt::{self, Display, Formatter},
    str::FromStr,
};

/// A transport protocol of Services (S10). The number is IANA's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Protocol {
    /// RFC 9293.
    Tcp = 6,
    /// RFC 768.
    Udp = 17,
    /// RFC 9260.
    Sctp = 132,
}

/// The error for a name that is not a protocol of Services.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnknownProtocol;

impl Protocol {
    /// The protocol with this IANA number. Linux's number for MPTCP, 262, stands for TCP.
    #[inline(always)]
    pub const fn from_number(number: u32) -> Option<Self> {
        match number {
            6 | 262 => Some(Self::Tcp),
            17 => Some(Self::Udp),
            132 => Some(Self::Sctp),
            _ => None,
        }
    }

    /// The name that Kubernetes uses.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Tcp => "TCP",
            Self::Udp => "UDP",
            Self::Sctp => "SCTP",
        }
    }
}

impl Display for Protocol {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
        formatter.pad(self.name())
    }
}

impl FromStr for Protocol {
    type Err = UnknownProtocol;

    fn from_str(name: &str) -> Result<Self, UnknownProtocol> {
        [Self::Tcp, Self::Udp, Self::Sctp].into_iter().find(|protocol| protocol.name() == name).ok_or(UnknownProtocol)
    }
}

impl Display for UnknownProtocol {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
        formatter.write_str("the protocols of Services are TCP, UDP and SCTP")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn s10_each_protocol_has_its_name_and_number() {
        for protocol in [Protocol::Tcp, Protocol::Udp, Protocol::Sctp] {
            assert_eq!(protocol.name().parse(), Ok(protocol));
            assert_eq!(Protocol::from_number((protocol as u8).into()), Some(protocol));
        }
        assert_eq!("tcp".parse::<Protocol>(), Err(UnknownProtocol), "Kubernetes' names are in capitals");
        assert_eq!(Protocol::from_number(262), Some(Protocol::Tcp), "MPTCP");
    }
}
