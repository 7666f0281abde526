//! What changed since the last look, so that the cost of an event depends on what it changed.

use std::{
    collections::{BTreeMap, BTreeSet},
    iter,
};

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

/// How many Services a part has: their desired state is in memory twice while it is compared.
const PART: usize = 256;

impl Touched {
    /// The same in parts, of which a later one adds to what an earlier one has made of an object.
    pub fn parts(&self) -> Vec<Self> {
        let objects = Self { objects: self.objects.clone(), ..Self::default() };
        let names: Vec<_> = self.services.iter().collect();
        let some = |names: &[&ServiceName]| names.iter().map(|name| (*name).clone()).collect();
        let services = names.chunks(PART).map(|names| Self { services: some(names), ..Self::default() });
        let networks = Self { networks: self.networks, ..Self::default() };
        iter::once(objects).chain(services).chain([networks]).collect()
    }

    /// The touched part of `table`, to compare a projection with.
    pub fn part_of(&self, table: &Table) -> Table {
        let services = self.services.iter().filter_map(|name| table.services.get_key_value(name));
        Table {
            services: services.map(|(name, service)| (name.clone(), service.clone())).collect(),
            networks: if self.networks { table.networks.clone() } else { BTreeMap::default() },
        }
    }
}
