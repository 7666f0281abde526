//! Writing SOURCE_RANGES (S21): ranges are there before a frontend asks for them, and go when none does any more.

use ipnet::IpNet;

use super::{ApplyError, Dataplane, refused};
use crate::{desired::PortEntry, maps::encode};

impl Dataplane {
    /// Admits these clients to a service. On failure none of them is there.
    pub(super) fn put_sources(&mut self, service: u32, nets: &[IpNet]) -> Result<(), ApplyError> {
        for (written, net) in nets.iter().enumerate() {
            let key = encode::source_range_key(service, *net);
            if let Err(error) = self.maps.source_ranges.insert(&key, 1, 0) {
                self.remove_sources(service, &nets[..written]);
                return Err(refused("SOURCE_RANGES", "--max-source-ranges", error));
            }
        }
        Ok(())
    }

    /// Admits them no more.
    pub(super) fn remove_sources(&mut self, service: u32, nets: &[IpNet]) {
        for net in nets {
            // Absent is as good as removed.
            let _ = self.maps.source_ranges.remove(&encode::source_range_key(service, *net));
        }
    }
}

/// The prefixes that a port needs in the map.
pub(super) fn nets(entry: &PortEntry) -> &[IpNet] {
    entry.sources.as_ref().map_or(&[], |sources| &sources.nets)
}

/// Those of `of` that `other` does not need.
pub(super) fn surplus(of: &PortEntry, other: &PortEntry) -> Vec<IpNet> {
    nets(of).iter().filter(|net| nets(other).binary_search(net).is_err()).copied().collect()
}
