//! Writes MEMBERS: the backends that flows and clients of a service port may stay with. Also holds the ids of draining backends,
//! which only existing flows know.

use std::{collections::BTreeMap, net::SocketAddr};

use proxy_common::{List, Member, Protocol};

use super::{ApplyError, Dataplane, refused};
use crate::{
    desired::{BackendList, PortEntry, PortId, sorted::SortedMap},
    maps::store::{Entries as _, Store},
};

/// For each backend, the bits of the lists that it is a member of ([`List::bit`], [`List::draining`]).
pub(super) type Memberships = BTreeMap<SocketAddr, u32>;

/// Returns the members that a port needs: none unless something remembers its backends (affinity, UDP flows).
pub(super) fn memberships(id: &PortId, entry: &PortEntry) -> Memberships {
    let mut members = Memberships::new();
    let mut add = |backends: &SortedMap<List, BackendList>, bit: fn(u32) -> u32| {
        for (list, backends) in backends {
            for backend in backends {
                *members.entry(backend).or_default() |= bit(list.bit());
            }
        }
    };
    let is_udp = id.port.protocol == Protocol::Udp;
    if is_udp || entry.affinity_timeout != 0 {
        add(&entry.lists, |bit| bit);
    }
    if is_udp {
        add(&entry.draining, List::draining);
    }
    members
}

/// Returns the backends that flows of some list may not stay with any more.
pub(super) fn removed_from_lists<'a>(
    old: &'a Memberships,
    new: &'a Memberships,
) -> impl Iterator<Item = SocketAddr> + 'a {
    let lists = [List::Cluster, List::Local].map(|list| List::serving(list.bit()));
    let left = move |(backend, before): (&SocketAddr, &u32)| {
        let now = new.get(backend).copied().unwrap_or(0);
        lists.iter().any(|list| before & list != 0 && now & list == 0).then_some(*backend)
    };
    old.iter().filter_map(left)
}

impl<S: Store> Dataplane<S> {
    /// Adds memberships to those that backends have. Backends without an id are left out: no flow knows them. On failure,
    /// backends that were no members before are none.
    pub(super) fn add_members(&mut self, id: &PortId, members: &Memberships) -> Result<(), ApplyError> {
        let Some(before) = self.ports.get(id).map(|port| port.extras().members.clone()) else { return Ok(()) };
        for (address, lists) in members {
            let lists = lists | before.get(address).copied().unwrap_or(0);
            if let Err(error) = self.write_member(id, *address, lists) {
                self.remove_members(id, members.keys().filter(|address| !before.contains_key(address)));
                return Err(error);
            }
        }
        Ok(())
    }

    /// Removes all memberships that are not in `members`.
    pub(super) fn remove_other_members(&mut self, id: &PortId, members: &Memberships) -> Result<(), ApplyError> {
        let Some(before) = self.ports.get(id).map(|port| port.extras().members.clone()) else { return Ok(()) };
        self.remove_members(id, before.keys().filter(|address| !members.contains_key(address)));
        // MEMBERS is not preallocated, so replacing a value allocates memory and may fail.
        let narrower = members.iter().filter(|(address, _)| before.contains_key(address));
        narrower.into_iter().try_for_each(|(address, lists)| self.write_member(id, *address, *lists))
    }

    fn write_member(&mut self, id: &PortId, address: SocketAddr, lists: u32) -> Result<(), ApplyError> {
        let (Some(port), Some(backend)) = (self.ports.get_mut(id), self.backends.id(&self.maps.backends, address))
        else {
            return Ok(());
        };
        if port.extras().members.get(&address) == Some(&lists) {
            return Ok(());
        }
        let write = self.maps.members.put(Member { service: port.id, backend }, lists);
        write.map_err(|error| refused("MEMBERS", "--max-members", error))?;
        let added = port.extras_mut().members.insert(address, lists).is_none();
        self.extra_entries.members += usize::from(added);
        Ok(())
    }

    pub(super) fn remove_members<'a>(&mut self, id: &PortId, addresses: impl Iterator<Item = &'a SocketAddr>) {
        let Some(port) = self.ports.get_mut(id) else { return };
        for address in addresses {
            let removed = port.extras_mut().members.remove(address).is_some();
            self.extra_entries.members -= usize::from(removed);
            if let Some(backend) = self.backends.id(&self.maps.backends, *address) {
                self.maps.members.remove(&Member { service: port.id, backend });
            }
        }
    }

    /// Keeps the ids of a port's draining backends: flows refer to the backends by id.
    pub(super) fn hold_draining(&mut self, id: &PortId, entry: &PortEntry) {
        let Some(port) = self.ports.get_mut(id) else { return };
        for backend in entry.draining.values().flatten() {
            // No flow knows a backend without an id.
            if !port.extras().held.contains(&backend) && self.backends.add_user(&self.maps.backends, backend) {
                self.filters.put_any_backend(&mut self.maps.filters, backend.ip());
                port.extras_mut().held.insert(backend);
            }
        }
    }
}
