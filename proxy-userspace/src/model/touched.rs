//! What has changed since the last projection, so that the cost of an event depends on what it changes.

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
    /// Services that must be projected again; some may have been deleted.
    pub services: BTreeSet<ServiceName>,
    /// Whether the networks must be projected again.
    pub networks: bool,
    /// The objects that changed; some may have been deleted, or be irrelevant to the agent.
    pub objects: BTreeSet<ObjectRef>,
}

/// The most Services in a part. Their desired state is in memory twice while it is compared.
const PART: usize = 256;

impl Touched {
    /// Splits this into parts, to be projected in order. The objects come first: their part yields empty diagnostics, which later
    /// parts replace. Each part's Services are spread over all names: B-trees that are filled in ascending order stay half empty.
    pub fn parts(&self) -> Vec<Self> {
        let objects = Self { objects: self.objects.clone(), ..Self::default() };
        let names: Vec<_> = self.services.iter().collect();
        let parts = names.len().div_ceil(PART);
        let part = |first| names.iter().skip(first).step_by(parts).map(|name| (*name).clone()).collect();
        let services = (0..parts).map(|first| Self { services: part(first), ..Self::default() });
        let networks = Self { networks: self.networks, ..Self::default() };
        iter::once(objects).chain(services).chain([networks]).collect()
    }

    /// Returns the touched part of `table`, to be compared with a projection.
    pub fn part_of(&self, table: &Table) -> Table {
        let services = self.services.iter().filter_map(|name| table.services.get_key_value(name));
        Table {
            services: services.map(|(name, service)| (name.clone(), service.clone())).collect(),
            networks: if self.networks { table.networks.clone() } else { BTreeMap::default() },
        }
    }
}
