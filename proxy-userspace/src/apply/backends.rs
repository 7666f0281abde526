//! Writes BACKENDS. Each address and port has one id, which all lists that name it share; its users are counted.
//!
//! Whether a backend is on this node, and the route to it, may change while it keeps its id. Its entry is then rewritten in place.
//! Only the flags differ, so a program that reads concurrently sees either the old or the new entry.

use std::{
    collections::{BTreeMap, BTreeSet},
    hash::{BuildHasher as _, RandomState},
    net::{IpAddr, SocketAddr},
};

use hashbrown::HashTable;
use proxy_common::Backend;

use super::allocate::IdPool;
use crate::maps::{encode, store::Elements};

#[derive(Debug)]
struct SharedBackend {
    id: u32,
    /// How many lists name it, and how many ports hold it while it drains.
    users: u32,
    /// How many ports say that it is on this node: one is enough.
    local: u32,
    path: Path,
}

/// The properties of a backend that follow from the route to it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Path {
    /// Whether the route leads out of the node. Then replies of a backend on this node do not come back through the node.
    pub(super) is_outward: bool,
    /// Index in NODE_ADDRESSES of the source address for the backend; 0 is the node's own address.
    pub(super) source: u8,
}

/// The entries of BACKENDS and their users. There may be a million, so their addresses are in the map alone: methods take it as an
/// argument.
#[derive(Debug)]
pub struct Backends {
    ids: IdPool,
    /// By the hash of the address and port that the map has under the id.
    shared: HashTable<SharedBackend>,
    hasher: RandomState,
    /// Backends whose entry may still be flagged LOCAL or REPLIES_BYPASS although no port says so any more; [`Backends::settle`]
    /// clears it.
    stale_flags: BTreeSet<SocketAddr>,
}

impl Backends {
    /// Returns the books of a map of `limit` entries, all free.
    pub fn new(limit: u32) -> Self {
        Self {
            ids: IdPool::new(limit),
            shared: HashTable::new(),
            hasher: RandomState::new(),
            stale_flags: BTreeSet::new(),
        }
    }

    /// To be called when the map has become larger: it has `limit` entries now.
    pub fn extend(&mut self, limit: u32) {
        self.ids.extend(limit);
    }

    /// Returns how many entries of the map are taken, including entry 0, which no backend gets.
    pub fn used(&self) -> u32 {
        self.ids.used()
    }

    /// Takes over the backends that the map holds already. They keep their ids, but have no users yet.
    pub fn adopt(&mut self, map: &impl Elements<Backend>) {
        for id in 1..map.length() {
            if let Some(backend) = map.get(id).filter(Backend::is_valid) {
                self.ids.reserve(id);
                let address = encode::backend_address(&backend);
                let path = Path { is_outward: backend.replies_bypass(), source: source(&backend) };
                self.insert(map, address, SharedBackend { id, users: 0, local: 0, path });
                if backend.is_local() || backend.replies_bypass() {
                    self.stale_flags.insert(address);
                }
            }
        }
    }

    /// Adds a list to the users of a backend, and returns its id; `None` when the map is full. A new backend is not flagged as on
    /// this node before [`Backends::mark_local`]. `path` is called only for a new one.
    pub fn acquire(
        &mut self,
        map: &mut impl Elements<Backend>,
        address: SocketAddr,
        path: impl FnOnce(IpAddr) -> Path,
    ) -> Option<u32> {
        if let Some(shared) = self.find_mut(map, address) {
            shared.users += 1;
            return Some(shared.id);
        }
        let id = self.ids.allocate()?;
        let generation = map.get(id).map_or(0, |backend| backend.generation).wrapping_add(1);
        let path = path(address.ip());
        let backend = encode::backend(address, generation);
        map.set(id, Backend { flags: backend.flags | source_bits(path), ..backend });
        self.insert(map, address, SharedBackend { id, users: 1, local: 0, path });
        Some(id)
    }

    /// Adds a user to a draining backend, which only existing flows know. Returns false if it has no id: then no flow knows it.
    pub fn add_user(&mut self, map: &impl Elements<Backend>, address: SocketAddr) -> bool {
        self.find_mut(map, address).map(|shared| shared.users += 1).is_some()
    }

    /// Notes that one more port says that this backend is on this node, and flags its entry. Returns true if it is the first port.
    /// Some list must name the backend.
    pub fn mark_local(&mut self, map: &mut impl Elements<Backend>, address: SocketAddr) -> bool {
        let Some(shared) = self.find_mut(map, address) else { return false };
        shared.local += 1;
        write_location(map, shared, true);
        shared.local == 1
    }

    /// Notes that one port less says that this backend is on this node. Returns true if it was the last. The entry keeps its flags
    /// until [`Backends::settle`], when no frontend leads to former lists.
    pub fn unmark_local(&mut self, map: &impl Elements<Backend>, address: SocketAddr) -> bool {
        let Some(shared) = self.find_mut(map, address) else { return false };
        shared.local = shared.local.saturating_sub(1);
        let is_last = shared.local == 0;
        if is_last {
            self.stale_flags.insert(address);
        }
        is_last
    }

    /// Updates the flags of backends that no port says are on this node any more. Entries without users are left as they are:
    /// programs that read a former list may still choose them.
    pub fn settle(&mut self, map: &mut impl Elements<Backend>) {
        let stale_flags = std::mem::take(&mut self.stale_flags);
        let is_open = |address: &SocketAddr| {
            let shared = self.find(map, *address).filter(|shared| shared.users != 0);
            shared.inspect(|shared| write_location(map, shared, true)).is_none()
        };
        self.stale_flags = stale_flags.into_iter().filter(is_open).collect();
    }

    /// Returns the different addresses of backends for which `wanted` holds. Looks at all backends.
    pub fn addresses(&self, map: &impl Elements<Backend>, wanted: impl Fn(IpAddr) -> bool) -> BTreeSet<IpAddr> {
        self.entries(map).map(|(address, _)| address.ip()).filter(|address| wanted(*address)).collect()
    }

    /// Whether an address for which `wanted` holds has a backend on this node whose replies come through the node. Looks at all
    /// backends.
    pub fn has_local_at(&self, map: &impl Elements<Backend>, wanted: impl Fn(IpAddr) -> bool) -> bool {
        let is_here = |shared: &SharedBackend| shared.local != 0 && !shared.path.is_outward;
        self.entries(map).any(|(address, shared)| is_here(shared) && wanted(address.ip()))
    }

    /// Sets the paths to the backends at some addresses. Returns those on this node whose replies bypass the node from now on.
    /// Looks at all backends.
    pub fn set_paths(&mut self, map: &mut impl Elements<Backend>, paths: &BTreeMap<IpAddr, Path>) -> Vec<SocketAddr> {
        let mut bypassing = Vec::new();
        for shared in &mut self.shared {
            let Some(address) = address_of(map, shared) else { continue };
            let Some(path) = paths.get(&address.ip()).filter(|path| **path != shared.path) else { continue };
            if path.is_outward && !shared.path.is_outward && shared.local != 0 {
                bypassing.push(address);
            }
            shared.path = *path;
            // No port has said yet whether a backend from before a restart is on this node.
            let known = !self.stale_flags.contains(&address);
            write_location(map, shared, known);
        }
        bypassing
    }

    /// Returns the indices in NODE_ADDRESSES that the entries name.
    pub fn sources(&self) -> BTreeSet<u8> {
        self.shared.iter().map(|shared| shared.path.source).collect()
    }

    /// Whether the backend is on this node, and its replies bypass the node.
    pub fn replies_bypass(&self, map: &impl Elements<Backend>, address: SocketAddr) -> bool {
        self.find(map, address).is_some_and(|shared| shared.local != 0 && shared.path.is_outward)
    }

    /// Returns the id of a backend, if it has one.
    pub fn id(&self, map: &impl Elements<Backend>, address: SocketAddr) -> Option<u32> {
        self.find(map, address).map(|shared| shared.id)
    }

    /// Removes a user of a backend. Returns true if no user is left.
    pub fn release(&mut self, map: &impl Elements<Backend>, address: SocketAddr) -> bool {
        self.find_mut(map, address).is_some_and(|shared| {
            shared.users = shared.users.saturating_sub(1);
            shared.users == 0
        })
    }

    /// Returns the backends without users, sorted.
    pub fn unused(&self, map: &impl Elements<Backend>) -> Vec<SocketAddr> {
        let unused: BTreeSet<SocketAddr> =
            self.entries(map).filter(|(_, shared)| shared.users == 0).map(|(address, _)| address).collect();
        unused.into_iter().collect()
    }

    /// Frees a backend's id unless it has users again, and returns it. To be called after a grace period.
    pub fn retire(&mut self, map: &mut impl Elements<Backend>, address: SocketAddr) -> Option<u32> {
        let is_unused = |shared: &SharedBackend| shared.users == 0 && address_of(map, shared) == Some(address);
        let entry = self.shared.find_entry(self.hasher.hash_one(Some(address)), is_unused).ok()?;
        let (SharedBackend { id, .. }, _) = entry.remove();
        let generation = map.get(id).map_or(0, |backend| backend.generation);
        map.set(id, Backend { generation, ..Backend::default() });
        self.ids.release(id);
        self.stale_flags.remove(&address);
        Some(id)
    }

    /// Returns how many backends have ids.
    pub fn count(&self) -> usize {
        self.shared.len()
    }

    fn entries(&self, map: &impl Elements<Backend>) -> impl Iterator<Item = (SocketAddr, &SharedBackend)> {
        self.shared.iter().filter_map(|shared| Some((address_of(map, shared)?, shared)))
    }

    fn find(&self, map: &impl Elements<Backend>, address: SocketAddr) -> Option<&SharedBackend> {
        self.shared.find(self.hasher.hash_one(Some(address)), |shared| address_of(map, shared) == Some(address))
    }

    fn find_mut(&mut self, map: &impl Elements<Backend>, address: SocketAddr) -> Option<&mut SharedBackend> {
        self.shared.find_mut(self.hasher.hash_one(Some(address)), |shared| address_of(map, shared) == Some(address))
    }

    /// Adds an entry, which the map has already.
    fn insert(&mut self, map: &impl Elements<Backend>, address: SocketAddr, shared: SharedBackend) {
        let hash = |shared: &SharedBackend| self.hasher.hash_one(address_of(map, shared));
        self.shared.insert_unique(self.hasher.hash_one(Some(address)), shared, hash);
    }
}

/// Returns the address and port of an entry, by the map.
fn address_of(map: &impl Elements<Backend>, shared: &SharedBackend) -> Option<SocketAddr> {
    map.get(shared.id).map(|backend| encode::backend_address(&backend))
}

const fn source_bits(path: Path) -> u16 {
    (path.source as u16) << Backend::SOURCE_SHIFT
}

#[expect(clippy::cast_possible_truncation, reason = "the higher byte of two")]
const fn source(backend: &Backend) -> u8 {
    backend.source() as u8
}

/// Writes the entry's flags by what ports and routes say. `known` is false if no port has said yet whether the backend is on this
/// node: then LOCAL and REPLIES_BYPASS stay as they are.
fn write_location(map: &mut impl Elements<Backend>, shared: &SharedBackend, known: bool) {
    const LOCATION_FLAGS: u16 = Backend::LOCAL | Backend::REPLIES_BYPASS;
    let Some(before) = map.get(shared.id) else { return };
    let location = match (known, shared.local, shared.path.is_outward) {
        (false, ..) => before.flags & LOCATION_FLAGS,
        (true, 0, _) => 0,
        (true, _, false) => Backend::LOCAL,
        (true, _, true) => Backend::REPLIES_BYPASS,
    };
    let flags = before.flags & Backend::VALID | location | source_bits(shared.path);
    if flags != before.flags {
        map.set(shared.id, Backend { flags, ..before });
    }
}

#[cfg(test)]
mod tests;
