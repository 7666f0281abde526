//! A list of backends in few bytes: a cluster has a hundred thousand of them, and a `SocketAddr` takes 32 bytes.

use std::{
    fmt,
    net::{IpAddr, SocketAddr},
    ops::Range,
};

use proxy_common::Address;

/// Backends in the order in which they were collected.
#[derive(Clone, PartialEq, Eq)]
pub struct BackendList(Packed);

/// Addresses and ports in network byte order.
#[derive(Clone, PartialEq, Eq)]
enum Packed {
    /// All are IPv4.
    Ipv4(Box<[[u8; 6]]>),
    /// Some are IPv6; IPv4 addresses are IPv4-mapped.
    Any(Box<[[u8; 18]]>),
}

impl BackendList {
    /// Returns the number of backends.
    pub fn len(&self) -> usize {
        match &self.0 {
            Packed::Ipv4(all) => all.len(),
            Packed::Any(all) => all.len(),
        }
    }

    /// Whether there are no backends.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns the backends in order.
    pub fn iter(&self) -> Iter<'_> {
        Iter { list: self, left: 0..self.len() }
    }

    /// Whether `backend` is one of a sorted list.
    pub fn contains_sorted(&self, backend: SocketAddr) -> bool {
        let (mut low, mut high) = (0, self.len());
        while low < high {
            let middle = low.midpoint(high);
            if self.get(middle) < backend { low = middle + 1 } else { high = middle }
        }
        low < self.len() && self.get(low) == backend
    }

    fn get(&self, index: usize) -> SocketAddr {
        match &self.0 {
            Packed::Ipv4(all) => {
                let [a, b, c, d, port @ ..] = all[index];
                SocketAddr::from(([a, b, c, d], u16::from_be_bytes(port)))
            }
            Packed::Any(all) => {
                let (address, port) = all[index].split_at(16);
                let address: [u8; 16] = address.try_into().unwrap_or_default();
                let port = u16::from_be_bytes(port.try_into().unwrap_or_default());
                SocketAddr::new(IpAddr::from(Address::from(IpAddr::from(address))), port)
            }
        }
    }
}

impl Default for BackendList {
    fn default() -> Self {
        Self(Packed::Ipv4(Box::default()))
    }
}

impl FromIterator<SocketAddr> for BackendList {
    fn from_iter<I: IntoIterator<Item = SocketAddr>>(backends: I) -> Self {
        let backends: Vec<SocketAddr> = backends.into_iter().collect();
        let ipv4 = backends.iter().map(|backend| match backend.ip() {
            IpAddr::V4(address) => {
                let ([a, b, c, d], [high, low]) = (address.octets(), backend.port().to_be_bytes());
                Some([a, b, c, d, high, low])
            }
            IpAddr::V6(_) => None,
        });
        Self(ipv4.collect::<Option<_>>().map_or_else(|| Packed::Any(backends.iter().map(wide).collect()), Packed::Ipv4))
    }
}

fn wide(backend: &SocketAddr) -> [u8; 18] {
    let address = match backend.ip() {
        IpAddr::V4(address) => address.to_ipv6_mapped(),
        IpAddr::V6(address) => address,
    };
    let mut bytes = [0; 18];
    bytes[..16].copy_from_slice(&address.octets());
    bytes[16..].copy_from_slice(&backend.port().to_be_bytes());
    bytes
}

impl fmt::Debug for BackendList {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self).finish()
    }
}

impl<'a> IntoIterator for &'a BackendList {
    type Item = SocketAddr;
    type IntoIter = Iter<'a>;

    fn into_iter(self) -> Iter<'a> {
        self.iter()
    }
}

/// Iterates over a [`BackendList`].
#[derive(Clone, Debug)]
pub struct Iter<'a> {
    list: &'a BackendList,
    left: Range<usize>,
}

impl Iterator for Iter<'_> {
    type Item = SocketAddr;

    fn next(&mut self) -> Option<SocketAddr> {
        self.left.next().map(|index| self.list.get(index))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.left.size_hint()
    }
}

impl ExactSizeIterator for Iter<'_> {}

#[cfg(test)]
mod tests {
    use std::net::Ipv6Addr;

    use proptest::prelude::*;

    use super::*;

    fn any_backend() -> impl Strategy<Value = SocketAddr> {
        let address = prop_oneof![
            any::<[u8; 4]>().prop_map(IpAddr::from),
            any::<u128>().prop_map(|bits| IpAddr::from(Ipv6Addr::from(bits | 1 << 127))),
        ];
        (address, any::<u16>()).prop_map(|(address, port)| SocketAddr::new(address, port))
    }

    proptest! {
        #[test]
        fn a_list_holds_what_was_collected(
            backends in prop::collection::btree_set(any_backend(), 0..9),
            other in any_backend(),
        ) {
            let list: BackendList = backends.iter().copied().collect();
            prop_assert!(list.iter().eq(backends.iter().copied()));
            prop_assert_eq!((list.len(), list.is_empty()), (backends.len(), backends.is_empty()));
            prop_assert!(backends.iter().all(|backend| list.contains_sorted(*backend)));
            prop_assert_eq!(list.contains_sorted(other), backends.contains(&other));
            prop_assert_eq!(format!("{list:?}"), format!("{:?}", Vec::from_iter(&backends)));
        }
    }

    #[test]
    fn all_lists_without_backends_are_equal() {
        assert_eq!(BackendList::from_iter([]), BackendList::default());
    }
}
