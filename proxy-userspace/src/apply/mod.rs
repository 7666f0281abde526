//! The only writer of maps. It gives every step of a plan its ids and slots and writes it so that
//! traffic is right at every moment: backends, then slots, then memberships, then frontends; what is left
//! over is taken away in reverse and freed after a grace period.

mod adopt;
pub mod allocate;
mod backends;
pub mod encode;
pub mod node_addresses;
mod port;
mod reclaim;

use std::{
    collections::{BTreeMap, BTreeSet},
    net::{IpAddr, SocketAddr},
};

use aya::maps::MapError;
use ipnet::IpNet;
use proxy_common::{Frontend, List, SlotRange};

use self::{
    adopt::Leftovers,
    allocate::{IdPool, SlotPool},
    backends::Backends,
    port::Aftermath,
    reclaim::{Reclaim, Retired},
};
use crate::{
    maps::Maps,
    plan::Plan,
    table::{FrontendEntry, NetworkKind, PortId, ServiceName, ServiceTable, Table},
};

/// Why a part of a plan could not be written. What was there before still is.
#[derive(Debug, thiserror::Error)]
pub enum ApplyError {
    /// A map or pool has no room.
    #[error("{what} is full; start waggle with a larger {flag}")]
    Full {
        /// The map.
        what: &'static str,
        /// The flag that enlarges it.
        flag: &'static str,
    },
    /// The kernel refused a write.
    #[error("write map {what}: {source}")]
    Write {
        /// The map.
        what: &'static str,
        /// What the kernel said.
        source: MapError,
    },
}

/// What became of a plan.
#[derive(Debug, Default)]
pub struct Outcome {
    /// Services of which some part is not in force; they must be planned again later.
    pub refused: BTreeMap<ServiceName, ApplyError>,
    /// Prefixes that are not in force.
    pub refused_networks: BTreeMap<IpNet, ApplyError>,
    /// Backends that have left a list of a UDP service.
    pub udp_gone: BTreeSet<SocketAddr>,
}

/// A service port as it stands in the maps.
#[derive(Debug)]
struct Port {
    id: u32,
    ranges: BTreeMap<List, SlotRange>,
    frontends: BTreeSet<Frontend>,
}

/// The data plane of one instance.
pub struct Dataplane {
    maps: Maps,
    backends: Backends,
    service_ids: IdPool,
    slots: SlotPool,
    ports: BTreeMap<PortId, Port>,
    owners: BTreeMap<Frontend, PortId>,
    address_owners: BTreeMap<IpAddr, ServiceName>,
    table: Table,
    leftovers: Leftovers,
    reclaim: Reclaim,
}

/// The parts of a plan that take something away, in their order.
type Removals = (Vec<IpNet>, Vec<IpAddr>, Vec<Frontend>, Vec<PortId>);

/// Numbers of things in force, for the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size {
    /// Services.
    pub services: usize,
    /// Frontends.
    pub frontends: usize,
    /// Backends.
    pub backends: usize,
}

impl Dataplane {
    /// Takes over an instance's maps with what is in them. What no plan claims again goes with
    /// [`Dataplane::sweep`].
    pub fn new(maps: Maps) -> Self {
        let mut dataplane = Self {
            backends: Backends::new(maps.backends.length()),
            service_ids: IdPool::new(maps.generations.length()),
            slots: SlotPool::new(maps.slots.length()),
            ports: BTreeMap::new(),
            owners: BTreeMap::new(),
            address_owners: BTreeMap::new(),
            table: Table::default(),
            leftovers: Leftovers::default(),
            reclaim: Reclaim::start(),
            maps,
        };
        dataplane.adopt();
        dataplane
    }

    /// What is in force.
    pub fn table(&self) -> &Table {
        &self.table
    }

    /// How much is in force.
    pub fn size(&self) -> Size {
        Size { services: self.table.services.len(), frontends: self.owners.len(), backends: self.backends.count() }
    }

    /// Writes a plan. A part that can't be written leaves what was there before, and is reported.
    pub fn apply(&mut self, plan: Plan) -> Outcome {
        self.reclaim();
        let mut outcome = Outcome::default();
        let mut after = Aftermath::default();
        for (id, entry) in plan.put_ports {
            if let Err(error) = self.put_port(&id, entry, &mut after) {
                self.abandon(&id, &mut after.retired);
                outcome.refused.insert(id.service, error);
            }
        }
        for (frontend, service, entry) in plan.put_frontends {
            if let Err(error) = self.put_frontend(frontend, &service, entry) {
                outcome.refused.insert(service, error);
            }
        }
        for (address, service) in plan.put_owned {
            if let Err(error) = self.put_owned(address, &service) {
                outcome.refused.insert(service, error);
            }
        }
        for (network, kind) in plan.put_networks {
            if let Err(error) = self.put_network(network, kind) {
                outcome.refused_networks.insert(network, error);
            }
        }
        self.settle(&mut after);
        let removals = (plan.remove_networks, plan.remove_owned, plan.remove_frontends, plan.remove_ports);
        self.remove(removals, &mut after);
        self.reclaim.retire(after.retired);
        outcome.udp_gone = after.udp_gone;
        outcome
    }

    fn remove(&mut self, (networks, owned, frontends, ports): Removals, after: &mut Aftermath) {
        for network in networks {
            // Absent is as good as removed, here and below.
            let _ = self.maps.networks.remove(&encode::network_key(network));
            self.table.networks.remove(&network);
        }
        for address in owned {
            let _ = self.maps.services.remove(&Frontend::owner(address.into()));
            self.disown_address(address);
        }
        for frontend in frontends {
            self.remove_frontend(&frontend);
        }
        for id in ports {
            self.remove_port(&id, after);
        }
    }

    fn put_frontend(
        &mut self,
        frontend: Frontend,
        service: &ServiceName,
        entry: FrontendEntry,
    ) -> Result<(), ApplyError> {
        let id = PortId { service: service.clone(), port: entry.port.clone() };
        // A port that was refused, and so lacks the lists, has reported it already.
        let has = |port: &Port| port.ranges.contains_key(&entry.internal) && port.ranges.contains_key(&entry.external);
        if !self.ports.get(&id).is_some_and(has) {
            return Ok(());
        }
        self.write_frontend(&frontend, &id, &entry)?;
        if let Some(before) = self.owners.insert(frontend, id.clone()) {
            self.disown(&frontend, &before);
        }
        if let Some(port) = self.ports.get_mut(&id) {
            port.frontends.insert(frontend);
        }
        self.table.services.entry(service.clone()).or_default().frontends.insert(frontend, entry);
        Ok(())
    }

    fn remove_frontend(&mut self, frontend: &Frontend) {
        let _ = self.maps.services.remove(frontend);
        if let Some(id) = self.owners.remove(frontend) {
            self.disown(frontend, &id);
        }
    }

    /// Forgets that a frontend belongs to a port; memories made through it must be checked again.
    fn disown(&mut self, frontend: &Frontend, id: &PortId) {
        if let Some(port) = self.ports.get_mut(id) {
            port.frontends.remove(frontend);
            bump(&mut self.maps, port.id);
        }
        self.take_from_table(&id.service, |table| drop(table.frontends.remove(frontend)));
    }

    /// Takes something out of a Service's part of the table, and that part when nothing is left of it.
    fn take_from_table(&mut self, service: &ServiceName, take: impl FnOnce(&mut ServiceTable)) {
        if let Some(table) = self.table.services.get_mut(service) {
            take(table);
            if *table == ServiceTable::default() {
                self.table.services.remove(service);
            }
        }
    }

    /// Writes a frontend with its port's present ranges.
    fn write_frontend(&mut self, frontend: &Frontend, id: &PortId, entry: &FrontendEntry) -> Result<(), ApplyError> {
        let (Some(port), Some(wanted)) = (self.ports.get(id), self.table.services.get(&id.service)) else {
            return Ok(());
        };
        let Some(wanted) = wanted.ports.get(&id.port) else { return Ok(()) };
        let range = |list| port.ranges.get(&list).copied().unwrap_or_default();
        let value = encode::service(port.id, wanted, entry, range);
        self.maps.services.insert(frontend, value, 0).map_err(|error| refused("SERVICES", "--max-services", error))
    }

    fn put_owned(&mut self, address: IpAddr, service: &ServiceName) -> Result<(), ApplyError> {
        let write = self.maps.services.insert(Frontend::owner(address.into()), encode::owner(), 0);
        write.map_err(|error| refused("SERVICES", "--max-services", error))?;
        self.disown_address(address);
        self.address_owners.insert(address, service.clone());
        self.table.services.entry(service.clone()).or_default().owned.insert(address);
        Ok(())
    }

    fn disown_address(&mut self, address: IpAddr) {
        if let Some(service) = self.address_owners.remove(&address) {
            self.take_from_table(&service, |table| _ = table.owned.remove(&address));
        }
    }

    fn put_network(&mut self, network: IpNet, kind: NetworkKind) -> Result<(), ApplyError> {
        let write = self.maps.networks.insert(&encode::network_key(network), encode::network_value(kind), 0);
        write.map_err(|error| refused("NETWORKS", "--max-networks", error))?;
        self.table.networks.insert(network, kind);
        Ok(())
    }

    /// Makes what has waited for its grace period available again.
    fn reclaim(&mut self) {
        let ready: Vec<Retired> = self.reclaim.ready().collect();
        for retired in ready {
            retired.slots.into_iter().for_each(|range| self.slots.release(range));
            retired.services.into_iter().for_each(|id| self.service_ids.release(id));
            for address in retired.backends {
                self.backends.retire(&mut self.maps.backends, address);
            }
        }
    }
}

/// Moves a service's generation: every memory of it is checked at its next use.
fn bump(maps: &mut Maps, service: u32) {
    let generation = maps.generations.get(service).unwrap_or(0);
    maps.generations.set(service, generation.wrapping_add(1));
}

/// Tells a full map from other refusals.
fn refused(what: &'static str, flag: &'static str, source: MapError) -> ApplyError {
    let full = match &source {
        MapError::SyscallError(error) => {
            matches!(error.io_error.raw_os_error(), Some(libc::E2BIG | libc::ENOSPC | libc::ENOMEM))
        }
        _ => false,
    };
    if full { ApplyError::Full { what, flag } } else { ApplyError::Write { what, source } }
}
