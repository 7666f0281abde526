//! What the agent's objects need of maps, and larger maps for them.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    time::Instant,
};

use ipnet::IpNet;
use tokio::sync::mpsc;
use tracing::debug;

use super::{Agent, reconcile::Scope};
use crate::{
    apply::{ApplyError, Demand},
    config::{MapSizes, Quantity},
    desired::ServiceName,
    logging::errors::Report,
    maps::Maps,
    node::heap,
};

impl Agent {
    /// What the maps hold that the agent writes, as far as it knows. All else is 0.
    pub fn used(&self) -> MapSizes {
        self.dataplane.used()
    }

    /// What there has been no room for since maps last became larger.
    pub fn lacking(&self) -> &BTreeSet<Quantity> {
        &self.lacking
    }

    /// What all objects need of the maps that the agent writes, in force or not.
    pub fn demand(&self) -> MapSizes {
        let mut demand = Demand::empty();
        for part in self.model.all().parts() {
            demand.add(&self.model.project(&part).table);
        }
        demand.sizes()
    }

    /// What larger maps are made for when there is no room for it. What waits for others is tried again now and then.
    pub fn let_grow(&mut self, growing: BTreeSet<Quantity>) {
        if growing.is_empty() {
            self.refused.append(&mut self.waiting);
        }
        self.growing = growing;
    }

    /// Whether something is refused, and tried again by itself.
    pub(super) fn is_degraded(&self) -> bool {
        !self.refused.is_empty() || self.refused_networks
    }

    /// Keeps what of a plan is not in force, to try it again. That something waits for a larger map is no news, and trying it on
    /// every event would cost more than the event. `counted`: Services that are among the refusals already.
    pub(super) fn note_refused(
        &mut self,
        services: BTreeMap<ServiceName, ApplyError>,
        networks: BTreeMap<IpNet, ApplyError>,
        counted: &BTreeSet<ServiceName>,
        now: Instant,
    ) {
        for (service, error) in services {
            if self.awaits_room(&error) {
                self.waiting.insert(service);
                continue;
            }
            if !counted.contains(&service) {
                self.refusals.add(&service, Report(&error));
            }
            self.announcer.refused(&service, Report(&error), now);
            self.refused.insert(service);
        }
        for (network, error) in networks {
            if !self.awaits_room(&error) {
                self.refusals.add(network, Report(&error));
            }
            self.refused_networks = true;
        }
        if !self.waiting.is_empty() {
            debug!(services = self.waiting.len(), lacking = ?self.lacking, "some Services wait for larger maps");
        }
    }

    fn awaits_room(&mut self, error: &ApplyError) -> bool {
        let lacking = error.lacks();
        self.lacking.extend(lacking);
        lacking.is_some_and(|quantity| self.growing.contains(&quantity))
    }

    /// Writes larger maps from now on, which no program uses and which hold what the maps of before do.
    pub fn enlarge(&mut self, maps: Maps) {
        self.dataplane.move_to(maps);
        self.dataplane.release();
    }

    /// Writes larger maps from now on, to which the programs have just moved.
    /// `udp_gone` takes lines about backends that have gone.
    pub fn move_to(&mut self, maps: Maps, udp_gone: Option<mpsc::UnboundedSender<BTreeSet<SocketAddr>>>) {
        self.dataplane.move_to(maps);
        self.udp_gone = udp_gone.unwrap_or_else(|| self.udp_gone.clone());
        self.gone_before = Some(BTreeSet::new());
    }

    /// Writes what found no room in the maps of before.
    pub fn write_waiting(&mut self) {
        self.lacking.clear();
        self.refused.append(&mut self.waiting);
        self.reconcile(Scope::Everything);
    }

    /// No program over the maps of before runs any more.
    pub fn has_moved(&mut self) {
        self.dataplane.release();
        self.attached();
        heap::give_back();
    }
}
