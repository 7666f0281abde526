//! Reads an instance's pinned maps into plain values, without interpreting them.
//!
//! The agent may write concurrently, so a snapshot may mix two states: for example, a list may be replaced after its
//! service was read. Freed slots are reused only after a grace period, so such a list is rarely another service's.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs, io,
    path::Path,
};

use aya::maps::{LpmTrie, MapData, MapError};
use bytemuck::AnyBitPattern;
use ipnet::IpNet;
use proxy_common::{
    ABI_VERSION, Backend, BackendCounters, Frontend, Service, ServiceCounters, SlotRange, SourceRange, StoredName,
};

use super::{
    InspectError,
    read::{each_element, each_entry, elements_at, per_cpu_elements_at},
};
use crate::{
    maps::{self, PIN_ROOT, PinFolder, counters::sum_over_cpus, encode, open_read_only},
    node::host::{self, HostError},
};

/// The content of the maps that the commands show.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    /// The entries of SERVICES.
    pub services: BTreeMap<Frontend, Service>,
    /// The entries of SERVICE_NAMES, by service id.
    pub names: BTreeMap<u32, StoredName>,
    /// The elements of SLOTS that services refer to, by index.
    pub slots: BTreeMap<u32, u32>,
    /// The valid elements of BACKENDS, by backend id.
    pub backends: BTreeMap<u32, Backend>,
    /// The prefixes in SOURCE_RANGES, by service id.
    pub sources: BTreeMap<u32, BTreeSet<IpNet>>,
    /// The elements of SERVICE_COUNTERS that services refer to, by service id, summed over the CPUs.
    pub counted: BTreeMap<u32, ServiceCounters>,
    /// The entries of BACKEND_COUNTERS, by backend id.
    pub pressure: BTreeMap<u32, BackendCounters>,
}

impl Snapshot {
    /// Reads the maps of an instance. Fails if it does not exist, has another ABI version, or can't be read.
    pub fn read(instance: &str) -> Result<Self, InspectError> {
        let folder = open(instance)?;
        let services = read_hash(&folder, "SERVICES")?;
        let slots = read_slots(&folder, &services)?;
        let backends = read_backends(&folder)?;
        let names = read_hash(&folder, "SERVICE_NAMES")?;
        let sources = read_sources(&open_read_only(&folder, "SOURCE_RANGES")?)?;
        let counted = read_counted(&folder, &services)?;
        let pressure = read_hash(&folder, "BACKEND_COUNTERS")?;
        Ok(Self { services, names, slots, backends, sources, counted, pressure })
    }

    /// Returns the ids in a range of slots. If the maps are damaged, a range may end beyond SLOTS: then there are fewer
    /// ids than its length.
    pub(crate) fn ids(&self, range: SlotRange) -> impl Iterator<Item = u32> {
        self.slots.range(range.offset..range.offset.saturating_add(range.length)).map(|(_, id)| *id)
    }
}

/// Returns the folder of an instance whose maps this program can read.
pub(crate) fn open(instance: &str) -> Result<PinFolder, InspectError> {
    let folder = PinFolder::new(instance);
    find(instance)?;
    check_abi(instance, &folder)?;
    Ok(folder)
}

/// Checks that an instance exists. The error tells a missing instance from one that can't be read.
pub(super) fn find(instance: &str) -> Result<(), InspectError> {
    find_in(Path::new(PIN_ROOT), instance, host::find_bpffs)
}

/// Checks that an instance exists in a folder. If it does not, `find_bpffs` tells whether that is because no BPF file system is
/// mounted.
pub(super) fn find_in(
    root: &Path,
    instance: &str,
    find_bpffs: impl FnOnce() -> Result<(), HostError>,
) -> Result<(), InspectError> {
    let path = root.join(instance);
    match fs::metadata(&path) {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let instance = instance.to_owned();
            match find_bpffs() {
                Ok(()) => Err(InspectError::Missing { instance, root: root.into(), instances: instances(root) }),
                Err(source) => Err(InspectError::Host { instance, source }),
            }
        }
        Err(source) => Err(InspectError::Folder { path, source }),
    }
}

fn instances(root: &Path) -> Vec<String> {
    let folders = fs::read_dir(root).into_iter().flatten().flatten();
    let mut names: Vec<String> = folders.map(|folder| folder.file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

fn check_abi(instance: &str, folder: &PinFolder) -> Result<(), InspectError> {
    match maps::abi(folder)? {
        ABI_VERSION => Ok(()),
        found => Err(InspectError::Abi { instance: instance.into(), found }),
    }
}

fn failed(name: &'static str) -> impl Fn(MapError) -> InspectError {
    move |source| InspectError::Read { name, source }
}

fn read_hash<K: AnyBitPattern + Ord, V: AnyBitPattern>(
    folder: &PinFolder,
    name: &'static str,
) -> Result<BTreeMap<K, V>, InspectError> {
    let mut entries = BTreeMap::new();
    each_entry(folder, name, |key, value| {
        entries.insert(key, value);
    })?;
    Ok(entries)
}

fn read_slots(folder: &PinFolder, services: &BTreeMap<Frontend, Service>) -> Result<BTreeMap<u32, u32>, InspectError> {
    let ranges = services.values().flat_map(|service| [service.internal, service.external]);
    elements_at(folder, "SLOTS", ranges.map(|range| range.offset..range.offset.saturating_add(range.length)))
}

fn read_backends(folder: &PinFolder) -> Result<BTreeMap<u32, Backend>, InspectError> {
    let (mut backends, mut ids) = (BTreeMap::new(), 0..);
    each_element::<Backend>(folder, "BACKENDS", |backend| {
        let id = ids.next().filter(|_| backend.is_valid());
        backends.extend(id.map(|id| (id, backend)));
    })?;
    Ok(backends)
}

fn read_sources(map: &LpmTrie<MapData, SourceRange, u32>) -> Result<BTreeMap<u32, BTreeSet<IpNet>>, InspectError> {
    let mut sources: BTreeMap<u32, BTreeSet<IpNet>> = BTreeMap::new();
    for key in map.keys() {
        if let Some((service, net)) = encode::source_range(&key.map_err(failed("SOURCE_RANGES"))?) {
            sources.entry(service).or_default().insert(net);
        }
    }
    Ok(sources)
}

fn read_counted(
    folder: &PinFolder,
    services: &BTreeMap<Frontend, Service>,
) -> Result<BTreeMap<u32, ServiceCounters>, InspectError> {
    let ids = services.values().map(|service| service.id..service.id.saturating_add(1));
    let counted = per_cpu_elements_at::<ServiceCounters>(folder, "SERVICE_COUNTERS", ids)?;
    Ok(counted.into_iter().map(|(id, counters)| (id, sum_over_cpus(&counters))).collect())
}
