//! What one look at an instance's pinned maps finds, with its time.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    time::Instant,
};

use proxy_common::Counter;

use crate::commands::get::{InspectError, Name, Snapshot, Tracked, is_owner, protocol, read_counters};

/// A look at the maps.
#[derive(Clone, Debug)]
pub struct Sample {
    /// When the maps were read.
    pub at: Instant,
    /// Services, their backends, and what is counted for them.
    pub snapshot: Snapshot,
    /// COUNTERS, summed over the CPUs.
    pub counters: BTreeMap<Counter, u64>,
    /// The flows. There may be very many: they are only read while a screen shows them.
    pub tracked: Option<Tracked>,
}

/// A service port, of both families.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Port {
    /// Its names.
    pub name: Name,
    /// `TCP`, `UDP` or `SCTP`.
    pub protocol: String,
}

impl fmt::Display for Port {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.name, self.protocol)
    }
}

impl Sample {
    /// Reads the maps, without flows. They are opened again each time, since the agent may have replaced them.
    pub fn read(instance: &str) -> Result<Self, InspectError> {
        let at = Instant::now();
        Ok(Self { at, snapshot: Snapshot::read(instance)?, counters: read_counters(instance)?, tracked: None })
    }

    /// Returns the service ports and their service ids: one for each family.
    pub fn ports(&self) -> BTreeMap<Port, BTreeSet<u32>> {
        let mut ports: BTreeMap<Port, BTreeSet<u32>> = BTreeMap::new();
        for (frontend, service) in self.snapshot.services.iter().filter(|(frontend, _)| !is_owner(frontend)) {
            let name = Name::of(service.id, &self.snapshot.names);
            ports.entry(Port { name, protocol: protocol(frontend.protocol) }).or_default().insert(service.id);
        }
        ports
    }
}
