//! How much the maps that the agent writes hold and are to hold, and how larger ones take their places.

use std::{
    collections::BTreeSet,
    net::{IpAddr, SocketAddr},
};

use proxy_common::SlotRange;

use super::{ApplyError, Dataplane, members::memberships};
use crate::{
    config::{MapSizes, Quantity},
    desired::{PortEntry, PortId, Table},
    maps::{
        Maps,
        store::{Elements as _, Store},
    },
};

impl ApplyError {
    /// What there is no room for.
    pub fn lacks(&self) -> Option<Quantity> {
        let Self::Full { flag, .. } = self else { return None };
        Quantity::ALL.into_iter().find(|quantity| quantity.flag() == *flag)
    }
}

impl<S: Store> Dataplane<S> {
    /// How much is in the maps that the agent writes, and how many clients have session affinity. All else is 0.
    pub fn used(&self) -> MapSizes {
        let ports = self.ports.values();
        let (members, ranges) =
            ports.fold((0, 0), |(members, ranges), port| (members + port.members.len(), ranges + port.sources.len()));
        MapSizes {
            services: number(self.owners.len() + self.marks.len()),
            service_ids: self.service_ids.used(),
            slots: self.maps.slots.length() - self.slots.free(),
            backends: self.backends.used(),
            members: number(members),
            networks: number(self.table.networks.len()),
            source_ranges: number(ranges),
            affinity: number(self.crowd.clients()),
            ..MapSizes::NONE
        }
    }

    /// Writes larger maps from now on, which hold exactly what the maps of before do. What nothing refers to any more is kept
    /// until [`Self::release`]: programs over the maps of before may still run.
    pub fn move_to(&mut self, maps: Maps<S>) {
        let before = self.maps.slots.length();
        let slots = SlotRange { offset: before, length: maps.slots.length().saturating_sub(before) };
        self.slots.release(slots);
        self.service_ids.extend(maps.generations.length());
        self.backends.extend(maps.backends.length());
        // What is being read is in the maps of before.
        if let Some(tidying) = self.tidying.take() {
            self.tidying = Some(tidying.again(maps.observed.as_ref()));
        }
        self.crowd.forget();
        self.maps = maps;
        self.is_moving = true;
    }

    /// No program over the maps of before [`Self::move_to`] runs any more.
    pub fn release(&mut self) {
        self.is_moving = false;
    }
}

/// How much a table needs in the maps that the agent writes. All else is 0.
pub fn demand(table: &Table) -> MapSizes {
    let mut demand = MapSizes { networks: number(table.networks.len()), ..MapSizes::NONE };
    let mut owned = BTreeSet::<IpAddr>::new();
    let mut backends = BTreeSet::<SocketAddr>::new();
    for (name, service) in &table.services {
        demand.services += number(service.frontends.iter().count());
        owned.extend(service.owned.iter().map(|(address, _)| *address));
        for (port, entry) in service.ports.iter() {
            let id = PortId { service: name.clone(), port: port.clone() };
            add_port(&mut demand, &mut backends, &id, entry);
        }
    }
    demand.services += number(owned.len());
    demand.backends = number(backends.len());
    demand
}

fn add_port(demand: &mut MapSizes, backends: &mut BTreeSet<SocketAddr>, id: &PortId, entry: &PortEntry) {
    demand.service_ids += 1;
    demand.slots += number(entry.lists.values().map(Vec::len).sum());
    demand.members += number(memberships(id, entry).len());
    demand.source_ranges += entry.sources.as_ref().map_or(0, |sources| number(sources.nets.len()));
    backends.extend(entry.lists.values().flatten());
}

fn number(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(u32::MAX)
}
