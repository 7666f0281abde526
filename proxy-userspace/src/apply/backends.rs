//! The backends in BACKENDS: one id an address and port, shared by all lists that name it, counted.
//!
//! Whether a backend is on this node, and the way to it, may change while it has its id: its entry is then rewritten in place.
//! Nothing but the flags differs, so that a program that reads meanwhile sees the old entry or the new one.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::{IpAddr, SocketAddr},
    ops::RangeInclusive,
};

use proxy_common::{Address, Backend};

use super::allocate::IdPool;
use crate::maps::{encode, store::Elements};

/// A backend's address and port in few bytes, since there may be a million. IPv4 addresses come together, as IPv4-mapped ones.
type Key = (Address, u16);

#[derive(Debug)]
struct Shared {
    id: u32,
    users: u32,
    /// Ports that say it is on this node: one is enough.
    local: u32,
    path: Path,
}

/// What the way to a backend means for it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Path {
    /// It leads out of the node: replies of a backend that is said to be here don't come back through the node.
    pub(super) is_outward: bool,
    /// Index in NODE_ADDRESSES of the address that it is reached from; 0: the node's own.
    pub(super) source: u8,
}

/// Who uses which entry of BACKENDS. Methods that write the map take it.
#[derive(Debug)]
pub struct Backends {
    ids: IdPool,
    by_address: BTreeMap<Key, Shared>,
    /// Backends whose entry is still flagged LOCAL or PAST although no port says so any more; `settle` clears it.
    departed: BTreeSet<SocketAddr>,
}

impl Backends {
    /// For a map of this many entries, all free.
    pub fn new(limit: u32) -> Self {
        Self { ids: IdPool::new(limit), by_address: BTreeMap::new(), departed: BTreeSet::new() }
    }

    /// The map has become larger.
    pub fn extend(&mut self, limit: u32) {
        self.ids.extend(limit);
    }

    /// How many entries of the map are taken, with the first, which is nobody's.
    pub fn used(&self) -> u32 {
        self.ids.used()
    }

    /// Takes over the backends that the map holds already: they keep their ids, without users.
    pub fn adopt(&mut self, map: &impl Elements<Backend>) {
        for id in 1..map.length() {
            if let Some(backend) = map.get(id).filter(Backend::is_valid) {
                self.ids.reserve(id);
                let address = encode::backend_address(&backend);
                let path = Path { is_outward: backend.is_past(), source: source(&backend) };
                self.by_address.insert(key(address), Shared { id, users: 0, local: 0, path });
                if backend.is_local() || backend.is_past() {
                    self.departed.insert(address);
                }
            }
        }
    }

    /// One more list names this backend: its id, or none when the map is full. A new one is nowhere yet: see
    /// [`Backends::arrive`]. Its way is asked for only then.
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
        self.by_address.insert(key(address), Shared { id, users: 1, local: 0, path });
        Some(id)
    }

    /// The same for a backend that only flows of before know; false if nobody has come to know it.
    pub fn hold(&mut self, address: SocketAddr) -> bool {
        self.by_address.get_mut(&key(address)).map(|shared| shared.users += 1).is_some()
    }

    /// One more port says that this backend, which some list names, is on this node; true if it is the first.
    pub fn arrive(&mut self, map: &mut impl Elements<Backend>, address: SocketAddr) -> bool {
        self.by_address.get_mut(&key(address)).is_some_and(|shared| {
            shared.local += 1;
            write_place(map, shared, true);
            shared.local == 1
        })
    }

    /// One port less says so; true if it was the last. The entry stays as it is until [`Backends::settle`], when
    /// no frontend leads to lists of before.
    pub fn depart(&mut self, address: SocketAddr) -> bool {
        let Some(shared) = self.by_address.get_mut(&key(address)) else { return false };
        shared.local = shared.local.saturating_sub(1);
        if shared.local == 0 {
            self.departed.insert(address);
        }
        shared.local == 0
    }

    /// Lets the entries of departed backends say so. Those that no list names are left as they are: flows may
    /// still be chosen from what the programs have read.
    pub fn settle(&mut self, map: &mut impl Elements<Backend>) {
        let by_address = &self.by_address;
        self.departed.retain(|address| {
            let shared = by_address.get(&key(*address));
            shared.filter(|shared| shared.users != 0).inspect(|shared| write_place(map, shared, true)).is_none()
        });
    }

    /// The addresses of backends between two, both included, once each.
    pub fn addresses(&self, first: IpAddr, last: IpAddr) -> BTreeSet<IpAddr> {
        self.between(first, last).map(|(address, _)| address).collect()
    }

    /// Those of this family: prefixes of IPv6 may contain the IPv4-mapped addresses.
    fn between(&self, first: IpAddr, last: IpAddr) -> impl Iterator<Item = (IpAddr, &Shared)> {
        let all =
            self.by_address.range(range(first, last)).map(|((address, _), shared)| (IpAddr::from(*address), shared));
        all.filter(move |(address, _)| address.is_ipv4() == first.is_ipv4())
    }

    /// Whether a backend on this node, whose replies come through it, lies between two addresses, both included.
    pub fn is_any_here(&self, first: IpAddr, last: IpAddr) -> bool {
        self.between(first, last).any(|(_, shared)| shared.local != 0 && !shared.path.is_outward)
    }

    /// The ways to the backends at this address have changed. Returns those on this node whose replies now go past it.
    pub fn redirect(&mut self, map: &mut impl Elements<Backend>, address: IpAddr, path: Path) -> Vec<SocketAddr> {
        let mut past = Vec::new();
        let here = self.by_address.range_mut(range(address, address));
        for (key, shared) in here.filter(|(_, shared)| shared.path != path) {
            if path.is_outward && !shared.path.is_outward && shared.local != 0 {
                past.push(address_of(key));
            }
            shared.path = path;
            // Whether one of before a restart is on this node is still to be said.
            let known = !self.departed.contains(&address_of(key));
            write_place(map, shared, known);
        }
        past
    }

    /// Which sources the entries name.
    pub fn sources(&self) -> BTreeSet<u8> {
        self.by_address.values().map(|shared| shared.path.source).collect()
    }

    /// Whether replies of a backend on this node go past it.
    pub fn is_past(&self, address: SocketAddr) -> bool {
        self.by_address.get(&key(address)).is_some_and(|shared| shared.local != 0 && shared.path.is_outward)
    }

    /// The id of a backend that some list names.
    pub fn id(&self, address: SocketAddr) -> Option<u32> {
        self.by_address.get(&key(address)).map(|shared| shared.id)
    }

    /// One list less names this backend; true when none does any more.
    pub fn release(&mut self, address: SocketAddr) -> bool {
        self.by_address.get_mut(&key(address)).is_some_and(|shared| {
            shared.users = shared.users.saturating_sub(1);
            shared.users == 0
        })
    }

    /// Backends that no list names.
    pub fn unused(&self) -> Vec<SocketAddr> {
        self.by_address.iter().filter(|(_, shared)| shared.users == 0).map(|(key, _)| address_of(key)).collect()
    }

    /// Frees a backend's id unless a list has come to name it again. Call it after a grace period.
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

    /// Number of backends in use.
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

/// Brings the entry's flags in line with what the ports and the routing table say; `known`: the ports have spoken.
fn write_place(map: &mut impl Elements<Backend>, shared: &Shared, known: bool) {
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
