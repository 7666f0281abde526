//! The backends in BACKENDS: one id an address and port, shared by all lists that name it, counted.

use std::{collections::HashMap, net::SocketAddr};

use proxy_common::Backend;

use super::{allocate::IdPool, encode};
use crate::bpf::MappedArray;

#[derive(Debug)]
struct Shared {
    id: u32,
    users: u32,
}

/// Who uses which entry of BACKENDS. Methods that write the map take it.
#[derive(Debug)]
pub struct Backends {
    ids: IdPool,
    by_address: HashMap<SocketAddr, Shared>,
}

impl Backends {
    /// For a map of this many entries, all free.
    pub fn new(limit: u32) -> Self {
        Self { ids: IdPool::new(limit), by_address: HashMap::new() }
    }

    /// Takes over the backends that the map holds already: they keep their ids, without users.
    pub fn adopt(&mut self, map: &MappedArray<Backend>) {
        for id in 1..map.length() {
            if let Some(backend) = map.get(id).filter(Backend::is_valid) {
                self.ids.reserve(id);
                self.by_address.insert(encode::backend_address(&backend), Shared { id, users: 0 });
            }
        }
    }

    /// One more list names this backend: its id, or none when the map is full.
    pub fn acquire(&mut self, map: &mut MappedArray<Backend>, address: SocketAddr) -> Option<u32> {
        if let Some(shared) = self.by_address.get_mut(&address) {
            shared.users += 1;
            return Some(shared.id);
        }
        let id = self.ids.allocate()?;
        let generation = map.get(id).map_or(0, |backend| backend.generation).wrapping_add(1);
        map.set(id, encode::backend(address, generation));
        self.by_address.insert(address, Shared { id, users: 1 });
        Some(id)
    }

    /// The id of a backend that some list names.
    pub fn id(&self, address: SocketAddr) -> Option<u32> {
        self.by_address.get(&address).map(|shared| shared.id)
    }

    /// One list less names this backend; true when none does any more.
    pub fn release(&mut self, address: SocketAddr) -> bool {
        self.by_address.get_mut(&address).is_some_and(|shared| {
            shared.users = shared.users.saturating_sub(1);
            shared.users == 0
        })
    }

    /// Backends that no list names.
    pub fn unused(&self) -> Vec<SocketAddr> {
        self.by_address.iter().filter(|(_, shared)| shared.users == 0).map(|(address, _)| *address).collect()
    }

    /// Frees a backend's id unless a list has come to name it again. Call it after a grace period.
    pub fn retire(&mut self, map: &mut MappedArray<Backend>, address: SocketAddr) {
        if let Some(shared) = self.by_address.get(&address)
            && shared.users == 0
        {
            let generation = map.get(shared.id).map_or(0, |backend| backend.generation);
            map.set(shared.id, Backend { generation, ..Backend::default() });
            self.ids.release(shared.id);
            self.by_address.remove(&address);
        }
    }

    /// Number of backends in use.
    pub fn count(&self) -> usize {
        self.by_address.len()
    }
}
