//! The only writer of maps. It gives every step of a plan its ids and slots and writes it so that
//! traffic is right at every moment: backends, then slots, then memberships, then frontends; what is left
//! over is taken away in reverse and freed after a grace period.

mod adopt;
mod allocate;
mod backends;
pub(crate) mod crowd;
mod frontends;
mod lists;
mod members;
mod networks;
mod owners;
mod paths;
mod port;
mod prefilter;
mod rare;
mod reclaim;
mod room;
mod sources;
mod tidy;
mod usage;

use std::{
    collections::{BTreeMap, BTreeSet},
    net::{IpAddr, SocketAddr},
};

use aya::maps::MapError;
use ipnet::IpNet;
use proxy_common::Frontend;
use tracing::debug;

use self::{
    adopt::Leftovers,
    allocate::{IdPool, SlotPool},
    backends::Backends,
    crowd::Crowd,
    owners::Owners,
    paths::Paths,
    port::{Aftermath, Port},
    prefilter::Filters,
    reclaim::{Reclaim, Retired},
    tidy::Tidying,
};
pub use self::{room::Demand, usage::Usage};
use crate::{
    desired::{PortId, ServiceName, Table, plan::Plan},
    logging::errors::Report,
    maps::{
        Maps,
        store::{Counts, Elements as _, Kernel, Store},
    },
    node::snat_ports::SnatPorts,
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
    /// What is to take its place has been refused.
    #[error("remove what it had before: its replacement was refused, so the former entry is still in use")]
    InUse,
    /// The kernel refused a write.
    #[error("write map {what}")]
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

impl Outcome {
    /// Adds what became of another plan for the same table.
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
    ports: BTreeMap<PortId, Port>,
    /// Ports that may still have in the maps what they had before.
    unsettled: BTreeSet<PortId>,
    owners: BTreeMap<Frontend, PortId>,
    marks: BTreeMap<IpAddr, Owners>,
    node_addresses: [Option<IpAddr>; 2],
    table: Table,
    leftovers: Leftovers,
    reclaim: Reclaim,
    filters: Filters,
    tidying: Option<Tidying>,
    paths: Paths,
    crowd: Crowd,
    /// Programs over maps of before may still run: nothing is used again.
    is_moving: bool,
}

/// The parts of a plan that take something away, in their order.
type Removals = (Vec<IpNet>, Vec<(IpAddr, ServiceName)>, Vec<Frontend>, Vec<PortId>);

/// Numbers of things in force, for the log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Size {
    /// Services.
    pub services: usize,
    /// Their ports, each family counted.
    pub ports: usize,
    /// Frontends.
    pub frontends: usize,
    /// Backends.
    pub backends: usize,
}

impl<S: Store> Dataplane<S> {
    /// Takes over an instance's maps with what is in them. What no plan claims again goes with
    /// [`Dataplane::sweep`]. Source translation uses `snat` without the node ports.
    pub fn new(mut maps: Maps<S>, snat: SnatPorts) -> Self {
        snat.report(None);
        let filters = Filters::adopt(&mut maps.filters, snat);
        let mut dataplane = Self {
            backends: Backends::new(maps.backends.length()),
            service_ids: IdPool::new(maps.generations.length()),
            slots: SlotPool::new(maps.slots.length()),
            ports: BTreeMap::new(),
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
            crowd: Crowd::default(),
            is_moving: false,
            maps,
        };
        dataplane.adopt();
        dataplane
    }

    /// Source translation uses other ports from now on, if they are others.
    pub fn set_snat(&mut self, snat: SnatPorts) {
        if self.filters.set_snat(&mut self.maps.filters, snat) {
            debug!("this host keeps other ports for itself than before");
        }
    }

    /// What is in force.
    pub fn table(&self) -> &Table {
        &self.table
    }

    /// How much is in force.
    pub fn size(&self) -> Size {
        let (services, ports) = (self.table.services.len(), self.ports.len());
        Size { services, ports, frontends: self.owners.len(), backends: self.backends.count() }
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
        self.remove(removals, &mut after, &mut outcome);
        self.settle(&mut after, &mut outcome);
        self.backends.settle(&mut self.maps.backends);
        self.reclaim.retire(after.retired);
        outcome.udp_gone = after.udp_gone;
        outcome
    }

    fn remove(&mut self, (networks, owned, frontends, ports): Removals, after: &mut Aftermath, outcome: &mut Outcome) {
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
            if let Err(error) = self.remove_port(&id, after) {
                outcome.refused.entry(id.service).or_insert(error);
            }
        }
    }

    /// Makes what has waited for its grace period available again.
    fn reclaim(&mut self) {
        if self.is_moving {
            return;
        }
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
fn bump<S: Store>(maps: &mut Maps<S>, service: u32) {
    let generation = maps.generations.get(service).unwrap_or(0);
    maps.generations.set(service, generation.wrapping_add(1));
}

/// Lets an id that gets another meaning count from 0. No program has a list yet that names it.
fn zero(counters: &mut impl Counts, id: u32) {
    // A failure costs no more than a wrong number.
    if let Err(error) = counters.zero(id) {
        debug!(id, error = %Report(&error), "an id goes on counting from its last number");
    }
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

#[cfg(test)]
mod tests;
