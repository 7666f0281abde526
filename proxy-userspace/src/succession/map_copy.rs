//! Copies the content of old maps into new ones entry by entry, since sizes differ. Entries that don't fit are counted.

use std::collections::BTreeSet;

use aya::{
    Pod,
    maps::{HashMap, LpmTrie, MapData, PerCpuArray, lpm_trie::Key},
};
use proxy_common::{
    Address, Backend, BackendCounters, Frontend, Member, Network, Service, ServiceCounters, SourceRange, StoredName,
};

use super::migration::{IDS, Migration, Migrations};
use crate::{
    maps::{MapsError, PinFolder, open, open_array, open_data},
    node::bpf::{self, MappedArray},
};

/// How many entries of a hash are copied with one system call. It must be more than any hash bucket has.
const BATCH: u32 = 4096;

/// Old and new maps, and the migration of each.
pub(super) struct MapCopy<'a> {
    pub(super) old: &'a PinFolder,
    pub(super) new: &'a PinFolder,
    pub(super) migrations: &'a Migrations,
}

/// The maps into which entries did not fit, and how many of each.
pub(super) type Refused = Vec<(&'static str, usize)>;

impl MapCopy<'_> {
    pub(super) fn is_copied(&self, name: &str) -> bool {
        self.migrations.get(name) == Some(&Migration::Copied)
    }

    /// Copies ids and what they index, filters and counters. Programs run concurrently, but write only the counters.
    pub(super) fn ids(&self) -> Result<Refused, MapsError> {
        let mut refused = Refused::new();
        self.array::<u8>("ADDRESS_FILTER")?;
        self.array::<u8>("PORT_FILTER")?;
        self.array::<u8>("MONITORED_SERVICES")?;
        self.counters::<u64>("COUNTERS", None)?;
        if IDS.iter().all(|name| self.is_copied(name)) {
            refused.extend(self.hash::<u32, StoredName>("SERVICE_NAMES")?);
            self.array::<u32>("GENERATIONS")?;
            self.array::<Backend>("BACKENDS")?;
            refused.extend(self.hash::<Member, u32>("MEMBERS")?);
        }
        if self.migrations.get(IDS[1]).is_some_and(|migration| *migration != Migration::New) {
            self.start_generations()?;
        }
        self.counters_of_ids(self.new)?;
        Ok(refused)
    }

    /// Copies what the agent has written into the old maps. The agent must not write meanwhile.
    pub(super) fn configuration(&self) -> Result<(), MapsError> {
        self.whole_hash::<Frontend, Service>("SERVICES")?;
        self.array::<u32>("SLOTS")?;
        self.array::<Backend>("BACKENDS")?;
        self.array::<u32>("GENERATIONS")?;
        self.whole_hash::<Member, u32>("MEMBERS")?;
        self.whole_hash::<u32, StoredName>("SERVICE_NAMES")?;
        self.trie::<Address, Network>("NETWORKS")?;
        self.trie::<SourceRange, u32>("SOURCE_RANGES")?;
        self.array::<u8>("MONITORED_SERVICES")?;
        self.start_generations()
    }

    /// Copies the counters of the ids that are in use according to the maps in `folder`.
    pub(super) fn counters_of_ids(&self, folder: &PinFolder) -> Result<(), MapsError> {
        let named: HashMap<MapData, u32, StoredName> = open(folder, "SERVICE_NAMES")?;
        let services: BTreeSet<u32> = named.keys().flatten().collect();
        self.counters::<ServiceCounters>("SERVICE_COUNTERS", Some(&services))?;
        let backends: MappedArray<Backend> = open_array(folder, "BACKENDS")?;
        let is_used = |id: &u32| backends.get(*id).is_some_and(|backend| backend.is_valid());
        self.counters_of_backends(is_used)
    }

    /// Copies the counters of the backends that are in use.
    fn counters_of_backends(&self, is_used: impl Fn(&u32) -> bool) -> Result<(), MapsError> {
        let name = "BACKEND_COUNTERS";
        if !self.is_copied(name) {
            return Ok(());
        }
        let old: HashMap<MapData, u32, BackendCounters> = open(self.old, name)?;
        let mut new: HashMap<MapData, u32, BackendCounters> = open(self.new, name)?;
        for (id, counted) in old.iter().flatten().filter(|(id, _)| is_used(id)) {
            new.insert(id, counted, 0).map_err(|source| MapsError::Type { name, source })?;
        }
        Ok(())
    }

    /// Gives ids that were not copied a random generation in the new maps. Flows may remember such ids, and must not mistake a
    /// new service or backend for the old one.
    fn start_generations(&self) -> Result<(), MapsError> {
        let start = fastrand::u32(..);
        let mut generations: MappedArray<u32> = open_array(self.new, "GENERATIONS")?;
        for id in (0..generations.length()).filter(|_| !self.is_shared("GENERATIONS")) {
            if generations.get(id) == Some(0) {
                generations.set(id, start);
            }
        }
        let mut backends: MappedArray<Backend> = open_array(self.new, "BACKENDS")?;
        for id in (0..backends.length()).filter(|_| !self.is_shared("BACKENDS")) {
            if backends.get(id) == Some(Backend::default()) {
                backends.set(id, Backend { generation: start, ..Backend::default() });
            }
        }
        Ok(())
    }

    fn is_shared(&self, name: &str) -> bool {
        self.migrations.get(name) == Some(&Migration::Shared)
    }

    /// Returns the most entries that the old map of this name holds.
    pub(super) fn old_size(&self, name: &'static str) -> Result<usize, MapsError> {
        let info = open_data(self.old, name)?.info().map_err(|source| MapsError::Type { name, source })?;
        Ok(info.max_entries() as usize)
    }

    /// Copies a hash map that no program writes.
    fn hash<K: Pod, V: Pod>(&self, name: &'static str) -> Result<Option<(&'static str, usize)>, MapsError> {
        if !self.is_copied(name) {
            return Ok(None);
        }
        let old: HashMap<MapData, K, V> = open(self.old, name)?;
        let mut new: HashMap<MapData, K, V> = open(self.new, name)?;
        let refused = old.iter().flatten().filter(|(key, value)| new.insert(key, value, 0).is_err()).count();
        Ok(Some((name, refused)).filter(|(_, refused)| *refused != 0))
    }

    /// Copies a hash map that neither programs nor the agent write meanwhile. Fails if an entry does not fit.
    fn whole_hash<K: bytemuck::Pod, V: bytemuck::Pod>(&self, name: &'static str) -> Result<(), MapsError> {
        if !self.is_copied(name) {
            return Ok(());
        }
        let (old, new) = (open_data(self.old, name)?, open_data(self.new, name)?);
        let mut chain = Some(0);
        while let Some(first) = chain {
            let copied = bpf::read_hash::<K, V>(old.fd(), first, BATCH)
                .and_then(|(entries, next)| bpf::write_hash(new.fd(), &entries).map(|()| next));
            chain = copied.map_err(|source| MapsError::Type { name, source: source.into() })?;
        }
        Ok(())
    }

    fn trie<K: Pod, V: Pod>(&self, name: &'static str) -> Result<(), MapsError> {
        if !self.is_copied(name) {
            return Ok(());
        }
        let old: LpmTrie<MapData, K, V> = open(self.old, name)?;
        let mut new: LpmTrie<MapData, K, V> = open(self.new, name)?;
        let mut copy = |(key, value): (Key<K>, V)| new.insert(&key, value, 0);
        let copied = old.iter().try_for_each(|entry| entry.and_then(&mut copy));
        copied.map_err(|source| MapsError::Type { name, source })
    }

    /// Copies an array map. Elements keep their indexes; those beyond the new end are unused.
    fn array<T: Pod>(&self, name: &'static str) -> Result<(), MapsError> {
        if !self.is_copied(name) {
            return Ok(());
        }
        let old: MappedArray<T> = open_array(self.old, name)?;
        let mut new: MappedArray<T> = open_array(self.new, name)?;
        for index in 0..old.length().min(new.length()) {
            if let Some(element) = old.get(index) {
                new.set(index, element);
            }
        }
        Ok(())
    }

    fn counters<T: Pod>(&self, name: &'static str, used: Option<&BTreeSet<u32>>) -> Result<(), MapsError> {
        if !self.is_copied(name) {
            return Ok(());
        }
        let old: PerCpuArray<MapData, T> = open(self.old, name)?;
        let mut new: PerCpuArray<MapData, T> = open(self.new, name)?;
        let length = old.len().min(new.len());
        let indexes: Vec<u32> =
            used.map_or_else(|| (0..length).collect(), |used| used.range(..length).copied().collect());
        for index in indexes {
            let copied = old.get(&index, 0).and_then(|values| new.set(index, values, 0));
            copied.map_err(|source| MapsError::Type { name, source })?;
        }
        Ok(())
    }
}
