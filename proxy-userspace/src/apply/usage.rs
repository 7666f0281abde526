//! How full the maps are that the agent writes, by the agent's own books: the kernel does not report how many entries a map has.

use super::Dataplane;
use crate::maps::store::Store;

/// Numbers of entries, by map.
pub type Usage = [(&'static str, u64); 8];

impl<S: Store> Dataplane<S> {
    /// Returns how many entries the maps have.
    pub fn usage(&self) -> Usage {
        let used = self.used();
        // Id 0 counts as used, but has no entry.
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
