//! How much the maps that the agent writes hold and need, and the move to larger maps.

use std::net::{IpAddr, SocketAddr};

use proxy_common::SlotRange;

use super::{ApplyError, Dataplane, members::memberships};
use crate::{
    config::{MapSizes, Quantity},
    desired::{BackendList, PortEntry, PortId, Table},
    maps::{
        Maps,
        store::{Elements as _, Store},
    },
};

impl ApplyError {
    /// Returns the quantity that a map is too small for; `None` if this is another error.
    pub fn lacks(&self) -> Option<Quantity> {
        let Self::Full { flag, .. } = self else { return None };
        Quantity::ALL.into_iter().find(|quantity| quantity.flag() == *flag)
    }
}

impl<S: Store> Dataplane<S> {
    /// Returns how much the maps that the agent writes hold, and how many clients have session affinity. All else is 0.
    pub fn used(&self) -> MapSizes {
        MapSizes {
            services: number(self.owners.len() + self.marks.len()),
            service_ids: self.service_ids.used(),
            slots: self.maps.slots.length() - self.slots.free(),
            backends: self.backends.used(),
            members: number(self.extra_entries.members),
            networks: number(self.table.networks.len()),
            source_ranges: number(self.extra_entries.sources),
            affinity: number(self.affinity_watch.clients()),
            ..MapSizes::NONE
        }
    }

    /// Switches to larger maps, which must hold exactly what the current ones do. Until [`Self::release`], ids and slots that
    /// nothing refers to are not used again, since programs that use the previous maps may still run.
    pub fn move_to(&mut self, maps: Maps<S>) {
        let before = self.maps.slots.length();
        let slots = SlotRange { offset: before, length: maps.slots.length().saturating_sub(before) };
        self.slots.release(slots);
        self.service_ids.extend(maps.generations.length());
        self.backends.extend(maps.backends.length());
        // The flows that are being read are those of the previous maps.
        if let Some(tidying) = self.tidying.take() {
            self.tidying = Some(tidying.again(maps.observed.as_ref()));
        }
        self.affinity_watch.forget();
        self.maps = maps;
        self.is_moving = true;
    }

    /// To be called when no program that uses the maps before [`Self::move_to`] runs any more.
    pub fn release(&mut self) {
        self.is_moving = false;
    }
}

/// How much a table needs in the maps that the agent writes.
#[derive(Debug)]
pub struct Demand {
    /// Sums over all service ports, and of networks.
    sizes: MapSizes,
    /// Addresses that Services own; shared ones are still repeated.
    owned: Vec<IpAddr>,
    /// Backends of all lists, still repeated.
    backends: Vec<SocketAddr>,
}

impl Demand {
    /// Returns the demand of an empty table.
    pub const fn empty() -> Self {
        Self { sizes: MapSizes::NONE, owned: Vec::new(), backends: Vec::new() }
    }

    /// Adds a part of the table.
    pub fn add(&mut self, part: &Table) {
        self.sizes.networks += number(part.networks.len());
        for (name, service) in &part.services {
            self.sizes.services += number(service.frontends.len());
            self.owned.extend(service.owned.keys());
            for (port, entry) in &service.ports {
                let id = PortId { service: name.clone(), port: port.clone() };
                self.add_port(&id, entry);
            }
        }
    }

    fn add_port(&mut self, id: &PortId, entry: &PortEntry) {
        self.sizes.service_ids += 1;
        self.sizes.slots += number(entry.lists.values().map(BackendList::len).sum());
        self.sizes.members += number(memberships(id, entry).len());
        self.sizes.source_ranges += entry.sources.as_ref().map_or(0, |sources| number(sources.nets.len()));
        self.backends.extend(entry.lists.values().flatten());
    }

    /// Returns what all parts need together. Sizes of maps that the agent does not write are 0.
    pub fn sizes(self) -> MapSizes {
        let services = self.sizes.services + number(count(self.owned));
        MapSizes { services, backends: number(count(self.backends)), ..self.sizes }
    }
}

/// Returns how many different elements there are.
fn count<T: Ord>(mut many: Vec<T>) -> usize {
    many.sort_unstable();
    many.dedup();
    many.len()
}

fn number(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(u32::MAX)
}
