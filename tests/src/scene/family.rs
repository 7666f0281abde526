//! The address plan of scenes, by family.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use crate::lab::Host;

/// IP family.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the variants say it")]
pub enum Family {
    Ipv4,
    Ipv6,
}

impl Family {
    /// Every family.
    pub const BOTH: [Self; 2] = [Self::Ipv4, Self::Ipv6];

    /// 4 or 6, to make names unique.
    pub const fn number(self) -> u8 {
        match self {
            Self::Ipv4 => 4,
            Self::Ipv6 => 6,
        }
    }

    /// A name that only this family's objects have.
    pub fn name(self, name: &str) -> String {
        format!("{name}-{}", self.number())
    }

    /// A host's address.
    pub fn of(self, host: &Host) -> IpAddr {
        match self {
            Self::Ipv4 => host.v4().into(),
            Self::Ipv6 => host.v6().into(),
        }
    }

    /// Address `number` of the ServiceCIDR.
    pub fn cluster_ip(self, number: u8) -> IpAddr {
        match self {
            Self::Ipv4 => Ipv4Addr::new(10, 96, 0, number).into(),
            Self::Ipv6 => Ipv6Addr::new(0xfd00, 0x96, 0, 0, 0, 0, 0, number.into()).into(),
        }
    }

    /// Address `number` of a network that does not exist, for externalIPs and load balancers.
    pub fn external_ip(self, number: u8) -> IpAddr {
        match self {
            Self::Ipv4 => Ipv4Addr::new(203, 0, 113, number).into(),
            Self::Ipv6 => Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, number.into()).into(),
        }
    }

    /// `127.0.0.1` or `::1`.
    pub const fn loopback(self) -> IpAddr {
        match self {
            Self::Ipv4 => IpAddr::V4(Ipv4Addr::LOCALHOST),
            Self::Ipv6 => IpAddr::V6(Ipv6Addr::LOCALHOST),
        }
    }

    /// `0.0.0.0` or `::`.
    pub const fn unspecified(self) -> IpAddr {
        match self {
            Self::Ipv4 => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            Self::Ipv6 => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
        }
    }

    /// Port 80 of address `number` of the ServiceCIDR.
    pub fn frontend(self, number: u8) -> SocketAddr {
        SocketAddr::new(self.cluster_ip(number), 80)
    }
}
