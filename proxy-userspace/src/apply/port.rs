//! Writing one service port: its backends, slots, memberships and generation.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
};

use proxy_common::{Frontend, List, Member, Protocol, SlotRange};

use super::{ApplyError, Dataplane, Port, bump, encode, reclaim::Retired, refused};
use crate::table::{FrontendEntry, PortEntry, PortId};

type Lists = BTreeMap<List, Vec<SocketAddr>>;
type Ranges = BTreeMap<List, SlotRange>;
/// The lists' bits by backend.
pub(super) type Memberships = BTreeMap<SocketAddr, u32>;

impl Dataplane {
    /// Brings a port to `entry`: new lists first, then its frontends, then what they no longer use.
    pub(super) fn put_port(
        &mut self,
        id: &PortId,
        entry: PortEntry,
        retired: &mut Retired,
        udp_gone: &mut BTreeSet<SocketAddr>,
    ) -> Result<(), ApplyError> {
        let before = self.entry(id).unwrap_or_default();
        let service = self.port_id(id)?;
        let changed = differing(&entry, &before);
        let gone = differing(&before, &entry);
        let ranges = self.write_lists(&changed, retired)?;
        let (old, new) = (memberships(id, &before), memberships(id, &entry));
        if let Err(error) = self.add_members(service, &new) {
            self.remove_members(service, new.keys().filter(|backend| !old.contains_key(backend)));
            self.undo_lists(&changed, &ranges, retired);
            return Err(error);
        }
        let old_ranges = self.switch(id, entry, ranges)?;
        let left = old.iter().filter(|(backend, _)| !new.contains_key(backend));
        self.remove_members(service, left.map(|(backend, _)| backend));
        bump(&mut self.maps, service);
        if id.port.protocol == Protocol::Udp {
            let lost = |backend, lists: u32| new.get(backend).copied().unwrap_or(0) & lists != lists;
            udp_gone.extend(old.iter().filter(|(backend, lists)| lost(backend, **lists)).map(|(backend, _)| *backend));
        }
        retired.slots.extend(old_ranges);
        self.release_backends(gone.values().flatten(), retired);
        Ok(())
    }

    /// Takes a port away. Its frontends are gone or belong to others already.
    pub(super) fn remove_port(&mut self, id: &PortId, retired: &mut Retired, udp_gone: &mut BTreeSet<SocketAddr>) {
        let Some(port) = self.ports.remove(id) else { return };
        let before = self.entry(id).unwrap_or_default();
        let members = memberships(id, &before);
        self.remove_members(port.id, members.keys());
        bump(&mut self.maps, port.id);
        // Absent is as good as removed.
        let _ = self.maps.service_names.remove(&port.id);
        if id.port.protocol == Protocol::Udp {
            udp_gone.extend(members.into_keys());
        }
        retired.slots.extend(port.ranges.values());
        retired.services.push(port.id);
        self.release_backends(before.lists.values().flatten(), retired);
        self.take_from_table(&id.service, |table| drop(table.ports.remove(&id.port)));
    }

    /// A port that was refused before anything of it came into force leaves no id and no name.
    pub(super) fn abandon(&mut self, id: &PortId, retired: &mut Retired) {
        if self.entry(id).is_none()
            && let Some(port) = self.ports.remove(id)
        {
            let _ = self.maps.service_names.remove(&port.id);
            retired.services.push(port.id);
        }
    }

    fn entry(&self, id: &PortId) -> Option<PortEntry> {
        self.table.services.get(&id.service)?.ports.get(&id.port).cloned()
    }

    /// The port's id: the one it has, the one it had before a restart, or a new one.
    fn port_id(&mut self, id: &PortId) -> Result<u32, ApplyError> {
        if let Some(port) = self.ports.get(id) {
            return Ok(port.id);
        }
        let full = ApplyError::Full { what: "GENERATIONS", flag: "--max-service-ports" };
        let number = match self.leftovers.ids.remove(id) {
            Some(number) => number,
            None => self.service_ids.allocate().ok_or(full)?,
        };
        if let Err(error) = self.maps.service_names.insert(number, encode::name(id), 0) {
            self.service_ids.release(number);
            return Err(refused("SERVICE_NAMES", "--max-service-ports", error));
        }
        self.ports.insert(id.clone(), Port { id: number, ranges: BTreeMap::new(), frontends: BTreeSet::new() });
        Ok(number)
    }

    /// Writes each list into fresh slots. On failure nothing is kept.
    fn write_lists(&mut self, lists: &Lists, retired: &mut Retired) -> Result<Ranges, ApplyError> {
        let mut ranges = Ranges::new();
        for (list, backends) in lists {
            match self.write_list(backends, retired) {
                Ok(range) => drop(ranges.insert(*list, range)),
                Err(error) => {
                    self.undo_lists(lists, &ranges, retired);
                    return Err(error);
                }
            }
        }
        Ok(ranges)
    }

    fn write_list(&mut self, backends: &[SocketAddr], retired: &mut Retired) -> Result<SlotRange, ApplyError> {
        let length = u32::try_from(backends.len()).ok();
        let range = length.and_then(|length| self.slots.allocate(length));
        let range = range.ok_or(ApplyError::Full { what: "SLOTS", flag: "--max-slots" })?;
        for (taken, (slot, backend)) in (range.offset..).zip(backends).enumerate() {
            let Some(id) = self.backends.acquire(&mut self.maps.backends, *backend) else {
                self.slots.release(range);
                self.release_backends(backends[..taken].iter(), retired);
                return Err(ApplyError::Full { what: "BACKENDS", flag: "--max-backends" });
            };
            self.maps.slots.set(slot, id);
        }
        Ok(range)
    }

    /// Gives back lists that were written and never referred to.
    fn undo_lists(&mut self, lists: &Lists, ranges: &Ranges, retired: &mut Retired) {
        for (list, range) in ranges {
            self.slots.release(*range);
            self.release_backends(lists.get(list).into_iter().flatten(), retired);
        }
    }

    /// Makes the port's frontends use the new ranges, in one atomic update each, and returns the ranges
    /// that nothing refers to any more. A frontend that can't be written keeps the old ones, which are
    /// then never used again; it is planned anew.
    fn switch(&mut self, id: &PortId, entry: PortEntry, ranges: Ranges) -> Result<Vec<SlotRange>, ApplyError> {
        let table = self.table.services.entry(id.service.clone()).or_default();
        let of_port = table.frontends.iter().filter(|(_, frontend)| frontend.port == id.port);
        let frontends: Vec<(Frontend, FrontendEntry)> = of_port.map(|(key, entry)| (*key, entry.clone())).collect();
        let mut old = Vec::new();
        if let Some(port) = self.ports.get_mut(id) {
            port.ranges.retain(|list, range| {
                let kept = entry.lists.contains_key(list) && !ranges.contains_key(list);
                if !kept {
                    old.push(*range);
                }
                kept
            });
            port.ranges.extend(ranges);
        }
        table.ports.insert(id.port.clone(), entry);
        for (frontend, entry) in frontends {
            if let Err(error) = self.write_frontend(&frontend, id, &entry) {
                if let Some(table) = self.table.services.get_mut(&id.service) {
                    table.frontends.remove(&frontend);
                }
                return Err(error);
            }
        }
        Ok(old)
    }

    fn add_members(&mut self, service: u32, members: &Memberships) -> Result<(), ApplyError> {
        for (backend, lists) in members {
            let Some(backend) = self.backends.id(*backend) else { continue };
            self.maps
                .members
                .insert(Member { service, backend }, lists, 0)
                .map_err(|error| refused("MEMBERS", "--max-members", error))?;
        }
        Ok(())
    }

    fn remove_members<'a>(&mut self, service: u32, backends: impl Iterator<Item = &'a SocketAddr>) {
        for backend in backends.filter_map(|backend| self.backends.id(*backend)) {
            // Absent is as good as removed.
            let _ = self.maps.members.remove(&Member { service, backend });
        }
    }

    fn release_backends<'a>(&mut self, backends: impl Iterator<Item = &'a SocketAddr>, retired: &mut Retired) {
        for backend in backends {
            if self.backends.release(*backend) {
                retired.backends.push(*backend);
            }
        }
    }
}

/// The lists of `of` that `other` does not have in the same form.
fn differing(of: &PortEntry, other: &PortEntry) -> Lists {
    let differs = |list, backends| other.lists.get(list) != Some(backends);
    let lists = of.lists.iter().filter(|(list, backends)| differs(list, backends));
    lists.map(|(list, backends)| (*list, backends.clone())).collect()
}

/// Who must be in MEMBERS: only where something remembers a backend (affinity, UDP flows).
pub(super) fn memberships(id: &PortId, entry: &PortEntry) -> Memberships {
    let mut members = Memberships::new();
    if id.port.protocol == Protocol::Udp || entry.affinity_timeout != 0 {
        for (list, backends) in &entry.lists {
            for backend in backends {
                *members.entry(*backend).or_default() |= list.bit();
            }
        }
    }
    members
}
