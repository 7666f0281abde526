//! Starts with maps that an earlier agent has left. Ids keep their meanings, so that what sockets and clients remember stays
//! true; everything else is written again, and what the first plan does not claim is removed.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    net::SocketAddr,
};

use proxy_common::{Address, Backend, Frontend, Member, SlotRange, SourceRange};

use super::{Dataplane, bump, members::Memberships, reclaim::Retired, sources::nets};
use crate::{
    desired::{BackendList, PortId},
    maps::{
        encode,
        store::{Elements as _, Entries as _, Store},
    },
};

/// The contents of the maps at the start that no plan has claimed yet.
#[derive(Debug, Default)]
pub(super) struct Leftovers {
    /// Service ids by the ports that they stood for.
    pub(super) ids: BTreeMap<PortId, u32>,
    frontends: Vec<Frontend>,
    networks: Vec<(u32, Address)>,
    /// Members by service id.
    members: BTreeMap<u32, Memberships>,
    /// Members whose backends are not in BACKENDS.
    stray: Vec<Member>,
    sources: Vec<(u32, SourceRange)>,
    slots: BTreeSet<(u32, u32)>,
    /// Ranges of slots by the backend ids in them.
    lists: HashMap<Vec<u32>, Vec<SlotRange>>,
    /// Ranges that lists of the first plan have taken over. Entries of earlier frontends may still name them.
    reused: BTreeSet<(u32, u32)>,
    /// Service ids whose names can't be decoded.
    damaged: Vec<u32>,
}

impl<S: Store> Dataplane<S> {
    /// Reads what the maps hold. Keys that can't be read count as absent: later writes replace them.
    pub(super) fn adopt(&mut self) {
        self.adopt_node_addresses();
        for (id, name) in self.maps.service_names.entries() {
            self.service_ids.reserve(id);
            match encode::port_id(&name) {
                Some(port) => drop(self.leftovers.ids.insert(port, id)),
                None => self.leftovers.damaged.push(id),
            }
        }
        self.backends.adopt(&self.maps.backends);
        self.adopt_sources();
        for (frontend, service) in self.maps.services.entries() {
            self.leftovers.frontends.push(frontend);
            for range in [service.internal, service.external] {
                self.slots.reserve(range);
                if self.leftovers.slots.insert((range.offset, range.length)) && range.length != 0 {
                    let slots = range.offset..range.offset.saturating_add(range.length);
                    let ids = slots.map_while(|slot| self.maps.slots.get(slot)).collect();
                    self.leftovers.lists.entry(ids).or_default().push(range);
                }
            }
        }
        self.adopt_keys();
    }

    fn adopt_keys(&mut self) {
        self.leftovers.networks = self.maps.networks.keys().map(|key| (key.prefix_len(), key.data())).collect();
        self.leftovers.sources = self.maps.source_ranges.keys().map(|key| (key.prefix_len(), key.data())).collect();
        for (member, lists) in self.maps.members.entries() {
            match self.maps.backends.get(member.backend).filter(Backend::is_valid) {
                Some(backend) => {
                    let of_service = self.leftovers.members.entry(member.service).or_default();
                    of_service.insert(encode::backend_address(&backend), lists);
                }
                None => self.leftovers.stray.push(member),
            }
        }
    }

    /// Removes what an earlier agent left and the first plan did not claim. Returns the backends that have left a list, to which
    /// UDP sockets may still be connected.
    pub fn sweep(&mut self) -> BTreeSet<SocketAddr> {
        let leftovers = std::mem::take(&mut self.leftovers);
        let mut retired = Retired::default();
        self.sweep_networks(leftovers.networks);
        self.sweep_sources(leftovers.sources);
        let marks: HashSet<Frontend> = self.marks.keys().map(|address| Frontend::owner((*address).into())).collect();
        for frontend in leftovers.frontends {
            if !self.owners.contains_key(&frontend) && !marks.contains(&frontend) {
                self.maps.services.remove(&frontend);
            }
        }
        let mut gone = self.sweep_members(leftovers.members, &leftovers.stray);
        for id in leftovers.ids.into_values().chain(leftovers.damaged) {
            bump(&mut self.maps, id);
            self.maps.service_names.remove(&id);
            retired.services.push(id);
        }
        retired.slots = leftovers.slots.into_iter().map(|(offset, length)| SlotRange { offset, length }).collect();
        retired.backends = self.backends.unused(&self.maps.backends);
        gone.extend(retired.backends.iter().copied());
        self.reclaim.retire(retired);
        gone
    }

    fn sweep_networks(&mut self, networks: Vec<(u32, Address)>) {
        for (prefix, address) in networks {
            let key = aya::maps::lpm_trie::Key::new(prefix, address);
            let wanted = encode::network(&key).is_some_and(|network| self.table.networks.contains_key(&network));
            if !wanted {
                self.maps.networks.remove(&key);
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
                self.maps.source_ranges.remove(&aya::maps::lpm_trie::Key::new(prefix, range));
            }
        }
    }

    /// Takes a range of slots that an earlier agent has left for exactly these backends, so that most lists need no new slots
    /// after a restart. It may have been another service's: an entry that still names the range finds the same backends.
    pub(super) fn reuse_slots(&mut self, backends: &BackendList) -> Option<SlotRange> {
        if self.leftovers.lists.is_empty() {
            return None;
        }
        let ids: Vec<u32> =
            backends.iter().map(|backend| self.backends.id(&self.maps.backends, backend)).collect::<Option<_>>()?;
        let range = self.leftovers.lists.get_mut(&ids)?.pop()?;
        self.leftovers.slots.remove(&(range.offset, range.length));
        self.leftovers.reused.insert((range.offset, range.length));
        Some(range)
    }

    /// Gives back the slots of a list that was written but does not come into force.
    pub(super) fn give_back_slots(&mut self, range: SlotRange) {
        if self.leftovers.reused.contains(&(range.offset, range.length)) {
            self.leftovers.slots.insert((range.offset, range.length));
        } else {
            self.slots.release(range);
        }
    }

    /// Takes the members that an earlier agent has left for a service.
    pub(super) fn take_members(&mut self, service: u32) -> Memberships {
        self.leftovers.members.remove(&service).unwrap_or_default()
    }

    /// Removes unclaimed members. Returns their backends.
    fn sweep_members(&mut self, members: BTreeMap<u32, Memberships>, stray: &[Member]) -> BTreeSet<SocketAddr> {
        let mut gone = BTreeSet::new();
        for (service, members) in members {
            for address in members.into_keys() {
                if let Some(backend) = self.backends.id(&self.maps.backends, address) {
                    self.maps.members.remove(&Member { service, backend });
                }
                gone.insert(address);
            }
        }
        for member in stray {
            self.maps.members.remove(member);
        }
        gone
    }
}
