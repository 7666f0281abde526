//! Writes one service port: brings its new state into force in order, and removes its former state when nothing refers to it.

use std::{collections::BTreeSet, net::SocketAddr, sync::Arc};

use ipnet::IpNet;
use proxy_common::{Frontend, List, Protocol, SlotRange};

use super::{
    Applied, ApplyError, Dataplane, bump,
    changes::new_name,
    lists::{Ranges, differing},
    members::{memberships, removed_from_lists},
    paths::log_bypass,
    port_extras::PortExtras,
    reclaim::Retired,
    refused, sources,
};
use crate::{
    desired::{FrontendEntry, PortEntry, PortId, sorted::SortedMap},
    maps::store::{Entries as _, Store},
};

/// A service port as it is in the maps.
#[derive(Debug)]
pub(super) struct Port {
    pub(super) id: u32,
    /// The slots of its lists.
    pub(super) ranges: Ranges,
    /// Its frontends, with the slots that their entries name: internal, then external.
    frontends: SortedMap<Frontend, [SlotRange; 2]>,
    /// `None` if empty.
    pub(super) extras: Option<Box<PortExtras>>,
}

/// What remains to be done when everything that a plan adds is in force.
#[derive(Debug, Default)]
pub(super) struct Deferred {
    /// Ids and slots that nothing refers to any more.
    pub(super) retired: Retired,
    /// Backends that have left a list of a UDP service.
    pub(super) udp_gone: BTreeSet<SocketAddr>,
}

impl Port {
    /// Returns a port of which the maps hold nothing.
    const fn new(id: u32) -> Self {
        Self { id, ranges: SortedMap::new(), frontends: SortedMap::new(), extras: None }
    }

    /// Notes that the entry of a frontend is up to date, and names these slots.
    pub(super) fn note_written(&mut self, frontend: Frontend, slots: [SlotRange; 2]) {
        self.forget_outdated(&frontend);
        self.frontends.insert(frontend, slots);
    }

    /// Notes that a frontend is not this port's any more.
    pub(super) fn forget(&mut self, frontend: &Frontend) {
        self.forget_outdated(frontend);
        self.frontends.remove(frontend);
    }

    /// Whether a frontend's entry still names slots of a former list.
    fn is_former_in_use(&self) -> bool {
        let is_named =
            |range: SlotRange| range.length != 0 && self.frontends.values().flatten().any(|named| *named == range);
        self.extras().former.iter().any(|(range, _)| is_named(*range))
    }
}

impl<S: Store> Dataplane<S> {
    /// Brings a port and its frontends to `entry`. What they used before stays until [`Self::settle`]: a frontend that changes its
    /// list or its port is written later, and uses the former state until then.
    pub(super) fn put_port(
        &mut self,
        id: &PortId,
        entry: PortEntry,
        deferred: &mut Deferred,
    ) -> Result<(), ApplyError> {
        self.make_port(id, &entry)?;
        let before = self.entry(id).unwrap_or_default();
        let admitted = self.put_sources(id, &entry)?;
        // Also if a write fails below: MEMBERS may hold more from now on.
        self.unsettled.insert(id.clone());
        let ranges = self.write_backends(id, &entry, &differing(&entry, &before), &mut deferred.retired);
        let ranges = ranges.inspect_err(|_| self.remove_sources(id, &admitted))?;
        self.note_change(id, &entry);
        self.hold_draining(id, &entry);
        self.mark_local(id, &entry.local);
        self.switch_frontends(id, entry, &before, ranges)
    }

    /// Removes the former state of ports: slots, memberships, source ranges, ids of backends. A port keeps all of it as long as a
    /// frontend's entry still names slots of a former list, because the kernel has refused to replace the entry.
    pub(super) fn settle(&mut self, deferred: &mut Deferred, outcome: &mut Applied) {
        for id in std::mem::take(&mut self.unsettled) {
            let settled = self.write_outdated(&id).and_then(|()| self.remove_former(&id, deferred));
            if let Err(error) = settled {
                outcome.refused.entry(id.service.clone()).or_insert(error);
                self.unsettled.insert(id);
            }
        }
    }

    /// Tries again to write the entries that were refused.
    fn write_outdated(&mut self, id: &PortId) -> Result<(), ApplyError> {
        let outdated = self.ports.get(id).map(|port| port.extras().outdated.clone()).unwrap_or_default();
        for frontend in outdated {
            let table = self.table.services.get(&id.service);
            if let Some(entry) = table.and_then(|table| table.frontends.get(&frontend)).cloned() {
                self.write_frontend(&frontend, id, &entry)?;
            }
        }
        Ok(())
    }

    /// Removes the former state of a port, and has every remembered backend of it checked.
    fn remove_former(&mut self, id: &PortId, deferred: &mut Deferred) -> Result<(), ApplyError> {
        let entry = self.entry(id).unwrap_or_default();
        let Some(port) = self.ports.get_mut(id) else { return Ok(()) };
        if port.is_former_in_use() {
            return Err(ApplyError::InUse);
        }
        let service = port.id;
        let extras = port.extras_mut();
        let (former, had) = (std::mem::take(&mut extras.former), extras.members.clone());
        let gone: Vec<IpNet> =
            extras.sources.iter().filter(|net| !sources::nets(&entry).contains(net)).copied().collect();
        let departed: Vec<_> =
            extras.local.extract_if(.., |backend| entry.local.binary_search(backend).is_err()).collect();
        let draining: BTreeSet<SocketAddr> = entry.draining.values().flatten().collect();
        let ended: Vec<_> = extras.held.extract_if(.., |backend| !draining.contains(backend)).collect();
        self.remove_sources(id, &gone);
        self.unmark_local(&departed);
        let members = memberships(id, &entry);
        let narrowed = self.remove_other_members(id, &members);
        if id.port.protocol == Protocol::Udp {
            deferred.udp_gone.extend(removed_from_lists(&had, &members));
        }
        self.release_backends(
            former.iter().flat_map(|(_, backends)| backends).chain(ended.iter().copied()),
            &mut deferred.retired,
        );
        deferred.retired.slots.extend(former.into_iter().map(|(range, _)| range));
        bump(&mut self.maps, service);
        if let Some(port) = self.ports.get_mut(id) {
            port.trim();
        }
        narrowed
    }

    /// Removes a port whose frontends were removed, or belong to other ports already. A port that still has frontends stays.
    pub(super) fn remove_port(&mut self, id: &PortId, deferred: &mut Deferred) -> Result<(), ApplyError> {
        let Some(port) = self.ports.get(id) else { return Ok(()) };
        if !port.frontends.is_empty() {
            return Err(ApplyError::InUse);
        }
        let (service, members, sources) =
            (port.id, port.extras().members.clone(), port.extras().sources.iter().copied().collect::<Vec<_>>());
        self.remove_members(id, members.keys());
        self.remove_sources(id, &sources);
        let Some(port) = self.ports.remove(id) else { return Ok(()) };
        self.affinity_watch.note(service, 0);
        bump(&mut self.maps, service);
        self.maps.service_names.remove(&service);
        if id.port.protocol == Protocol::Udp {
            deferred.udp_gone.extend(members.into_keys());
        }
        let before = self.entry(id).unwrap_or_default();
        let extras = port.extras();
        let former = extras.former.iter();
        deferred.retired.slots.extend(port.ranges.values().chain(former.clone().map(|(range, _)| range)));
        deferred.retired.services.push(service);
        self.unmark_local(&extras.local.iter().copied().collect::<Vec<_>>());
        let backends = before.lists.values().chain(former.map(|(_, backends)| backends)).flatten();
        self.release_backends(backends.chain(extras.held.iter().copied()), &mut deferred.retired);
        self.remove_from_table(&id.service, |table| drop(table.ports.remove(&id.port)));
        Ok(())
    }

    /// Frees the id and name of a port that was refused before anything of it came into force.
    pub(super) fn abandon(&mut self, id: &PortId, retired: &mut Retired) {
        if self.entry(id).is_none()
            && let Some(port) = self.ports.remove(id)
        {
            self.extra_entries.members -= port.extras().members.len();
            self.extra_entries.sources -= port.extras().sources.len();
            self.maps.service_names.remove(&port.id);
            retired.services.push(port.id);
        }
    }

    fn entry(&self, id: &PortId) -> Option<PortEntry> {
        self.table.services.get(&id.service)?.ports.get(&id.port).cloned()
    }

    /// Gives a port an id if it has none: the one that it had before a restart, or a new one.
    fn make_port(&mut self, id: &PortId, entry: &PortEntry) -> Result<(), ApplyError> {
        if self.ports.contains_key(id) {
            return Ok(());
        }
        let number = match self.leftovers.ids.remove(id) {
            Some(number) => number,
            None => self.name_port(id, entry)?,
        };
        let members = self.take_members(number);
        let mut port = Port::new(number);
        if !members.is_empty() {
            self.extra_entries.members += members.len();
            port.extras_mut().members = members;
        }
        self.ports.insert(Arc::new(id.clone()), port);
        Ok(())
    }

    /// Returns a new id for a port, and writes its name.
    fn name_port(&mut self, id: &PortId, entry: &PortEntry) -> Result<u32, ApplyError> {
        let full = ApplyError::Full { what: "GENERATIONS", flag: "--max-service-ports" };
        let number = self.service_ids.allocate().ok_or(full)?;
        if let Err(error) = self.maps.service_names.put(number, new_name(id, entry)) {
            self.service_ids.release(number);
            return Err(refused("SERVICE_NAMES", "--max-service-ports", error));
        }
        Ok(number)
    }

    /// Makes the port's frontends use the new ranges, in one atomic update each. A frontend whose list was removed is left as it
    /// is: the plan puts or removes it next. A frontend that can't be written is noted as outdated.
    fn switch_frontends(
        &mut self,
        id: &PortId,
        entry: PortEntry,
        before: &PortEntry,
        ranges: Ranges,
    ) -> Result<(), ApplyError> {
        let table = self.table.services.entry(id.service.clone()).or_default();
        let of_port = table.frontends.iter().filter(|(_, frontend)| {
            let [internal, external] = [frontend.internal, frontend.external];
            frontend.port == id.port && entry.lists.contains_key(&internal) && entry.lists.contains_key(&external)
        });
        let frontends: Vec<(Frontend, FrontendEntry)> = of_port.map(|(key, entry)| (*key, entry.clone())).collect();
        if let Some(port) = self.ports.get_mut(id) {
            let left = |list: &List| !entry.lists.contains_key(list) || ranges.contains_key(list);
            let former = port.ranges.take_where(left);
            if !former.is_empty() {
                let with_backends = |(list, range)| (range, before.lists.get(&list).cloned().unwrap_or_default());
                port.extras_mut().former.extend(former.into_iter().map(with_backends));
            }
            port.ranges.extend(ranges);
            self.affinity_watch.note(port.id, entry.affinity_timeout);
        }
        table.ports.insert(id.port.clone(), entry);
        let mut switched = Ok(());
        for (frontend, entry) in frontends {
            if let Err(error) = self.write_frontend(&frontend, id, &entry) {
                self.ports.get_mut(id).map(|port| port.extras_mut().outdated.insert(frontend));
                switched = Err(error);
            }
        }
        switched
    }

    /// Notes that these backends are on this node according to a port.
    fn mark_local(&mut self, id: &PortId, backends: &[SocketAddr]) {
        for backend in backends {
            if self.ports.get_mut(id).is_none_or(|port| !port.extras_mut().local.insert(*backend)) {
                continue;
            }
            self.filters.put_local_backend(&mut self.maps.filters, backend.ip());
            if self.backends.mark_local(&mut self.maps.backends, *backend)
                && self.backends.replies_bypass(&self.maps.backends, *backend)
            {
                log_bypass(*backend);
            }
        }
    }

    /// Notes that these backends are not on this node any more according to a port.
    fn unmark_local(&mut self, backends: &[SocketAddr]) {
        for backend in backends {
            self.backends.unmark_local(&self.maps.backends, *backend);
            self.filters.remove_local_backend(backend.ip());
        }
    }
}
