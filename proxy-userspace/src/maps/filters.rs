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
    /// EMBRYONIC.
    pub embryonic: FlowTable,
    /// Those that are assured.
    pub assured: FlowTable,
}
