//! The maps that say which packets are worth a lookup, and the flows that they are compared with.

use super::flow_table::FlowTable;

/// The two arrays of the prefilter.
pub struct FilterArrays<A> {
    /// ADDRESS_FILTER.
    pub addresses: A,
    /// PORT_FILTER.
    pub ports: A,
}

/// The maps of flows, for reading.
pub struct FlowMaps {
    /// Flows that are embryonic: EMBRYONIC_IPV4 and EMBRYONIC_IPV6.
    pub embryonic: FlowTable,
    /// Flows that are assured: FLOW_BUCKETS and their overflow, of both families.
    pub assured: FlowTable,
}
