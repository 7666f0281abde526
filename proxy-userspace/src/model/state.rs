//! A Service with its EndpointSlices, as the model keeps them.

use std::{collections::BTreeSet, net::IpAddr, sync::Arc};

use super::{
    endpoints::{ParsedEndpoint, Slice},
    faults::Faults,
    service::ParsedService,
};
use crate::desired::Family;

/// A Service and its EndpointSlices; either may be missing.
#[derive(Debug, Default)]
pub(super) struct ServiceState {
    pub(super) spec: Option<Box<ParsedService>>,
    pub(super) faults: Faults,
    /// Sorted by name.
    slices: Vec<(Arc<str>, Slice)>,
    /// The lowest and the highest endpoint address of each family. With them, a search for an address skips nearly
    /// every Service without following a pointer.
    spans: [Option<(IpAddr, IpAddr)>; 2],
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
        let is_near = |(low, high): &(IpAddr, IpAddr)| addresses.range(low..=high).next().is_some();
        self.spans.iter().flatten().any(is_near)
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
            let addresses = addresses.filter(|address| Family::of(*address) == family);
            addresses.clone().min().zip(addresses.max())
        });
    }
}
