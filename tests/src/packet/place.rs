//! Hosts by name: one value has an address of each family.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use crate::scene::Family;

/// A host, or an address that a Service has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    v4: Option<Ipv4Addr>,
    v6: Option<Ipv6Addr>,
}

/// A port of a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct End {
    /// The place.
    pub place: Place,
    /// The port.
    pub port: u16,
}

impl Place {
    /// A place with these two addresses.
    pub const fn new(v4: [u8; 4], v6: [u16; 8]) -> Self {
        let [a, b, c, d] = v4;
        let [s, t, u, v, w, x, y, z] = v6;
        Self { v4: Some(Ipv4Addr::new(a, b, c, d)), v6: Some(Ipv6Addr::new(s, t, u, v, w, x, y, z)) }
    }

    /// A port of it.
    pub const fn at(self, port: u16) -> End {
        End { place: self, port }
    }

    /// Whether it has an address of this family.
    pub const fn has(self, family: Family) -> bool {
        match family {
            Family::Ipv4 => self.v4.is_some(),
            Family::Ipv6 => self.v6.is_some(),
        }
    }

    /// The place's address of this family.
    ///
    /// # Panics
    /// If it has none: the packet is then for the other family only.
    pub fn address(self, family: Family) -> IpAddr {
        let address = match family {
            Family::Ipv4 => self.v4.map(IpAddr::V4),
            Family::Ipv6 => self.v6.map(IpAddr::V6),
        };
        address.expect("the place has an address of this family")
    }
}

impl End {
    /// As a socket address of this family.
    pub fn socket(self, family: Family) -> SocketAddr {
        SocketAddr::new(self.place.address(family), self.port)
    }
}

impl From<IpAddr> for Place {
    fn from(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(v4) => Self { v4: Some(v4), v6: None },
            IpAddr::V6(v6) => Self { v4: None, v6: Some(v6) },
        }
    }
}

impl From<SocketAddr> for End {
    fn from(socket: SocketAddr) -> Self {
        Place::from(socket.ip()).at(socket.port())
    }
}

impl From<&str> for End {
    /// Reads `192.0.2.1:80` or `[2001:db8::1]:80`.
    fn from(text: &str) -> Self {
        text.parse::<SocketAddr>().expect("an address and a port").into()
    }
}
