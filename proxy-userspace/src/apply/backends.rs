//! Writes BACKENDS. Each address and port has one id, which all lists that name it share; its users are counted.
//!
//! Whether a backend is on this node, and the route to it, may change while it keeps its id. Its entry is then rewritten in place.
//! Only the flags differ, so a program that reads concurrently sees either the old or the new entry.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::{IpAddr, SocketAddr},
    ops::RangeInclusive,
};

use proxy_common::{Address, Backend};

use super::allocate::IdPool;
use crate::maps::{encode, store::Elements};

/// A backend's address and port in few bytes, since there may be a million. IPv4 addresses are IPv4-mapped, so they are adjacent
/// in the order of keys.
type Key = (Address, u16);

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

/// The entries of BACKENDS and their users. Methods that write the map take it as an argument.
#[derive(Debug)]
pub struct Backends {
    ids: IdPool,
    by_address: BTreeMap<Key, SharedBackend>,
    /// Backends whose entry may still be flagged LOCAL or PAST although no port says so any more; [`Backends::settle`] clears it.
    departed: BTreeSet<SocketAddr>,
}

impl Backends {
    /// Returns the books of a map of `limit` entries, all free.
    pub fn new(limit: u32) -> Self {
        Self { ids: IdPool::new(limit), by_address: BTreeMap::new(), departed: BTreeSet::new() }
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
                let path = Path { is_outward: backend.is_past(), source: source(&backend) };
                self.by_address.insert(key(address), SharedBackend { id, users: 0, local: 0, path });
                if backend.is_local() || backend.is_past() {
                    self.departed.insert(address);
                }
            }
        }
    }

    /// Adds a list to the users of a backend, and returns its id; `None` when the map is full. A new backend is not flagged as on
    /// this node before [`Backends::arrive`]. `path` is called only for a new one.
    pub fn acquire(
        &mut self,
        map: &mut impl Elements<Backend>,
        address: SocketAddr,
        path: impl FnOnce(IpAddr) -> Path,
    ) -> Option<u32> {
        if let Some(shared) = self.by_address.get_mut(&key(address)) {
            shared.users += 1;
            return Some(shared.id);
        }
        let id = self.ids.allocate()?;
        let generation = map.get(id).map_or(0, |backend| backend.generation).wrapping_add(1);
        let path = path(address.ip());
        let backend = encode::backend(address, generation);
        map.set(id, Backend { flags: backend.flags | source_bits(path), ..backend });
        self.by_address.insert(key(address), SharedBackend { id, users: 1, local: 0, path });
        Some(id)
    }

    /// Adds a user to a draining backend, which only existing flows know. Returns false if it has no id: then no flow knows it.
    pub fn hold(&mut self, address: SocketAddr) -> bool {
        self.by_address.get_mut(&key(address)).map(|shared| shared.users += 1).is_some()
    }

    /// Notes that one more port says that this backend is on this node, and flags its entry. Returns true if it is the first port.
    /// Some list must name the backend.
    pub fn arrive(&mut self, map: &mut impl Elements<Backend>, address: SocketAddr) -> bool {
        self.by_address.get_mut(&key(address)).is_some_and(|shared| {
            shared.local += 1;
            write_place(map, shared, true);
            shared.local == 1
        })
    }

    /// Notes that one port less says that this backend is on this node. Returns true if it was the last. The entry keeps its flags
    /// until [`Backends::settle`], when no frontend leads to former lists.
    pub fn depart(&mut self, address: SocketAddr) -> bool {
        let Some(shared) = self.by_address.get_mut(&key(address)) else { return false };
        shared.local = shared.local.saturating_sub(1);
        if shared.local == 0 {
            self.departed.insert(address);
        }
        shared.local == 0
    }

    /// Updates the flags of backends that no port says are on this node any more. Entries without users are left as they are:
    /// programs that read a former list may still choose them.
    pub fn settle(&mut self, map: &mut impl Elements<Backend>) {
        let by_address = &self.by_address;
        self.departed.retain(|address| {
            let shared = by_address.get(&key(*address));
            shared.filter(|shared| shared.users != 0).inspect(|shared| write_place(map, shared, true)).is_none()
        });
    }

    /// Returns the different addresses of backends from `first` to `last`, both included.
    pub fn addresses(&self, first: IpAddr, last: IpAddr) -> BTreeSet<IpAddr> {
        self.between(first, last).map(|(address, _)| address).collect()
    }

    /// Returns the backends from `first` to `last` of their family: a range of IPv6 may contain the IPv4-mapped addresses.
    fn between(&self, first: IpAddr, last: IpAddr) -> impl Iterator<Item = (IpAddr, &SharedBackend)> {
        let all =
            self.by_address.range(range(first, last)).map(|((address, _), shared)| (IpAddr::from(*address), shared));
        all.filter(move |(address, _)| address.is_ipv4() == first.is_ipv4())
    }

    /// Whether an address from `first` to `last`, both included, has a backend on this node whose replies come through the node.
    pub fn is_any_here(&self, first: IpAddr, last: IpAddr) -> bool {
        self.between(first, last).any(|(_, shared)| shared.local != 0 && !shared.path.is_outward)
    }

    /// Sets the path to the backends at an address. Returns those on this node whose replies bypass the node from now on.
    pub fn redirect(&mut self, map: &mut impl Elements<Backend>, address: IpAddr, path: Path) -> Vec<SocketAddr> {
        let mut past = Vec::new();
        let here = self.by_address.range_mut(range(address, address));
        for (key, shared) in here.filter(|(_, shared)| shared.path != path) {
            if path.is_outward && !shared.path.is_outward && shared.local != 0 {
                past.push(address_of(key));
            }
            shared.path = path;
            // No port has said yet whether a backend from before a restart is on this node.
            let known = !self.departed.contains(&address_of(key));
            write_place(map, shared, known);
        }
        past
    }

    /// Returns the indices in NODE_ADDRESSES that the entries name.
    pub fn sources(&self) -> BTreeSet<u8> {
        self.by_address.values().map(|shared| shared.path.source).collect()
    }

    /// Whether the backend is on this node, and its replies bypass the node.
    pub fn is_past(&self, address: SocketAddr) -> bool {
        self.by_address.get(&key(address)).is_some_and(|shared| shared.local != 0 && shared.path.is_outward)
    }

    /// Returns the id of a backend, if it has one.
    pub fn id(&self, address: SocketAddr) -> Option<u32> {
        self.by_address.get(&key(address)).map(|shared| shared.id)
    }

    /// Removes a user of a backend. Returns true if no user is left.
    pub fn release(&mut self, address: SocketAddr) -> bool {
        self.by_address.get_mut(&key(address)).is_some_and(|shared| {
            shared.users = shared.users.saturating_sub(1);
            shared.users == 0
        })
    }

    /// Returns the backends without users.
    pub fn unused(&self) -> Vec<SocketAddr> {
        self.by_address.iter().filter(|(_, shared)| shared.users == 0).map(|(key, _)| address_of(key)).collect()
    }

    /// Frees a backend's id unless it has users again. To be called after a grace period.
    pub fn retire(&mut self, map: &mut impl Elements<Backend>, address: SocketAddr) {
        if let Some(shared) = self.by_address.get(&key(address))
            && shared.users == 0
        {
            let generation = map.get(shared.id).map_or(0, |backend| backend.generation);
            map.set(shared.id, Backend { generation, ..Backend::default() });
            self.ids.release(shared.id);
            self.by_address.remove(&key(address));
            self.departed.remove(&address);
        }
    }

    /// Returns how many backends have ids.
    pub fn count(&self) -> usize {
        self.by_address.len()
    }
}

fn key(address: SocketAddr) -> Key {
    (address.ip().into(), address.port())
}

fn address_of(key: &Key) -> SocketAddr {
    SocketAddr::new(key.0.into(), key.1)
}

fn range(first: IpAddr, last: IpAddr) -> RangeInclusive<Key> {
    (first.into(), 0)..=(last.into(), u16::MAX)
}

const fn source_bits(path: Path) -> u16 {
    (path.source as u16) << Backend::SOURCE_SHIFT
}

#[expect(clippy::cast_possible_truncation, reason = "the higher byte of two")]
const fn source(backend: &Backend) -> u8 {
    backend.source() as u8
}

/// Writes the entry's flags by what ports and routes say. `known` is false if no port has said yet whether the backend is on this
/// node: then LOCAL and PAST stay as they are.
fn write_place(map: &mut impl Elements<Backend>, shared: &SharedBackend, known: bool) {
    const PLACES: u16 = Backend::LOCAL | Backend::PAST;
    let Some(before) = map.get(shared.id) else { return };
    let place = match (known, shared.local, shared.path.is_outward) {
        (false, ..) => before.flags & PLACES,
        (true, 0, _) => 0,
        (true, _, false) => Backend::LOCAL,
        (true, _, true) => Backend::PAST,
    };
    let flags = before.flags & Backend::VALID | place | source_bits(shared.path);
    if flags != before.flags {
        map.set(shared.id, Backend { flags, ..before });
    }
}

#[cfg(test)]
mod tests;
