//! The layout of every pinned map: what this version of Waggle expects, and since which version it has been so.

use proxy_common::{
    ABI_VERSION, Address, Affinity, AffinityKey, Backend, BackendCounters, ConnectionSet, ConntrackEntry, Device, Flow,
    Fragment, FragmentPorts, Frontend, Ipv4Bucket, Ipv4ConntrackEntry, Ipv4Tuple, Ipv6Bucket, MapName, Member, Network,
    Peer, Reject, Scratch, Service, ServiceCounters, ServiceName, SourceRange, Stage, Tuple,
    config::{COUNTERS_MAX, DEVICES_MAX, LAYOUTS_MAX},
    filter::FILTER_LENGTH,
};

use crate::config::MapSizes;

/// A map's name and the layout that this version of Waggle gives it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layout {
    /// Its name in the eBPF object.
    pub name: &'static str,
    /// Bytes of a key.
    pub key_size: u32,
    /// Bytes of a value.
    pub value_size: u32,
    /// Number of entries.
    pub max_entries: u32,
    /// The version of the ABI that gave it its layout and the meaning of what it holds.
    pub since: u32,
}

/// The version since which a layout is the same unless it says otherwise.
const FIRST: u32 = 7;
/// Flows: their maps have other names.
const FLOWS: u32 = 9;
/// Connections of sockets: a table of our own instead of the kernel's hash.
const CONNECTIONS: u32 = 10;
/// What the other ABI of tests takes for another layout.
const OTHER: u32 = if cfg!(feature = "other-abi") { ABI_VERSION } else { FIRST };

/// Free entries of an LRU map that each processor keeps for itself (LOCAL_FREE_TARGET in kernel/bpf/bpf_lru_list.c).
pub(crate) const KEPT: usize = 128;

/// Every pinned map, with the sizes that the flags ask for, on a machine that may have so many `processors`.
pub fn layouts(sizes: &MapSizes, processors: usize) -> Vec<Layout> {
    #[expect(clippy::cast_possible_truncation, reason = "small constants")]
    let (counters, filter, devices, stages, names) =
        (COUNTERS_MAX as u32, FILTER_LENGTH as u32, DEVICES_MAX as u32, Stage::COUNT as u32, LAYOUTS_MAX as u32);
    let mut layouts = vec![
        layout::<Frontend, Service>("SERVICES", sizes.services),
        layout::<u32, Ipv4Bucket>("FLOW_BUCKETS_IPV4", sizes.flow_sets() * 2).since(FLOWS),
        layout::<u32, Ipv6Bucket>("FLOW_BUCKETS_IPV6", sizes.flow_sets() * 2).since(FLOWS),
        layout::<u32, u8>("OVERFLOW", sizes.flow_sets()).since(FLOWS),
        layout::<u32, u32>("SLOTS", sizes.slots),
        layout::<u32, Backend>("BACKENDS", sizes.backends),
        layout::<u32, u32>("GENERATIONS", sizes.service_ids),
        layout::<Member, u32>("MEMBERS", sizes.members),
        layout::<(u32, Address), Network>("NETWORKS", sizes.networks),
        layout::<u32, ConnectionSet>("SOCKET_CONNECTIONS", sizes.connection_sets()).since(CONNECTIONS),
        layout::<i32, Peer>("SOCKET_PEERS", 0),
        layout::<u32, u8>("ADDRESS_FILTER", filter),
        layout::<u32, u8>("PORT_FILTER", filter),
        layout::<u32, u8>("SNAT_PORTS", filter),
        layout::<u32, Address>("NODE_ADDRESSES", proxy_common::node::SOURCES),
        layout::<u32, Device>("DEVICES", devices),
        layout::<(u32, SourceRange), u32>("SOURCE_RANGES", sizes.source_ranges),
        layout::<u32, Scratch>("SCRATCH", 1),
        layout::<u32, Reject>("REJECTS", 1),
        layout::<u32, BackendCounters>("BACKEND_COUNTERS", sizes.backends),
        layout::<u32, u64>("COUNTERS", counters),
        layout::<u32, ServiceCounters>("SERVICE_COUNTERS", sizes.service_ids),
        layout::<u32, ServiceName>("SERVICE_NAMES", sizes.service_ids),
        layout::<u32, u32>("XDP_STAGES", stages),
        layout::<u32, u32>("TC_STAGES", stages),
        layout::<u32, u32>("ABI", 1),
        layout::<u32, u32>("SUCCESSION", 1),
        layout::<MapName, u32>("LAYOUTS", names),
    ];
    layouts.extend(lru_layouts(sizes, processors));
    layouts
}

/// Those of the LRU maps, which forget what has not been used for the longest time. Linux 6.1 forgets what a small one has just got,
/// although it is nearly empty, once one processor keeps all free entries (6.17 does no more): each map has twice what the
/// processors keep.
fn lru_layouts(sizes: &MapSizes, processors: usize) -> impl Iterator<Item = Layout> {
    let least = u32::try_from(2 * KEPT * processors).unwrap_or(u32::MAX);
    [
        layout::<AffinityKey, Affinity>("AFFINITY", sizes.affinity),
        layout::<Flow, Peer>("SOCKET_FLOWS", sizes.socket_flows),
        layout::<Fragment, FragmentPorts>("FRAGMENTS", sizes.fragments).since(OTHER),
        layout::<Ipv4Tuple, Ipv4ConntrackEntry>("CONNTRACK_IPV4", sizes.flow_sets()).since(FLOWS),
        layout::<Tuple, ConntrackEntry>("CONNTRACK_IPV6", sizes.flow_sets()).since(FLOWS),
        layout::<Ipv4Tuple, Ipv4ConntrackEntry>("EMBRYONIC_IPV4", sizes.embryonic).since(FLOWS),
        layout::<Tuple, ConntrackEntry>("EMBRYONIC_IPV6", sizes.embryonic).since(FLOWS),
    ]
    .into_iter()
    .map(move |layout| Layout { max_entries: layout.max_entries.max(least), ..layout })
}

#[expect(clippy::cast_possible_truncation, reason = "map types are small")]
const fn layout<K, V>(name: &'static str, max_entries: u32) -> Layout {
    Layout { name, key_size: size_of::<K>() as u32, value_size: size_of::<V>() as u32, max_entries, since: FIRST }
}

impl Layout {
    /// The same, changed by this version.
    const fn since(self, version: u32) -> Self {
        Self { since: version, ..self }
    }
}
