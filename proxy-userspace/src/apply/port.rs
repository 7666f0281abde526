//! Writing one service port: its backends, slots, memberships and generation.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
};

use ipnet::IpNet;
use proxy_common::{Frontend, List, Protocol, SlotRange};

use super::{
    ApplyError, Dataplane, Port, bump,
    members::{Memberships, left, memberships},
    paths::tell_past,
    reclaim::Retired,
    refused, sources, zero,
};
use crate::{
    desired::{FrontendEntry, PortEntry, PortId},
    maps::encode,
};

type Lists = BTreeMap<List, Vec<SocketAddr>>;
type Ranges = BTreeMap<List, SlotRange>;
/// What is to be done when every part of a plan that adds something is in force.
#[derive(Debug, Default)]
pub(super) struct Aftermath {
    /// What nothing refers to any more.
    pub(super) retired: Retired,
    /// Backends that have left a list of a UDP service.
    pub(super) udp_gone: BTreeSet<SocketAddr>,
    settling: Vec<Settling>,
}

/// A port whose MEMBERS hold both what it had and what it has.
#[derive(Debug)]
struct Settling {
    service: u32,
    old: Memberships,
    new: Memberships,
    /// Source ranges that no frontend asks for any more.
    sources: Vec<IpNet>,
}

impl Dataplane {
    /// Brings a port to `entry`: new lists, then its frontends. What they no longer use is left to the aftermath,
    /// because a frontend that changes its list is still to be written and uses the old one until then.
    pub(super) fn put_port(&mut self, id: &PortId, entry: PortEntry, after: &mut Aftermath) -> Result<(), ApplyError> {
        let before = self.entry(id).unwrap_or_default();
        let service = self.port_id(id)?;
        let gone = differing(&before, &entry);
        let (old, new) = (memberships(id, &before), memberships(id, &entry));
        let admitted = sources::surplus(&entry, &before);
        self.put_sources(service, &admitted)?;
        let written = self.write_backends(service, &differing(&entry, &before), (&old, &new), &mut after.retired);
        let ranges = written.inspect_err(|_| self.remove_sources(service, &admitted))?;
        self.hold(id, &entry, &mut after.retired);
        let (arrived, departed) = (missing(&entry.local, &before.local), missing(&before.local, &entry.local));
        self.arrive(&arrived);
        let sources = sources::surplus(&before, &entry);
        let switched = self.switch(id, entry, ranges);
        self.depart(&departed);
        let old_ranges = switched?;
        if id.port.protocol == Protocol::Udp {
            after.udp_gone.extend(left(&old, &new));
        }
        after.settling.push(Settling { service, old, new, sources });
        after.retired.slots.extend(old_ranges);
        self.release_backends(gone.values().flatten(), &mut after.retired);
        Ok(())
    }

    /// Ends the memberships that ports have lost, and makes every memory of them be checked.
    pub(super) fn settle(&mut self, after: &mut Aftermath) {
        for Settling { service, old, new, sources } in std::mem::take(&mut after.settling) {
            self.remove_sources(service, &sources);
            self.remove_members(service, old.keys().filter(|backend| !new.contains_key(backend)));
            // These keys exist: replacing their values needs no room.
            let _ = self.add_members(service, &Memberships::new(), &new);
            bump(&mut self.maps, service);
        }
    }

    /// Takes a port away. Its frontends are gone or belong to others already.
    pub(super) fn remove_port(&mut self, id: &PortId, after: &mut Aftermath) {
        let Some(port) = self.ports.remove(id) else { return };
        let before = self.entry(id).unwrap_or_default();
        let members = memberships(id, &before);
        self.remove_members(port.id, members.keys());
        self.remove_sources(port.id, sources::nets(&before));
        bump(&mut self.maps, port.id);
        // Absent is as good as removed.
        let _ = self.maps.service_names.remove(&port.id);
        if id.port.protocol == Protocol::Udp {
            after.udp_gone.extend(members.into_keys());
        }
        after.retired.slots.extend(port.ranges.values());
        after.retired.services.push(port.id);
        self.depart(&before.local);
        self.release_backends(before.lists.values().flatten().chain(&port.held), &mut after.retired);
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
        let number = if let Some(number) = self.leftovers.ids.remove(id) {
            number
        } else {
            let number = self.service_ids.allocate().ok_or(full)?;
            zero(&mut self.maps.service_counters, number);
            number
        };
        if let Err(error) = self.maps.service_names.insert(number, encode::name(id), 0) {
            self.service_ids.release(number);
            return Err(refused("SERVICE_NAMES", "--max-service-ports", error));
        }
        self.ports.insert(
            id.clone(),
            Port { id: number, ranges: BTreeMap::new(), frontends: BTreeSet::new(), held: BTreeSet::new() },
        );
        Ok(number)
    }

    /// Writes lists and the members of all. On failure nothing is kept.
    fn write_backends(
        &mut self,
        service: u32,
        lists: &Lists,
        (old, new): (&Memberships, &Memberships),
        retired: &mut Retired,
    ) -> Result<Ranges, ApplyError> {
        let ranges = self.write_lists(lists, retired)?;
        if let Err(error) = self.add_members(service, old, new) {
            self.remove_members(service, new.keys().filter(|backend| !old.contains_key(backend)));
            self.undo_lists(lists, &ranges, retired);
            return Err(error);
        }
        Ok(ranges)
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
            let is_new = self.backends.id(*backend).is_none();
            let Some(id) = self.acquire(*backend) else {
                self.slots.release(range);
                self.release_backends(backends[..taken].iter(), retired);
                return Err(ApplyError::Full { what: "BACKENDS", flag: "--max-backends" });
            };
            if is_new {
                zero(&mut self.maps.backend_counters, id);
            }
            self.filters.put_asked(&mut self.maps.filters, backend.ip());
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
    /// that the port has no more. A frontend whose list is not there any more is left as it is: the plan puts or
    /// removes it next, and until then it serves from the old range. A frontend that can't be written keeps the old ones, which are
    /// then never used again; it is planned anew.
    fn switch(&mut self, id: &PortId, entry: PortEntry, ranges: Ranges) -> Result<Vec<SlotRange>, ApplyError> {
        let table = self.table.services.entry(id.service.clone()).or_default();
        let of_port = table.frontends.iter().filter(|(_, frontend)| {
            let [internal, external] = [frontend.internal, frontend.external];
            frontend.port == id.port && entry.lists.contains_key(&internal) && entry.lists.contains_key(&external)
        });
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

    /// A port says that these backends are on this node.
    fn arrive(&mut self, backends: &[SocketAddr]) {
        for backend in backends {
            self.filters.put_backend(&mut self.maps.filters, backend.ip());
            if self.backends.arrive(&mut self.maps.backends, *backend) && self.backends.is_past(*backend) {
                tell_past(*backend);
            }
        }
    }

    /// A port says so no more.
    fn depart(&mut self, backends: &[SocketAddr]) {
        for backend in backends {
            self.backends.depart(*backend);
            self.filters.remove_backend(backend.ip());
        }
    }

    pub(super) fn release_backends<'a>(
        &mut self,
        backends: impl Iterator<Item = &'a SocketAddr>,
        retired: &mut Retired,
    ) {
        for backend in backends {
            self.filters.remove_asked(backend.ip());
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

/// Those of `of` that are not in `other`, which is sorted.
fn missing(of: &[SocketAddr], other: &[SocketAddr]) -> Vec<SocketAddr> {
    of.iter().filter(|address| other.binary_search(address).is_err()).copied().collect()
}
