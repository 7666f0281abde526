//! How full the maps are that the agent writes, as far as the agent knows: the kernel does not count entries.

use super::Dataplane;
use crate::maps::store::Store;

/// The numbers of entries, by map.
pub type Usage = [(&'static str, u64); 8];

impl<S: Store> Dataplane<S> {
    /// How many entries the maps have. Looks at every service port.
    pub fn usage(&self) -> Usage {
        let used = self.used();
        // Id 0 takes a place and has no entry.
        let (backends, service_ids) = (used.backends.saturating_sub(1), used.service_ids.saturating_sub(1));
        [
            ("SERVICES", used.services),
            ("SLOTS", used.slots),
            ("BACKENDS", backends),
            ("GENERATIONS", service_ids),
            ("SERVICE_NAMES", service_ids),
            ("MEMBERS", used.members),
            ("NETWORKS", used.networks),
            ("SOURCE_RANGES", used.source_ranges),
        ]
        .map(|(map, entries)| (map, entries.into()))
    }
}
