//! The pinned maps of one instance: where they are, what layout they must have, and typed handles.

pub(crate) mod encode;
pub(crate) mod filters;
pub mod flow_table;

use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use aya::maps::{Array, HashMap, LpmTrie, Map, MapData, MapError, PerCpuArray};
use proxy_common::{
    ABI_VERSION, Address, Affinity, AffinityKey, Backend, BackendCounters, Connection, ConntrackEntry, Device, Flow,
    Fragment, FragmentPorts, Frontend, Ipv4Bucket, Ipv4ConntrackEntry, Ipv4Tuple, Ipv6Bucket, MapName, Member, Network,
    Peer, Reject, Scratch, Service, ServiceCounters, ServiceName, SourceRange, Stage, Tuple,
    config::{COUNTERS_MAX, DEVICES_MAX, LAYOUTS_MAX},
    filter::FILTER_LENGTH,
};

use crate::{
    config::MapSizes,
    maps::{
        filters::{FilterArrays, FlowMaps},
        flow_table::{FlowMapNames, FlowTable},
    },
    node::bpf::{self, MappedArray},
};

/// AFFINITY, for reading.
pub(crate) type Clients = HashMap<MapData, AffinityKey, Affinity>;

/// Where every instance's folder lies.
pub const PIN_ROOT: &str = "/sys/fs/bpf/waggle";

/// The bpffs folder of an instance: its maps by name in lower case, its links under `links/`, and under `next/` the maps of
/// a start until they take the others' places.
#[derive(Clone, Debug)]
pub struct PinFolder {
    instance: PathBuf,
    maps: PathBuf,
}

impl PinFolder {
    /// The folder of this instance, with the maps that serve.
    pub fn new(instance: &str) -> Self {
        let instance = Path::new(PIN_ROOT).join(instance);
        Self { maps: instance.clone(), instance }
    }

    /// The same folder with the maps of a start.
    #[must_use]
    pub fn next(&self) -> Self {
        Self { maps: self.instance.join("next"), instance: self.instance.clone() }
    }

    /// The folder itself.
    pub fn path(&self) -> &Path {
        &self.instance
    }

    /// The folder of these maps.
    pub fn maps(&self) -> &Path {
        &self.maps
    }

    /// The pin of a map, by the name it has in the eBPF object.
    pub fn map(&self, name: &str) -> PathBuf {
        self.maps.join(name.to_lowercase())
    }

    /// The folder of links.
    pub fn links(&self) -> PathBuf {
        self.instance.join("links")
    }
}

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
        layout::<u64, Connection>("SOCKET_CONNECTIONS", sizes.socket_connections),
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

/// Why a pinned map can't be used.
#[derive(Debug, thiserror::Error)]
pub enum MapsError {
    /// The pin is not there or can't be opened.
    #[error("open pinned map {path}: {source}")]
    Open {
        /// The pin.
        path: PathBuf,
        /// What the kernel said.
        source: MapError,
    },
    /// The map is of another type than expected.
    #[error("use map {name}: {source}")]
    Type {
        /// The map.
        name: &'static str,
        /// What is wrong.
        source: MapError,
    },
    /// The array can't be mapped into memory.
    #[error("map array {name} into memory: {source}")]
    Mmap {
        /// The map.
        name: &'static str,
        /// What the kernel said.
        source: io::Error,
    },
}

/// Handles to the maps that the agent and the commands read and write. Each field is the map of its name, which the eBPF
/// crate's `maps.rs` explains.
pub struct Maps {
    pub(crate) services: HashMap<MapData, Frontend, Service>,
    pub(crate) slots: MappedArray<u32>,
    pub(crate) backends: MappedArray<Backend>,
    pub(crate) generations: MappedArray<u32>,
    pub(crate) members: HashMap<MapData, Member, u32>,
    pub(crate) networks: LpmTrie<MapData, Address, Network>,
    pub(crate) source_ranges: LpmTrie<MapData, SourceRange, u32>,
    pub(crate) service_counters: PerCpuArray<MapData, ServiceCounters>,
    pub(crate) backend_counters: PerCpuArray<MapData, BackendCounters>,
    pub(crate) service_names: HashMap<MapData, u32, ServiceName>,
    pub(crate) filters: FilterArrays<MappedArray<u8>>,
    pub(crate) node_addresses: Array<MapData, Address>,
    pub(crate) flows: Arc<FlowMaps>,
    /// The map, and how many entries it has room for.
    pub(crate) affinity: (Arc<Clients>, usize),
}

impl Maps {
    /// Opens the pinned maps of an instance.
    pub fn open(folder: &PinFolder) -> Result<Self, MapsError> {
        Ok(Self {
            services: open(folder, "SERVICES")?,
            slots: open_array(folder, "SLOTS")?,
            backends: open_array(folder, "BACKENDS")?,
            generations: open_array(folder, "GENERATIONS")?,
            members: open(folder, "MEMBERS")?,
            networks: open(folder, "NETWORKS")?,
            source_ranges: open(folder, "SOURCE_RANGES")?,
            service_counters: open(folder, "SERVICE_COUNTERS")?,
            backend_counters: open(folder, "BACKEND_COUNTERS")?,
            service_names: open(folder, "SERVICE_NAMES")?,
            filters: FilterArrays {
                addresses: open_array(folder, "ADDRESS_FILTER")?,
                ports: open_array(folder, "PORT_FILTER")?,
            },
            node_addresses: open(folder, "NODE_ADDRESSES")?,
            affinity: (Arc::new(open(folder, "AFFINITY")?), room(folder, "AFFINITY")?),
            flows: Arc::new(FlowMaps {
                embryonic: FlowTable::open(folder, FlowMapNames::EMBRYONIC)?,
                assured: FlowTable::open(folder, FlowMapNames::ASSURED)?,
            }),
        })
    }
}

pub(crate) fn open_data(folder: &PinFolder, name: &str) -> Result<MapData, MapsError> {
    let path = folder.map(name);
    MapData::from_pin(&path).map_err(|source| MapsError::Open { path, source })
}

/// How many entries a pinned map has.
fn room(folder: &PinFolder, name: &'static str) -> Result<usize, MapsError> {
    let info = open_data(folder, name)?.info().map_err(|source| MapsError::Type { name, source })?;
    Ok(info.max_entries() as usize)
}

pub(crate) fn open<M: TryFrom<Map, Error = MapError>>(folder: &PinFolder, name: &'static str) -> Result<M, MapsError> {
    let data = open_data(folder, name)?;
    Map::from_map_data(data).and_then(M::try_from).map_err(|source| MapsError::Type { name, source })
}

/// Opens a pinned map for looking only: the kernel refuses every write through it.
pub fn open_read_only<M: TryFrom<Map, Error = MapError>>(
    folder: &PinFolder,
    name: &'static str,
) -> Result<M, MapsError> {
    let path = folder.map(name);
    let data = bpf::open_map_read_only(&path).map_err(MapError::from).and_then(MapData::from_fd);
    let data = data.map_err(|source| MapsError::Open { path, source })?;
    Map::from_map_data(data).and_then(M::try_from).map_err(|source| MapsError::Type { name, source })
}

/// Maps a pinned array into memory.
pub(crate) fn open_array<T: aya::Pod>(folder: &PinFolder, name: &'static str) -> Result<MappedArray<T>, MapsError> {
    let data = open_data(folder, name)?;
    let info = data.info().map_err(|source| MapsError::Type { name, source })?;
    MappedArray::new(data.fd(), info.max_entries()).map_err(|source| MapsError::Mmap { name, source })
}
