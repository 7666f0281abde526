//! How full the maps are that the agent writes, as far as the agent knows: the kernel does not count entries.

use super::Dataplane;
use crate::maps::store::{Elements as _, Store};

/// The numbers of entries, by map.
pub type Usage = [(&'static str, u64); 8];

impl<S: Store> Dataplane<S> {
    /// How many entries the maps have. Looks at every service port.
    pub fn usage(&self) -> Usage {
        let ports = self.ports.len() as u64;
        let sum = |of: fn(&super::Port) -> usize| self.ports.values().map(of).sum::<usize>() as u64;
        [
            ("SERVICES", (self.owners.len() + self.marks.len()) as u64),
            ("SLOTS", u64::from(self.maps.slots.length() - self.slots.free())),
            ("BACKENDS", self.backends.count() as u64),
            ("GENERATIONS", ports),
            ("SERVICE_NAMES", ports),
            ("MEMBERS", sum(|port| port.members.len())),
            ("NETWORKS", self.table.networks.len() as u64),
            ("SOURCE_RANGES", sum(|port| port.sources.len())),
        ]
    }
}
