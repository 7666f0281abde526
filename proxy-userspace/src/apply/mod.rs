//! The only writer of maps. It allocates ids and slots for each step of a plan, and writes in an order that keeps traffic right
//! at every moment: backends, then slots, then memberships, then frontends. What is no longer needed is removed in reverse order
//! and freed after a grace period.

mod adopt;
pub(crate) mod affinity_watch;
mod allocate;
mod backends;
mod changes;
mod filters;
mod frontends;
mod growth;
mod lists;
mod members;
mod networks;
mod owners;
mod paths;
mod port;
mod port_extras;
mod reclaim;
mod sources;
mod tidy;
mod usage;

use std::{
    collections::{BTreeMap, BTreeSet},
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use aya::maps::MapError;
use ipnet::IpNet;
use proxy_common::Frontend;
use tracing::debug;

use self::{
    adopt::Leftovers,
    affinity_watch::AffinityWatch,
    allocate::{IdPool, SlotPool},
    backends::Backends,
    filters::Filters,
    owners::Owners,
    paths::Paths,
    port::{Deferred, Port},
    port_extras::ExtraEntries,
    reclaim::{Reclaim, Retired},
    tidy::Tidying,
};
pub use self::{growth::Demand, usage::Usage};
use crate::{
    desired::{PortId, ServiceName, Table, plan::Plan},
    logging::errors::Report,
    maps::{
        Maps,
        store::{Counts, Elements as _, Entries as _, Kernel, Store},
    },
    node::snat_ports::SnatPorts,
};

/// Why a part of a plan could not be written. The previous state stays in force.
#[derive(Debug, thiserror::Error)]
pub enum ApplyError {
    /// A map or pool has no room.
    #[error("{what} is full; start waggle with a larger {flag}")]
    Full {
        /// The map's name.
        what: &'static str,
        /// The flag that enlarges it.
        flag: &'static str,
    },
    /// An entry can't be removed, because its replacement was refused.
    #[error("remove the former entry: its replacement was refused, so it is still in use")]
    InUse,
    /// The kernel refused a write for another reason.
    #[error("write map {what}")]
    Write {
        /// The map's name.
        what: &'static str,
        /// The kernel's error.
        source: MapError,
    },
}

/// The result of applying a plan.
#[derive(Debug, Default)]
pub struct Applied {
    /// Services that are not fully in force, with an error each; they must be planned again later.
    pub refused: BTreeMap<ServiceName, ApplyError>,
    /// Prefixes of NETWORKS that are not in force.
    pub refused_networks: BTreeMap<IpNet, ApplyError>,
    /// Backends that have left a list of a UDP service.
    pub udp_gone: BTreeSet<SocketAddr>,
}

impl Applied {
    /// Adds the outcome of another part of the same plan.
    pub fn add(&mut self, other: Self) {
        self.refused.extend(other.refused);
        self.refused_networks.extend(other.refused_networks);
        self.udp_gone.extend(other.udp_gone);
    }
}

/// The data plane of one instance.
pub struct Dataplane<S: Store = Kernel> {
    maps: Maps<S>,
    backends: Backends,
    service_ids: IdPool,
    slots: SlotPool,
    ports: BTreeMap<Arc<PortId>, Port>,
    extra_entries: ExtraEntries,
    /// Ports that may still have former slots, members, source ranges or backends in the maps.
    unsettled: BTreeSet<PortId>,
    owners: BTreeMap<Frontend, Arc<PortId>>,
    marks: BTreeMap<IpAddr, Owners>,
    node_addresses: [Option<IpAddr>; 2],
    table: Table,
    leftovers: Leftovers,
    reclaim: Reclaim,
    filters: Filters,
    tidying: Option<Tidying>,
    paths: Paths,
    affinity_watch: AffinityWatch,
    /// Whether programs that use the previous maps may still run: then no id or slot is used again.
    is_moving: bool,
}

/// The parts of a plan that remove something, in the order in which they are applied.
type Removals = (Vec<IpNet>, Vec<(IpAddr, ServiceName)>, Vec<Frontend>, Vec<PortId>);

/// How much is in force.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Size {
    /// How many Services.
    pub services: usize,
    /// How many service ports; a port of both families counts twice.
    pub ports: usize,
    /// How many frontends.
    pub frontends: usize,
    /// How many different backends.
    pub backends: usize,
}

impl<S: Store> Dataplane<S> {
    /// Takes over an instance's maps and their contents. What the first plan does not claim is removed by [`Dataplane::sweep`].
    /// Source translation uses the ports of `snat` that are not node ports.
    pub fn new(mut maps: Maps<S>, snat: SnatPorts) -> Self {
        snat.report(None);
        let filters = Filters::adopt(&mut maps.filters, snat);
        let mut dataplane = Self {
            backends: Backends::new(maps.backends.length()),
            service_ids: IdPool::new(maps.generations.length()),
            slots: SlotPool::new(maps.slots.length()),
            ports: BTreeMap::new(),
            extra_entries: ExtraEntries::default(),
            unsettled: BTreeSet::new(),
            owners: BTreeMap::new(),
            marks: BTreeMap::new(),
            node_addresses: [None; 2],
            table: Table::default(),
            leftovers: Leftovers::default(),
            reclaim: if maps.observed.is_some() { Reclaim::start() } else { Reclaim::at_once() },
            filters,
            tidying: None,
            paths: Paths::default(),
            affinity_watch: AffinityWatch::default(),
            is_moving: false,
            maps,
        };
        dataplane.adopt();
        dataplane
    }

    /// Sets the ports that source translation uses.
    pub fn set_snat(&mut self, snat: SnatPorts) {
        if self.filters.set_snat(&mut self.maps.filters, snat) {
            debug!("the ports that this host keeps for itself have changed");
        }
    }

    /// Returns what is in force.
    pub fn table(&self) -> &Table {
        &self.table
    }

    /// Returns how much is in force.
    pub fn size(&self) -> Size {
        let (services, ports) = (self.table.services.len(), self.ports.len());
        Size { services, ports, frontends: self.owners.len(), backends: self.backends.count() }
    }

    /// Writes a plan. Where a part can't be written, the previous state stays in force, and the error is in the outcome.
    pub fn apply(&mut self, plan: Plan) -> Applied {
        self.reclaim();
        let mut outcome = Applied::default();
        let mut deferred = Deferred::default();
        for (id, entry) in plan.put_ports {
            if let Err(error) = self.put_port(&id, entry, &mut deferred) {
                self.abandon(&id, &mut deferred.retired);
                outcome.refused.insert(id.service, error);
            }
        }
        for (frontend, service, entry) in plan.put_frontends {
            if let Err(error) = self.put_frontend(frontend, &service, entry) {
                outcome.refused.insert(service, error);
            }
        }
        for (address, service, owner) in plan.put_owned {
            if let Err(error) = self.put_owned(address, &service, owner) {
                outcome.refused.insert(service, error);
            }
        }
        for (network, kind) in plan.put_networks {
            if let Err(error) = self.put_network(network, kind) {
                outcome.refused_networks.insert(network, error);
            }
        }
        let removals = (plan.remove_networks, plan.remove_owned, plan.remove_frontends, plan.remove_ports);
        self.remove(removals, &mut deferred, &mut outcome);
        self.settle(&mut deferred, &mut outcome);
        self.backends.settle(&mut self.maps.backends);
        self.reclaim.retire(deferred.retired);
        outcome.udp_gone = deferred.udp_gone;
        outcome
    }

    fn remove(
        &mut self,
        (networks, owned, frontends, ports): Removals,
        deferred: &mut Deferred,
        outcome: &mut Applied,
    ) {
        for network in networks {
            self.remove_network(network);
        }
        for (address, service) in owned {
            if let Err(error) = self.remove_owned(address, &service) {
                outcome.refused.insert(service, error);
            }
        }
        for frontend in frontends {
            self.remove_frontend(&frontend);
        }
        for id in ports {
            if let Err(error) = self.remove_port(&id, deferred) {
                outcome.refused.entry(id.service).or_insert(error);
            }
        }
    }

    /// Frees ids and slots whose grace period has passed.
    fn reclaim(&mut self) {
        if self.is_moving {
            return;
        }
        let ready: Vec<Retired> = self.reclaim.ready().collect();
        for retired in ready {
            retired.slots.into_iter().for_each(|range| self.slots.release(range));
            for id in retired.services {
                zero(&mut self.maps.service_counters, id);
                self.service_ids.release(id);
            }
            for address in retired.backends {
                if let Some(id) = self.backends.retire(&mut self.maps.backends, address) {
                    self.maps.backend_counters.remove(&id);
                }
            }
        }
    }
}

/// Advances a service's generation, so that every backend that is remembered for it is checked at its next use.
fn bump<S: Store>(maps: &mut Maps<S>, service: u32) {
    let generation = maps.generations.get(service).unwrap_or(0);
    maps.generations.set(service, generation.wrapping_add(1));
}

/// Zeroes the counters of an id that gets free, so that whatever uses it next counts from 0. A grace period has passed, so no
/// program counts concurrently.
fn zero(counters: &mut impl Counts, id: u32) {
    // A failure costs no more than wrong counters.
    if let Err(error) = counters.zero(id) {
        debug!(id, error = %Report(&error), "counters of an id that is used again continue from their last values");
    }
}

/// Converts the error of a write: tells a full map, or a lack of memory, from other errors.
fn refused(what: &'static str, flag: &'static str, source: MapError) -> ApplyError {
    let full = match &source {
        MapError::SyscallError(error) => {
            matches!(error.io_error.raw_os_error(), Some(libc::E2BIG | libc::ENOSPC | libc::ENOMEM))
        }
        _ => false,
    };
    if full { ApplyError::Full { what, flag } } else { ApplyError::Write { what, source } }
}

#[cfg(test)]
mod tests;
