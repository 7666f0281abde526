//! What changed since the last look, so that the cost of an event depends on what it changed.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    desired::{ServiceName, Table},
    objects::ObjectRef,
};

/// The parts of the table that may have changed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Touched {
    /// Services that must be projected again; some may be gone.
    pub services: BTreeSet<ServiceName>,
    /// Whether the networks must be projected again.
    pub networks: bool,
    /// The objects that changed; some may be gone, or irrelevant to the agent.
    pub objects: BTreeSet<ObjectRef>,
}

impl Touched {
    /// The touched part of `table`, to compare a projection with.
    pub fn part_of(&self, table: &Table) -> Table {
        let services = self.services.iter().filter_map(|name| table.services.get_key_value(name));
        Table {
            services: services.map(|(name, service)| (name.clone(), service.clone())).collect(),
            networks: if self.networks { table.networks.clone() } else { BTreeMap::default() },
        }
    }
}
