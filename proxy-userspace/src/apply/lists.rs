//! Writes the lists of a service port: slots, and the backends that they name.

use std::net::SocketAddr;

use proxy_common::{List, SlotRange};

use super::{ApplyError, Dataplane, members::memberships, reclaim::Retired};
use crate::{
    desired::{BackendList, PortEntry, PortId, sorted::SortedMap},
    maps::store::{Elements as _, Store},
};

pub(super) type Lists = SortedMap<List, BackendList>;
pub(super) type Ranges = SortedMap<List, SlotRange>;

impl<S: Store> Dataplane<S> {
    /// Writes `lists`, and the memberships of all lists of `entry`. On failure no list is kept, but memberships that were widened
    /// stay wider.
    pub(super) fn write_backends(
        &mut self,
        id: &PortId,
        entry: &PortEntry,
        lists: &Lists,
        retired: &mut Retired,
    ) -> Result<Ranges, ApplyError> {
        let ranges = self.write_lists(lists, retired)?;
        if let Err(error) = self.add_members(id, &memberships(id, entry)) {
            self.undo_lists(lists, &ranges, retired);
            return Err(error);
        }
        Ok(ranges)
    }

    /// Writes each list into unused slots, or takes over slots that an earlier agent has left for exactly this list. On failure
    /// no list is kept.
    fn write_lists(&mut self, lists: &Lists, retired: &mut Retired) -> Result<Ranges, ApplyError> {
        let mut ranges = Ranges::default();
        for (list, backends) in lists {
            match self.write_list(backends, retired) {
                Ok(range) => drop(ranges.insert(*list, range)),
                Err(error) => {
                    self.undo_lists(lists, &ranges, retired);
                    return Err(error);
                }
            }
        }
        Ok(ranges)
    }

    fn write_list(&mut self, backends: &BackendList, retired: &mut Retired) -> Result<SlotRange, ApplyError> {
        let length = u32::try_from(backends.len()).ok();
        let range = self.reuse_slots(backends).or_else(|| length.and_then(|length| self.slots.allocate(length)));
        let range = range.ok_or(ApplyError::Full { what: "SLOTS", flag: "--max-slots" })?;
        for (taken, (slot, backend)) in (range.offset..).zip(backends).enumerate() {
            let Some(id) = self.acquire(backend) else {
                self.give_back_slots(range);
                self.release_backends(backends.iter().take(taken), retired);
                return Err(ApplyError::Full { what: "BACKENDS", flag: "--max-backends" });
            };
            self.filters.put_any_backend(&mut self.maps.filters, backend.ip());
            self.maps.slots.set(slot, id);
        }
        Ok(range)
    }

    /// Gives back lists that were written but that no frontend refers to.
    fn undo_lists(&mut self, lists: &Lists, ranges: &Ranges, retired: &mut Retired) {
        for (list, range) in ranges {
            self.give_back_slots(*range);
            self.release_backends(lists.get(list).into_iter().flatten(), retired);
        }
    }

    pub(super) fn release_backends(&mut self, backends: impl Iterator<Item = SocketAddr>, retired: &mut Retired) {
        for backend in backends {
            self.filters.remove_any_backend(backend.ip());
            if self.backends.release(&self.maps.backends, backend) {
                retired.backends.push(backend);
            }
        }
    }
}

/// Returns the lists of `of` that `other` does not have with the same backends.
pub(super) fn differing(of: &PortEntry, other: &PortEntry) -> Lists {
    let differs = |list, backends| other.lists.get(list) != Some(backends);
    let lists = of.lists.iter().filter(|(list, backends)| differs(list, backends));
    lists.map(|(list, backends)| (*list, backends.clone())).collect()
}
