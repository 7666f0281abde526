//! Sizes of maps, as numbers of entries.

use proxy_common::{
    MapSpec, SizedBy,
    connection::WAYS,
    sizes::{
        AFFINITY_MAX, BACKENDS_MAX, CONNTRACK_MAX, EMBRYONIC_MAX, FRAGMENTS_MAX, MEMBERS_MAX, NETWORKS_MAX,
        SERVICE_IDS_MAX, SERVICES_MAX, SLOTS_MAX, SOCKET_CONNECTIONS_MAX, SOCKET_FLOWS_MAX, SOURCE_RANGES_MAX,
    },
};

use super::Quantity;

/// One number for each [`Quantity`]: sizes of maps, limits of these sizes (the default), or numbers of entries in use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MapSizes {
    /// Entries of SERVICES.
    pub services: u32,
    /// Entries of GENERATIONS, SERVICE_COUNTERS and SERVICE_NAMES.
    pub service_ids: u32,
    /// Entries of SLOTS.
    pub slots: u32,
    /// Entries of BACKENDS and BACKEND_COUNTERS.
    pub backends: u32,
    /// Entries of MEMBERS.
    pub members: u32,
    /// Entries of NETWORKS.
    pub networks: u32,
    /// Entries of AFFINITY.
    pub affinity: u32,
    /// Sockets in SOCKET_CONNECTIONS, whose entries are sets of eight.
    pub socket_connections: u32,
    /// Entries of SOCKET_FLOWS.
    pub socket_flows: u32,
    /// Entries of FLOW_BUCKETS, for each family.
    pub conntrack: u32,
    /// Entries of EMBRYONIC, for each family.
    pub embryonic: u32,
    /// Entries of FRAGMENTS.
    pub fragments: u32,
    /// Entries of SOURCE_RANGES.
    pub source_ranges: u32,
}

impl Default for MapSizes {
    fn default() -> Self {
        Self {
            services: default(SERVICES_MAX),
            service_ids: default(SERVICE_IDS_MAX),
            slots: default(SLOTS_MAX),
            backends: default(BACKENDS_MAX),
            members: default(MEMBERS_MAX),
            networks: default(NETWORKS_MAX),
            affinity: default(AFFINITY_MAX),
            socket_connections: default(SOCKET_CONNECTIONS_MAX),
            socket_flows: default(SOCKET_FLOWS_MAX),
            conntrack: default(CONNTRACK_MAX),
            embryonic: default(EMBRYONIC_MAX),
            fragments: default(FRAGMENTS_MAX),
            source_ranges: default(SOURCE_RANGES_MAX),
        }
    }
}

#[expect(clippy::cast_possible_truncation, reason = "the defaults are far below 2^32")]
const fn default(size: usize) -> u32 {
    size as u32
}

impl MapSizes {
    /// Zero for every quantity.
    pub const NONE: Self = Self {
        services: 0,
        service_ids: 0,
        slots: 0,
        backends: 0,
        members: 0,
        networks: 0,
        affinity: 0,
        socket_connections: 0,
        socket_flows: 0,
        conntrack: 0,
        embryonic: 0,
        fragments: 0,
        source_ranges: 0,
    };

    /// Returns the sizes that `number` gives for each quantity.
    pub fn each(number: impl Fn(Quantity) -> u32) -> Self {
        let mut sizes = Self::NONE;
        for quantity in Quantity::ALL {
            *sizes.field(quantity) = number(quantity);
        }
        sizes
    }

    /// Returns the number for one quantity.
    pub fn of(&self, quantity: Quantity) -> u32 {
        *self.clone().field(quantity)
    }

    fn field(&mut self, quantity: Quantity) -> &mut u32 {
        match quantity {
            Quantity::Services => &mut self.services,
            Quantity::ServiceIds => &mut self.service_ids,
            Quantity::Slots => &mut self.slots,
            Quantity::Backends => &mut self.backends,
            Quantity::Members => &mut self.members,
            Quantity::Networks => &mut self.networks,
            Quantity::SourceRanges => &mut self.source_ranges,
            Quantity::Affinity => &mut self.affinity,
            Quantity::SocketConnections => &mut self.socket_connections,
            Quantity::SocketFlows => &mut self.socket_flows,
            Quantity::Conntrack => &mut self.conntrack,
            Quantity::Embryonic => &mut self.embryonic,
            Quantity::Fragments => &mut self.fragments,
        }
    }

    /// Returns the number of entries that `map` gets.
    pub fn entries(&self, map: &MapSpec) -> u32 {
        match map.sized_by {
            SizedBy::Nothing => map.default_entries,
            SizedBy::Services => self.services,
            SizedBy::ServiceIds => self.service_ids,
            SizedBy::Slots => self.slots,
            SizedBy::Backends => self.backends,
            SizedBy::Members => self.members,
            SizedBy::Networks => self.networks,
            SizedBy::SourceRanges => self.source_ranges,
            SizedBy::Affinity => self.affinity,
            SizedBy::ConnectionSets => self.connection_sets(),
            SizedBy::SocketFlows => self.socket_flows,
            SizedBy::FlowBuckets => self.flow_sets() * 2,
            SizedBy::FlowSets => self.flow_sets(),
            SizedBy::Embryonic => self.embryonic,
            SizedBy::Fragments => self.fragments,
        }
    }

    /// Returns the number of entries of SOCKET_CONNECTIONS, each a set of eight sockets.
    pub fn connection_sets(&self) -> u32 {
        self.socket_connections.div_ceil(WAYS).max(1)
    }

    /// Returns the number of sets of two buckets in FLOW_BUCKETS, for each family. CONNTRACK gets as many entries for the
    /// overflow: with as many assured entries as buckets, one in four overflows.
    pub fn flow_sets(&self) -> u32 {
        self.conntrack.div_ceil(2).max(1)
    }
}

#[cfg(test)]
mod tests {
    use proxy_common::MAPS;

    use super::*;

    #[test]
    fn without_flags_no_map_gets_larger_than_the_programs_declare() {
        for map in MAPS {
            assert_eq!(MapSizes::default().entries(map), map.default_entries, "{}", map.name);
        }
    }
}
