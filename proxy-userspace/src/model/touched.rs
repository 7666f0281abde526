//! What changed since the last look, so that a change costs what changed.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    desired::{ServiceName, Table},
    objects::ObjectRef,
};

/// The parts of the table that may have changed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Touched {
    /// Services that must be looked at again; some may be gone.
    pub services: BTreeSet<ServiceName>,
    /// The networks must be looked at again.
    pub networks: bool,
    /// The objects that changed; some may be gone, or mean nothing to us.
    pub objects: BTreeSet<ObjectRef>,
}

impl Touched {
    /// The touched part of `table`: what a projection of it is to be compared with.
    pub fn part_of(&self, table: &Table) -> Table {
        let services = self.services.iter().filter_map(|name| table.services.get_key_value(name));
        Table {
            services: services.map(|(name, service)| (name.clone(), service.clone())).collect(),
            networks: if self.networks { table.networks.clone() } else { BTreeMap::default() },
        }
    }
}
