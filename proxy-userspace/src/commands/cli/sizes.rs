//! The flags for the sizes of maps.

use clap::Args;
use proxy_common::sizes::{
    AFFINITY_MAX, BACKENDS_MAX, CONNTRACK_MAX, EMBRYONIC_MAX, FRAGMENTS_MAX, MEMBERS_MAX, NETWORKS_MAX,
    SERVICE_IDS_MAX, SERVICES_MAX, SLOTS_MAX, SOCKET_CONNECTIONS_MAX, SOCKET_FLOWS_MAX, SOURCE_RANGES_MAX,
};

use crate::config::MapSizes;

#[expect(clippy::cast_possible_truncation, reason = "the defaults are far below 2^32")]
const fn size(size: usize) -> u32 {
    size as u32
}

/// The largest sizes of the maps. Maps start small and grow by themselves, without losing entries.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Largest map sizes (maps start small and grow by themselves)")]
pub struct SizeArgs {
    /// Frontends: addresses and ports that clients dial
    #[arg(long = "max-services", value_name = "N", default_value_t = size(SERVICES_MAX))]
    pub services: u32,
    /// Service ports; one of both families counts twice
    #[arg(long = "max-service-ports", value_name = "N", default_value_t = size(SERVICE_IDS_MAX))]
    pub service_ids: u32,
    /// Slots: the lengths of all services' backend lists, with spare slots to replace lists
    #[arg(long = "max-slots", value_name = "N", default_value_t = size(SLOTS_MAX))]
    pub slots: u32,
    /// Distinct backend addresses and ports
    #[arg(long = "max-backends", value_name = "N", default_value_t = size(BACKENDS_MAX))]
    pub backends: u32,
    /// Backends of UDP services and of services with session affinity, counted for each service
    #[arg(long = "max-members", value_name = "N", default_value_t = size(MEMBERS_MAX))]
    pub members: u32,
    /// ServiceCIDRs, node addresses, and ClusterIPs outside every ServiceCIDR
    #[arg(long = "max-networks", value_name = "N", default_value_t = size(NETWORKS_MAX))]
    pub networks: u32,
    /// Clients remembered for session affinity; at least 256 for each CPU
    #[arg(long = "max-affinity", value_name = "N", default_value_t = size(AFFINITY_MAX))]
    pub affinity: u32,
    /// Connected TCP and SCTP sockets, a multiple of eight; beyond this, sockets connect more slowly
    #[arg(long = "max-socket-connections", value_name = "N", default_value_t = size(SOCKET_CONNECTIONS_MAX))]
    pub socket_connections: u32,
    /// UDP flows of sockets that talk to several services, and connected UDP sockets; at least 256 for each CPU
    #[arg(long = "max-socket-flows", value_name = "N", default_value_t = size(SOCKET_FLOWS_MAX))]
    pub socket_flows: u32,
    /// Entries for flows of packets from outside that both sides have confirmed, for each IP family: two per flow
    #[arg(long = "max-conntrack", value_name = "N", default_value_t = size(CONNTRACK_MAX))]
    pub conntrack: u32,
    /// Entries for flows of packets that are not confirmed yet, for each IP family: two per flow, one for a TCP connection
    /// to which the backend has not replied; at least 256 for each CPU
    #[arg(long = "max-embryonic", value_name = "N", default_value_t = size(EMBRYONIC_MAX))]
    pub embryonic: u32,
    /// Fragmented packets whose ports are remembered; at least 256 for each CPU
    #[arg(long = "max-fragments", value_name = "N", default_value_t = size(FRAGMENTS_MAX))]
    pub fragments: u32,
    /// Prefixes in loadBalancerSourceRanges, counted for each service port
    #[arg(long = "max-source-ranges", value_name = "N", default_value_t = size(SOURCE_RANGES_MAX))]
    pub source_ranges: u32,
    /// Give every map its largest size at the start, instead of when it fills up: for nodes that face floods of new connections
    /// and have 180 MiB to spare
    #[arg(long)]
    pub preallocate: bool,
}

impl From<SizeArgs> for MapSizes {
    fn from(args: SizeArgs) -> Self {
        Self {
            services: args.services,
            service_ids: args.service_ids,
            slots: args.slots,
            backends: args.backends,
            members: args.members,
            networks: args.networks,
            affinity: args.affinity,
            socket_connections: args.socket_connections,
            socket_flows: args.socket_flows,
            conntrack: args.conntrack,
            embryonic: args.embryonic,
            fragments: args.fragments,
            source_ranges: args.source_ranges,
        }
    }
}
