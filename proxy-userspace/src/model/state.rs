//! A Service with its EndpointSlices, as the model keeps them.

use std::{
    collections::BTreeSet,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    sync::Arc,
};

use super::{
    endpoints::{ParsedEndpoint, Slice},
    faults::Faults,
    service::ParsedService,
};
use crate::desired::Family;

/// The lowest and the highest of some addresses of a family, by their first 64 bits, which are all of IPv4.
#[derive(Clone, Copy, Debug)]
struct Span {
    low: u64,
    high: u64,
}

impl Default for Span {
    /// The span of no addresses.
    fn default() -> Self {
        Self { low: u64::MAX, high: 0 }
    }
}

impl Span {
    fn of(addresses: impl Iterator<Item = IpAddr>) -> Self {
        addresses
            .map(first_bits)
            .fold(Self::default(), |Self { low, high }, bits| Self { low: low.min(bits), high: high.max(bits) })
    }

    /// Whether one of `addresses` may be in it.
    fn is_near(self, family: Family, addresses: &BTreeSet<IpAddr>) -> bool {
        let (low, high): (IpAddr, IpAddr) = match family {
            Family::Ipv4 => (ipv4(self.low), ipv4(self.high)),
            Family::Ipv6 => (ipv6(self.low, 0), ipv6(self.high, u64::MAX)),
        };
        self.low <= self.high && addresses.range(low..=high).next().is_some()
    }
}

fn first_bits(address: IpAddr) -> u64 {
    match address {
        IpAddr::V4(address) => u32::from(address).into(),
        IpAddr::V6(address) => (u128::from(address) >> 64) as u64,
    }
}

fn ipv4(bits: u64) -> IpAddr {
    Ipv4Addr::from(u32::try_from(bits).unwrap_or(u32::MAX)).into()
}

fn ipv6(first: u64, last: u64) -> IpAddr {
    Ipv6Addr::from(u128::from(first) << 64 | u128::from(last)).into()
}

/// A Service and its EndpointSlices; either may be missing.
#[derive(Debug, Default)]
pub(super) struct ServiceState {
    pub(super) spec: Option<Box<ParsedService>>,
    pub(super) faults: Faults,
    /// Sorted by name.
    slices: Vec<(Arc<str>, Slice)>,
    /// Where the endpoint addresses of each family lie. With them, a search for an address skips nearly every Service without
    /// following a pointer.
    spans: [Span; 2],
}

impl ServiceState {
    /// Whether it has no spec, no faults and no slices.
    pub(super) fn is_empty(&self) -> bool {
        self.spec.is_none() && self.faults.is_empty() && self.slices.is_empty()
    }

    /// Returns its slices by name.
    pub(super) fn slices(&self) -> impl Iterator<Item = (&str, &Slice)> {
        self.slices.iter().map(|(name, slice)| (name.as_ref(), slice))
    }

    /// Returns the slice named `name`.
    pub(super) fn slice(&self, name: &str) -> Option<&Slice> {
        self.slices().find(|(other, _)| *other == name).map(|(_, slice)| slice)
    }

    /// Returns the endpoints of all its slices.
    pub(super) fn endpoints(&self) -> impl Iterator<Item = &ParsedEndpoint> + Clone {
        self.slices.iter().flat_map(|(_, slice)| slice.endpoints.iter())
    }

    /// Whether one of its endpoints has one of `addresses`.
    pub(super) fn has_endpoint_in(&self, addresses: &BTreeSet<IpAddr>) -> bool {
        let is_near = |(family, span): (Family, &Span)| span.is_near(family, addresses);
        [Family::Ipv4, Family::Ipv6].into_iter().zip(&self.spans).any(is_near)
            && self.endpoints().any(|endpoint| addresses.contains(&endpoint.address))
    }

    /// Adds or replaces a slice. Returns whether anything changed.
    pub(super) fn put_slice(&mut self, name: Arc<str>, slice: Slice) -> bool {
        match self.slices.binary_search_by(|(other, _)| other.cmp(&name)) {
            Ok(place) if self.slices[place].1 == slice => return false,
            Ok(place) => self.slices[place].1 = slice,
            Err(place) => {
                // Nearly every Service has one slice, so the list gets no spare capacity.
                self.slices.reserve_exact(1);
                self.slices.insert(place, (name, slice));
            }
        }
        self.measure();
        true
    }

    /// Removes a slice.
    pub(super) fn remove_slice(&mut self, name: &str) {
        self.slices.retain(|(other, _)| **other != *name);
        self.measure();
    }

    fn measure(&mut self) {
        self.spans = [Family::Ipv4, Family::Ipv6].map(|family| {
            let addresses = self.endpoints().map(|endpoint| endpoint.address);
            Span::of(addresses.filter(|address| Family::of(*address) == family))
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_is_near_to_the_addresses_in_it() {
        let parse = |texts: &[&str]| texts.iter().map(|text| text.parse().unwrap()).collect::<BTreeSet<IpAddr>>();
        let ipv4 = Span::of(parse(&["10.0.0.9", "10.0.0.3"]).into_iter());
        for (address, expected) in [("10.0.0.2", false), ("10.0.0.3", true), ("10.0.0.9", true), ("10.0.0.10", false)] {
            assert_eq!(ipv4.is_near(Family::Ipv4, &parse(&[address])), expected, "{address}");
        }
        let ipv6 = Span::of(parse(&["fd00:0:0:1::9", "fd00:0:0:3::1"]).into_iter());
        for (address, expected) in
            [("fd00::", false), ("fd00:0:0:1::", true), ("fd00:0:0:3::2", true), ("10.0.0.3", false)]
        {
            assert_eq!(ipv6.is_near(Family::Ipv6, &parse(&[address])), expected, "{address}");
        }
        let everything = parse(&["0.0.0.0", "255.255.255.255", "::", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"]);
        assert!([Family::Ipv4, Family::Ipv6].iter().all(|family| !Span::default().is_near(*family, &everything)));
    }
}
