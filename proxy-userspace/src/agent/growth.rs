//! How much of the maps the agent's objects need, and the move to larger maps.

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
    /// Returns how much the maps that the agent writes hold, by its own books. All else is 0.
    pub fn used(&self) -> MapSizes {
        self.dataplane.used()
    }

    /// Returns the quantities that a map was too small for since maps last became larger.
    pub fn lacking(&self) -> &BTreeSet<Quantity> {
        &self.lacking
    }

    /// Returns how much all objects need in the maps that the agent writes, whether they are in force or not.
    pub fn demand(&self) -> MapSizes {
        let mut demand = Demand::empty();
        for part in self.model.all().parts() {
            demand.add(&self.model.project(&part).table);
        }
        demand.sizes()
    }

    /// Sets the quantities that maps grow for when they are full. If there are none, Services that wait for larger maps are retried
    /// at intervals instead.
    pub fn set_growing(&mut self, growing: BTreeSet<Quantity>) {
        if growing.is_empty() {
            self.refused.append(&mut self.waiting);
        }
        self.growing = growing;
    }

    /// Whether something is refused and will be retried without an event.
    pub(super) fn is_degraded(&self) -> bool {
        !self.refused.is_empty() || self.refused_networks
    }

    /// Notes which parts of a plan are not in force, to retry them. What waits for a larger map is neither reported nor retried
    /// with every event, which would cost more than the event. `counted` are the Services that are among the refusals already.
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
                self.refusals.add_service(&service, Report(&error));
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

    /// Whether a larger map will make room for what has failed with this error.
    fn awaits_room(&mut self, error: &ApplyError) -> bool {
        let lacking = error.lacks();
        self.lacking.extend(lacking);
        lacking.is_some_and(|quantity| self.growing.contains(&quantity))
    }

    /// Switches to larger maps, which hold what the current ones do. For a start at which no program uses either yet.
    pub fn enlarge(&mut self, maps: Maps) {
        self.dataplane.move_to(maps);
        self.dataplane.release();
    }

    /// Switches to larger maps, whose programs have just replaced the previous ones at every hook. `udp_gone` takes removed
    /// backends from now on, if there is another receiver for them.
    pub fn move_to(&mut self, maps: Maps, udp_gone: Option<mpsc::UnboundedSender<BTreeSet<SocketAddr>>>) {
        self.dataplane.move_to(maps);
        self.removed_backends.begin(udp_gone);
    }

    /// Plans again what the previous maps had no room for.
    pub fn write_waiting(&mut self) {
        self.lacking.clear();
        self.refused.append(&mut self.waiting);
        self.reconcile(Scope::Everything);
    }

    /// To be called when no program that uses the previous maps runs any more.
    pub fn previous_maps_unused(&mut self) {
        self.dataplane.release();
        self.attached();
        heap::trim();
    }
}
