//! Starting over maps that an earlier agent has left: ids stay what they were, so that what sockets and
//! clients remember stays true; everything else is written anew and the rest swept away.

use std::{
    collections::{BTreeMap, BTreeSet, HashSet},
    net::SocketAddr,
};

use proxy_common::{Address, Backend, Frontend, Member, SlotRange, SourceRange};

use super::{Dataplane, bump, members::memberships, reclaim::Retired, sources::nets};
use crate::{desired::PortId, maps::encode};

/// What was found in the maps and has not been claimed by a plan yet.
#[derive(Debug, Default)]
pub(super) struct Leftovers {
    /// Service ids.
    pub(super) ids: BTreeMap<PortId, u32>,
    frontends: Vec<Frontend>,
    networks: Vec<(u32, Address)>,
    members: Vec<Member>,
    sources: Vec<(u32, SourceRange)>,
    slots: BTreeSet<(u32, u32)>,
    /// Names that don't say which port an id stood for.
    damaged: Vec<u32>,
}

impl Dataplane {
    /// Reads what the maps hold. Keys that can't be read are as good as absent: writing overwrites them.
    pub(super) fn adopt(&mut self) {
        self.adopt_node_addresses();
        for (id, name) in self.maps.service_names.iter().filter_map(Result::ok) {
            self.service_ids.reserve(id);
            match encode::port_id(&name) {
                Some(port) => drop(self.leftovers.ids.insert(port, id)),
                None => self.leftovers.damaged.push(id),
            }
        }
        if self.leftovers.ids.is_empty() {
            return self.adopt_keys();
        }
        self.backends.adopt(&self.maps.backends);
        self.adopt_sources();
        for (frontend, service) in self.maps.services.iter().filter_map(Result::ok) {
            self.leftovers.frontends.push(frontend);
            for range in [service.internal, service.external] {
                self.slots.reserve(range);
                self.leftovers.slots.insert((range.offset, range.length));
            }
        }
        self.adopt_keys();
    }

    fn adopt_keys(&mut self) {
        let keys = self.maps.networks.keys().filter_map(Result::ok);
        self.leftovers.networks = keys.map(|key| (key.prefix_len(), key.data())).collect();
        let keys = self.maps.source_ranges.keys().filter_map(Result::ok);
        self.leftovers.sources = keys.map(|key| (key.prefix_len(), key.data())).collect();
        self.leftovers.members = self.maps.members.keys().filter_map(Result::ok).collect();
    }

    /// Removes whatever an earlier agent left and the first plan did not claim. Returns the backends that
    /// some UDP socket may still be connected to.
    pub fn sweep(&mut self) -> BTreeSet<SocketAddr> {
        let leftovers = std::mem::take(&mut self.leftovers);
        let mut retired = Retired::default();
        self.sweep_networks(leftovers.networks);
        self.sweep_sources(leftovers.sources);
        let marks: HashSet<Frontend> = self.marks.keys().map(|address| Frontend::owner((*address).into())).collect();
        for frontend in leftovers.frontends {
            if !self.owners.contains_key(&frontend) && !marks.contains(&frontend) {
                // Absent is as good as removed, here and below.
                let _ = self.maps.services.remove(&frontend);
            }
        }
        let mut gone = self.sweep_members(leftovers.members);
        for id in leftovers.ids.into_values().chain(leftovers.damaged) {
            bump(&mut self.maps, id);
            let _ = self.maps.service_names.remove(&id);
            retired.services.push(id);
        }
        retired.slots = leftovers.slots.into_iter().map(|(offset, length)| SlotRange { offset, length }).collect();
        retired.backends = self.backends.unused();
        gone.extend(retired.backends.iter().copied());
        self.reclaim.retire(retired);
        gone
    }

    fn sweep_networks(&mut self, networks: Vec<(u32, Address)>) {
        for (prefix, address) in networks {
            let key = aya::maps::lpm_trie::Key::new(prefix, address);
            let wanted = encode::network(&key).is_some_and(|network| self.table.networks.contains_key(&network));
            if !wanted {
                let _ = self.maps.networks.remove(&key);
            }
        }
    }

    fn sweep_sources(&mut self, sources: Vec<(u32, SourceRange)>) {
        let mut wanted = HashSet::new();
        for (id, port) in &self.ports {
            let entry = self.table.services.get(&id.service).and_then(|service| service.ports.get(&id.port));
            let keys = entry.map_or(&[][..], nets).iter().map(|net| encode::source_range_key(port.id, *net));
            wanted.extend(keys.map(|key| (key.prefix_len(), key.data().service, key.data().client)));
        }
        for (prefix, range) in sources {
            if !wanted.contains(&(prefix, range.service, range.client)) {
                let _ = self.maps.source_ranges.remove(&aya::maps::lpm_trie::Key::new(prefix, range));
            }
        }
    }

    /// Returns the backends that have left some list.
    fn sweep_members(&mut self, members: Vec<Member>) -> BTreeSet<SocketAddr> {
        let mut gone = BTreeSet::new();
        let mut wanted = HashSet::new();
        for (id, port) in &self.ports {
            let entry = self.table.services.get(&id.service).and_then(|service| service.ports.get(&id.port));
            let backends = entry.map(|entry| memberships(id, entry)).unwrap_or_default();
            let ids = backends.into_keys().filter_map(|backend| self.backends.id(backend));
            wanted.extend(ids.map(|backend| (port.id, backend)));
        }
        for member in members {
            if !wanted.contains(&(member.service, member.backend)) {
                let _ = self.maps.members.remove(&member);
                let backend = self.maps.backends.get(member.backend).filter(Backend::is_valid);
                gone.extend(backend.map(|backend| encode::backend_address(&backend)));
            }
        }
        gone
    }
}
