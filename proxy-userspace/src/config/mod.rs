//! The agent's settings, as the command line gives them.

pub mod conntrack;
pub mod devices;
mod nodeport_addresses;

use std::path::PathBuf;

use clap::Args;
use proxy_common::config::{
    AFFINITY_MAX, BACKENDS_MAX, CONNTRACK_MAX, EMBRYONIC_MAX, FRAGMENTS_MAX, MEMBERS_MAX, NETWORKS_MAX,
    SERVICE_IDS_MAX, SERVICES_MAX, SLOTS_MAX, SOCKET_CONNECTIONS_MAX, SOCKET_FLOWS_MAX, SOURCE_RANGES_MAX,
};

use self::conntrack::Constant;
pub use self::nodeport_addresses::{NodePortAddresses, NodePortAddressesError};

#[expect(clippy::cast_possible_truncation, reason = "the defaults are far below 2^32")]
const fn default(size: usize) -> u32 {
    size as u32
}

/// Numbers of entries of the maps. Changing one on a running instance makes those maps anew, with what they hold.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Map sizes")]
pub struct MapSizes {
    /// Frontends: addresses and ports that clients dial
    #[arg(long = "max-services", value_name = "N", default_value_t = default(SERVICES_MAX))]
    pub services: u32,
    /// Service ports, each family counted
    #[arg(long = "max-service-ports", value_name = "N", default_value_t = default(SERVICE_IDS_MAX))]
    pub service_ids: u32,
    /// Slots: the sum of all services' backend lists, with room for replacing them
    #[arg(long = "max-slots", value_name = "N", default_value_t = default(SLOTS_MAX))]
    pub slots: u32,
    /// Distinct backend addresses and ports
    #[arg(long = "max-backends", value_name = "N", default_value_t = default(BACKENDS_MAX))]
    pub backends: u32,
    /// Backend memberships of UDP services and of those with session affinity
    #[arg(long = "max-members", value_name = "N", default_value_t = default(MEMBERS_MAX))]
    pub members: u32,
    /// ServiceCIDRs, node addresses, and cluster IPs outside every ServiceCIDR
    #[arg(long = "max-networks", value_name = "N", default_value_t = default(NETWORKS_MAX))]
    pub networks: u32,
    /// Clients remembered for session affinity; at least 256 for each processor
    #[arg(long = "max-affinity", value_name = "N", default_value_t = default(AFFINITY_MAX))]
    pub affinity: u32,
    /// Connected TCP and SCTP sockets; further ones connect more slowly
    #[arg(long = "max-socket-connections", value_name = "N", default_value_t = default(SOCKET_CONNECTIONS_MAX))]
    pub socket_connections: u32,
    /// UDP flows of sockets that talk to several services, and connected UDP sockets; at least 256 for each processor
    #[arg(long = "max-socket-flows", value_name = "N", default_value_t = default(SOCKET_FLOWS_MAX))]
    pub socket_flows: u32,
    /// Flows of packets from outside that both sides have confirmed, of each IP family: two entries a flow
    #[arg(long = "max-conntrack", value_name = "N", default_value_t = default(CONNTRACK_MAX))]
    pub conntrack: u32,
    /// Flows of packets that nobody has confirmed yet, of each IP family: two entries a flow, one for a TCP connection
    /// that the backend has not replied to; at least 256 for each processor
    #[arg(long = "max-embryonic", value_name = "N", default_value_t = default(EMBRYONIC_MAX))]
    pub embryonic: u32,
    /// Fragmented packets whose ports are remembered; at least 256 for each processor
    #[arg(long = "max-fragments", value_name = "N", default_value_t = default(FRAGMENTS_MAX))]
    pub fragments: u32,
    /// Prefixes in loadBalancerSourceRanges, each service port counted
    #[arg(long = "max-source-ranges", value_name = "N", default_value_t = default(SOURCE_RANGES_MAX))]
    pub source_ranges: u32,
}

impl MapSizes {
    /// Sets of two buckets in FLOW_BUCKETS of either family, and as many entries in CONNTRACK for the overflow: with as many
    /// entries as buckets, one in four overflows.
    pub fn flow_sets(&self) -> u32 {
        self.conntrack.div_ceil(2).max(1)
    }
}

/// What the loader needs to know.
#[derive(Clone, Debug)]
pub struct DataplaneConfig {
    /// Names the bpffs folder.
    pub instance: String,
    /// The cgroup whose processes are served.
    pub cgroup: PathBuf,
    /// Sizes of the maps.
    pub sizes: MapSizes,
    /// Constants of the packet programs.
    pub constants: Vec<Constant>,
    /// What the programs log: aya-log's level, 0 for nothing.
    pub log_level: u8,
}
