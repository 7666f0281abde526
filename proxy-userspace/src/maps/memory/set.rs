//! A set of maps in memory.

use proxy_common::{Backend, filter::FILTER_LENGTH, sizes::SERVICES_MAX};

use super::{Array, Hash, Kernel, Memory, Trie};
use crate::maps::{Maps, filters::FilterArrays};

/// The sizes of maps in memory, in entries.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Capacities {
    pub(crate) services: usize,
    pub(crate) service_ids: u32,
    pub(crate) slots: u32,
    pub(crate) backends: u32,
    pub(crate) members: usize,
    pub(crate) networks: usize,
    pub(crate) source_ranges: usize,
}

impl Capacities {
    /// Sizes that exceed what tests need.
    pub(crate) const AMPLE: Self = Self {
        services: SERVICES_MAX,
        service_ids: 64,
        slots: 256,
        backends: 64,
        members: 1024,
        networks: 1024,
        source_ranges: 1024,
    };
}

impl Maps<Memory> {
    /// Returns empty maps.
    pub(crate) fn new(capacities: Capacities, kernel: &Kernel) -> Self {
        let length = u32::try_from(FILTER_LENGTH).expect("16 bits");
        let filter = || Array { is_watched: false, ..Array::new(length, kernel) };
        Self {
            services: Hash::empty(capacities.services, kernel),
            slots: Array::new(capacities.slots, kernel),
            backends: Array::<Backend>::new(capacities.backends, kernel),
            generations: Array::new(capacities.service_ids, kernel),
            members: Hash::empty(capacities.members, kernel),
            networks: Trie::new(capacities.networks, kernel),
            source_ranges: Trie::new(capacities.source_ranges, kernel),
            service_counters: kernel.clone(),
            backend_counters: Hash::empty(capacities.backends as usize, kernel),
            service_names: Hash::empty(capacities.service_ids as usize, kernel),
            filters: FilterArrays { addresses: filter(), ports: filter() },
            node_addresses: Array::new(proxy_common::node::SOURCES, kernel),
            observed: None,
        }
    }

    /// Returns another handle to the same maps.
    pub(crate) fn share(&self) -> Self {
        Self {
            services: self.services.clone(),
            slots: self.slots.clone(),
            backends: self.backends.clone(),
            generations: self.generations.clone(),
            members: self.members.clone(),
            networks: self.networks.clone(),
            source_ranges: self.source_ranges.clone(),
            service_counters: self.service_counters.clone(),
            backend_counters: self.backend_counters.clone(),
            service_names: self.service_names.clone(),
            filters: FilterArrays { addresses: self.filters.addresses.clone(), ports: self.filters.ports.clone() },
            node_addresses: self.node_addresses.clone(),
            observed: None,
        }
    }
}
