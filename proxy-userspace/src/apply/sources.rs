//! Writes SOURCE_RANGES (S21): ranges are added before a frontend needs them, and removed when none does any more.

use ipnet::IpNet;

use super::{ApplyError, Dataplane, refused};
use crate::{
    desired::{PortEntry, PortId},
    maps::{
        encode,
        store::{Entries as _, Store},
    },
};

impl<S: Store> Dataplane<S> {
    /// Admits the source ranges of `entry` to a port. Returns those that were not admitted before. On failure none is added.
    pub(super) fn put_sources(&mut self, id: &PortId, entry: &PortEntry) -> Result<Vec<IpNet>, ApplyError> {
        let Some(port) = self.ports.get_mut(id) else { return Ok(Vec::new()) };
        let mut admitted = Vec::new();
        for net in nets(entry) {
            if port.extras().sources.contains(net) {
                continue;
            }
            if let Err(error) = self.maps.source_ranges.put(encode::source_range_key(port.id, *net), 1) {
                self.remove_sources(id, &admitted);
                return Err(refused("SOURCE_RANGES", "--max-source-ranges", error));
            }
            self.extra_entries.sources += usize::from(port.extras_mut().sources.insert(*net));
            admitted.push(*net);
        }
        Ok(admitted)
    }

    /// Removes source ranges of a port: their clients are not admitted any more.
    pub(super) fn remove_sources(&mut self, id: &PortId, nets: &[IpNet]) {
        let Some(port) = self.ports.get_mut(id) else { return };
        for net in nets {
            self.maps.source_ranges.remove(&encode::source_range_key(port.id, *net));
            self.extra_entries.sources -= usize::from(port.extras_mut().sources.remove(net));
        }
    }
}

/// Returns the prefixes that a port needs in SOURCE_RANGES.
pub(super) fn nets(entry: &PortEntry) -> &[IpNet] {
    entry.sources.as_ref().map_or(&[], |sources| &sources.nets)
}
