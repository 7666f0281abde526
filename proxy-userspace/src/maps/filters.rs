//! The maps of the prefilter, and the maps of the flows that decide which of its bits may be cleared.

use super::flow_table::FlowTable;

/// The two filters.
pub struct FilterArrays<A> {
    /// The array ADDRESS_FILTER.
    pub addresses: A,
    /// The array PORT_FILTER.
    pub ports: A,
}

/// The maps of flows, for reading.
pub struct FlowMaps {
    /// Embryonic flows: EMBRYONIC_IPV4 and EMBRYONIC_IPV6.
    pub embryonic: FlowTable,
    /// Assured flows: FLOW_BUCKETS and CONNTRACK of both families.
    pub assured: FlowTable,
}
