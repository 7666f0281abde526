//! The pinned maps of one instance: their paths, their layouts, and typed handles.

pub(crate) mod census;
pub(crate) mod connections;
pub(crate) mod counters;
pub(crate) mod encode;
pub(crate) mod filters;
pub mod flow_table;
mod layouts;
#[cfg(test)]
pub(crate) mod memory;
pub(crate) mod store;

use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use aya::maps::{Array, HashMap, Map, MapData, MapError, lpm_trie::Key};
use proxy_common::{
    Address, Affinity, AffinityKey, Backend, BackendCounters, Frontend, Member, Network, Service, ServiceCounters,
    SourceRange, StoredName, decide,
};

use crate::{
    maps::{
        filters::{FilterArrays, FlowMaps},
        flow_table::{FlowMapNames, FlowTable},
        store::{Elements as _, Entries as _, Kernel, Store},
    },
    node::bpf::{self, MappedArray},
};

pub(crate) use self::layouts::{LRU_LOCAL_FREE, min_lru_entries};
pub use self::layouts::{Layout, layouts};

/// The handle of AFFINITY, for reading.
pub(crate) type Clients = HashMap<MapData, AffinityKey, Affinity>;

/// The folder that contains the folders of all instances.
pub const PIN_ROOT: &str = "/sys/fs/bpf/waggle";

/// The bpffs folder of an instance. It contains the maps by name in lower case, the links under `links/`, and under `next/` the
/// maps of a start until they replace the current ones.
#[derive(Clone, Debug)]
pub struct PinFolder {
    instance: PathBuf,
    maps: PathBuf,
}

impl PinFolder {
    /// Returns the folder of an instance, with its current maps.
    pub fn new(instance: &str) -> Self {
        let instance = Path::new(PIN_ROOT).join(instance);
        Self { maps: instance.clone(), instance }
    }

    /// Returns the folder of this instance with the maps under `next/`.
    #[must_use]
    pub fn next(&self) -> Self {
        Self { maps: self.instance.join("next"), instance: self.instance.clone() }
    }

    /// Returns the path of the instance's folder.
    pub fn path(&self) -> &Path {
        &self.instance
    }

    /// Returns the path of the folder with the maps: the current ones, or those under `next/`.
    pub fn maps(&self) -> &Path {
        &self.maps
    }

    /// Returns the path of a map's pin. `name` is the map's name in the eBPF object.
    pub fn map(&self, name: &str) -> PathBuf {
        self.maps.join(name.to_lowercase())
    }

    /// Returns the folder with pins of a new set's programs for the hooks.
    pub fn programs(&self) -> PathBuf {
        self.maps.join("programs")
    }

    /// Returns the folder with links of old programs that stay attached beside a new set's for a while.
    pub fn old_links(&self) -> PathBuf {
        self.maps.join("beside")
    }

    /// Returns the folder whose existence marks a new set as complete.
    pub fn complete(&self) -> PathBuf {
        self.maps.join("complete")
    }

    /// Returns the folder of links.
    pub fn links(&self) -> PathBuf {
        self.instance.join("links")
    }
}

/// Why a pinned map can't be used.
#[derive(Debug, thiserror::Error)]
pub enum MapsError {
    /// The pin is absent or can't be opened.
    #[error("open pinned map {path}")]
    Open {
        /// The path of the pin.
        path: PathBuf,
        /// The cause.
        source: MapError,
    },
    /// The map has another type than expected, or can't be read.
    #[error("use map {name}")]
    Type {
        /// The map's name.
        name: &'static str,
        /// The cause.
        source: MapError,
    },
    /// The array can't be mapped into memory.
    #[error("map array {name} into memory")]
    Mmap {
        /// The map's name.
        name: &'static str,
        /// The kernel's error.
        source: io::Error,
    },
}

/// Handles to the maps that the agent writes. Each field is the map of that name; `maps.rs` of the eBPF crate explains them.
pub struct Maps<S: Store = Kernel> {
    pub(crate) services: S::Hash<Frontend, Service>,
    pub(crate) slots: S::Mapped<u32>,
    pub(crate) backends: S::Mapped<Backend>,
    pub(crate) generations: S::Mapped<u32>,
    pub(crate) members: S::Hash<Member, u32>,
    pub(crate) networks: S::Trie<Address, Network>,
    pub(crate) source_ranges: S::Trie<SourceRange, u32>,
    pub(crate) service_counters: S::Counters<ServiceCounters>,
    pub(crate) backend_counters: S::Hash<u32, BackendCounters>,
    pub(crate) service_names: S::Hash<u32, StoredName>,
    pub(crate) filters: FilterArrays<S::Mapped<u8>>,
    pub(crate) node_addresses: S::Array<Address>,
    /// `None` for maps in memory, which no program uses.
    pub(crate) observed: Option<Observed>,
}

impl<S: Store> decide::Maps for Maps<S> {
    fn service(&self, frontend: &Frontend) -> Option<Service> {
        self.services.get(frontend)
    }

    fn network(&self, address: &Address) -> Option<Network> {
        self.networks.get(&Key::new(128, *address))
    }

    fn is_admitted(&self, service: u32, client: &Address) -> bool {
        self.source_ranges.get(&Key::new(160, SourceRange::new(service, *client))).is_some()
    }

    fn slot(&self, slot: u32) -> Option<u32> {
        self.slots.get(slot)
    }

    fn backend(&self, id: u32) -> Option<Backend> {
        self.backends.get(id)
    }
}

/// Handles to maps that the programs write and the agent reads.
pub(crate) struct Observed {
    pub(crate) flows: Arc<FlowMaps>,
    pub(crate) affinity: Arc<Clients>,
    /// The most entries that AFFINITY holds.
    pub(crate) affinity_room: usize,
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
            observed: Some(Observed::open(folder)?),
        })
    }
}

impl Observed {
    fn open(folder: &PinFolder) -> Result<Self, MapsError> {
        Ok(Self {
            affinity: Arc::new(open(folder, "AFFINITY")?),
            affinity_room: room(folder, "AFFINITY")?,
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

/// Returns the ABI version of the maps in a folder.
pub fn abi(folder: &PinFolder) -> Result<u32, MapsError> {
    let abi: Array<MapData, u32> = open_read_only(folder, "ABI")?;
    abi.get(&0, 0).map_err(|source| MapsError::Type { name: "ABI", source })
}

/// Returns the most entries that a pinned map holds.
fn room(folder: &PinFolder, name: &'static str) -> Result<usize, MapsError> {
    let info = open_data(folder, name)?.info().map_err(|source| MapsError::Type { name, source })?;
    Ok(info.max_entries() as usize)
}

pub(crate) fn open<M: TryFrom<Map, Error = MapError>>(folder: &PinFolder, name: &'static str) -> Result<M, MapsError> {
    typed(open_data(folder, name)?, name)
}

/// Opens a pinned map read-only: the kernel refuses every write through the handle.
pub fn open_read_only<M: TryFrom<Map, Error = MapError>>(
    folder: &PinFolder,
    name: &'static str,
) -> Result<M, MapsError> {
    typed(open_data_read_only(folder, name)?, name)
}

/// Returns an open map as one of its type.
pub(crate) fn typed<M: TryFrom<Map, Error = MapError>>(data: MapData, name: &'static str) -> Result<M, MapsError> {
    Map::from_map_data(data).and_then(M::try_from).map_err(|source| MapsError::Type { name, source })
}

/// Opens a pinned map of any type read-only. Fails if its keys or values have another size than those of this release: an agent of
/// another release may have replaced it a moment ago.
pub(crate) fn open_data_read_only(folder: &PinFolder, name: &'static str) -> Result<MapData, MapsError> {
    let path = folder.map(name);
    let data = bpf::open_map_read_only(&path).map_err(MapError::from).and_then(MapData::from_fd);
    let data = data.map_err(|source| MapsError::Open { path, source })?;
    let is_fit = data.info().and_then(|info| layouts::check_sizes(name, &info));
    is_fit.map(|()| data).map_err(|source| MapsError::Type { name, source })
}

/// Maps a pinned array into memory.
pub(crate) fn open_array<T: aya::Pod>(folder: &PinFolder, name: &'static str) -> Result<MappedArray<T>, MapsError> {
    let data = open_data(folder, name)?;
    let info = data.info().map_err(|source| MapsError::Type { name, source })?;
    MappedArray::new(data.fd(), info.max_entries()).map_err(|source| MapsError::Mmap { name, source })
}
