//! Decides which maps grow, and by how much. Pure.

use std::collections::BTreeSet;

use crate::{
    config::{MapSizes, Quantity},
    maps::{LRU_LOCAL_FREE, min_lru_entries},
};

/// A map grows when this percentage of it is full.
const GROW_PERCENT: u64 = 80;
/// After growing, at most this percentage of a map is full.
const TARGET_PERCENT: u64 = 50;
/// A map at its limit is logged when this percentage of it is full.
const WARN_PERCENT: u64 = 90;

/// The inputs of the decision.
#[derive(Clone, Copy, Debug)]
pub struct Facts<'a> {
    /// The sizes of the maps.
    pub sizes: &'a MapSizes,
    /// The largest sizes that the maps may have.
    pub limits: &'a MapSizes,
    /// How many entries are in the maps, or will be.
    pub used: &'a MapSizes,
    /// The quantities of which a write was refused because a map was full.
    pub lacking: &'a BTreeSet<Quantity>,
    /// How many CPUs the machine may have.
    pub processors: usize,
}

impl Facts<'_> {
    /// Returns new sizes, or `None` if all maps are large enough or at their limits. If one map must grow, others that are more
    /// than half full grow with it: one succession is cheaper than two.
    pub fn larger(self) -> Option<MapSizes> {
        let has_to = |quantity| self.may_grow(quantity) && self.is_full(quantity);
        Quantity::ALL.into_iter().any(has_to).then(|| MapSizes::each(|quantity| self.enough(quantity)))
    }

    /// Returns the quantities whose maps are nearly full and at their limits.
    pub fn nearly_full(self) -> BTreeSet<Quantity> {
        let is_nearly_full =
            |quantity: &Quantity| !self.may_grow(*quantity) && self.holds_more(*quantity, WARN_PERCENT);
        Quantity::ALL.into_iter().filter(is_nearly_full).collect()
    }

    /// True if the map is smaller than its limit.
    pub fn may_grow(self, quantity: Quantity) -> bool {
        self.sizes.of(quantity) < self.limits.of(quantity)
    }

    /// True if the map is nearly full, or a write was refused because it was full.
    pub fn is_full(self, quantity: Quantity) -> bool {
        self.lacking.contains(&quantity) || self.holds_more(quantity, GROW_PERCENT)
    }

    fn holds_more(self, quantity: Quantity, hundredths: u64) -> bool {
        let room = room(quantity, self.sizes.of(quantity), self.processors);
        u64::from(self.used.of(quantity)) * 100 >= u64::from(room) * hundredths
    }

    /// Doubles the size as often as needed. Doubling keeps the ratio of chains to entries that [`Quantity::initial`] has.
    fn enough(self, quantity: Quantity) -> u32 {
        let (mut size, limit, used) = (self.sizes.of(quantity), self.limits.of(quantity), self.used.of(quantity));
        let mut is_short = self.is_full(quantity);
        while size < limit && (is_short || too_full(used, room(quantity, size, self.processors))) {
            size = size.saturating_mul(2).max(1).min(limit);
            is_short = false;
        }
        size
    }
}

fn too_full(used: u32, room: u32) -> bool {
    u64::from(used) * 100 > u64::from(room) * TARGET_PERCENT
}

/// Returns how many entries a map of this size holds before it evicts any: in an LRU map, each CPU keeps some free entries for
/// itself.
fn room(quantity: Quantity, size: u32, processors: usize) -> u32 {
    if !quantity.is_lru() {
        return size;
    }
    let entries = size.max(min_lru_entries(processors));
    let kept = u32::try_from(LRU_LOCAL_FREE * processors).unwrap_or(u32::MAX);
    entries - kept.min(entries / 2)
}

/// Returns the sizes that a new agent starts with: the initial ones, or those of the existing maps (0 if there are none) where they
/// are larger, so that maps that have grown stay large. Sizes never exceed the limits.
pub fn at_start(found: &MapSizes, limits: &MapSizes) -> MapSizes {
    MapSizes::each(|quantity| quantity.initial().max(found.of(quantity)).min(limits.of(quantity)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts<'a>(sizes: &'a MapSizes, used: &'a MapSizes, limits: &'a MapSizes) -> Facts<'a> {
        const NONE: &BTreeSet<Quantity> = &BTreeSet::new();
        Facts { sizes, limits, used, lacking: NONE, processors: 2 }
    }

    #[test]
    fn a_start_keeps_what_has_grown_within_the_limits() {
        let limits = MapSizes { slots: 3, ..MapSizes::default() };
        let found = MapSizes { services: 10_000, backends: 1, slots: 5, affinity: 1 << 30, ..MapSizes::NONE };
        let start = at_start(&found, &limits);
        assert_eq!((start.services, start.backends, start.slots), (10_000, 4096, 3));
        assert_eq!(start.affinity, limits.affinity);
    }

    #[test]
    fn a_map_grows_when_four_fifths_are_full_until_half_of_it_is() {
        let limits = MapSizes::default();
        let sizes = at_start(&MapSizes::NONE, &limits);
        let with = |services| MapSizes { services, ..MapSizes::NONE };
        assert_eq!(facts(&sizes, &with(3276), &limits).larger(), None);
        let next = facts(&sizes, &with(3277), &limits).larger().unwrap();
        assert_eq!(next, MapSizes { services: 8192, ..sizes.clone() });
        assert_eq!(facts(&sizes, &with(10_000), &limits).larger().unwrap().services, 32_768);
        let near = MapSizes { services: 40_000, ..limits.clone() };
        assert_eq!(facts(&near, &with(39_000), &limits).larger().unwrap().services, 65_536);
    }

    #[test]
    fn what_is_half_full_grows_with_others_and_never_alone() {
        let limits = MapSizes::default();
        let sizes = at_start(&MapSizes::NONE, &limits);
        let used = MapSizes { services: 3000, slots: 20_000, ..MapSizes::NONE };
        assert_eq!(facts(&sizes, &used, &limits).larger(), None);
        let next = facts(&sizes, &MapSizes { services: 4000, ..used }, &limits).larger().unwrap();
        assert_eq!(next, MapSizes { services: 8192, slots: 65_536, ..sizes });
    }

    #[test]
    fn what_was_refused_grows_however_full_it_is() {
        let limits = MapSizes::default();
        let sizes = at_start(&MapSizes::NONE, &limits);
        // There are free slots, but not enough in a row.
        let used = MapSizes { slots: 10, ..MapSizes::NONE };
        let lacking = BTreeSet::from([Quantity::Slots]);
        let next = Facts { lacking: &lacking, ..facts(&sizes, &used, &limits) }.larger().unwrap();
        assert_eq!(next, MapSizes { slots: 65_536, ..sizes });
    }

    #[test]
    fn nothing_grows_beyond_its_limit_and_that_is_a_crowd() {
        let limits = MapSizes { services: 100, ..MapSizes::default() };
        let sizes = at_start(&MapSizes::NONE, &limits);
        assert_eq!(sizes.services, 100);
        for (services, nearly_full) in [(89, false), (90, true), (100, true)] {
            let used = MapSizes { services, ..MapSizes::NONE };
            let lacking = BTreeSet::from([Quantity::Services]);
            let facts = Facts { lacking: &lacking, ..facts(&sizes, &used, &limits) };
            assert_eq!(facts.larger(), None);
            assert_eq!(facts.nearly_full().contains(&Quantity::Services), nearly_full);
        }
    }

    #[test]
    fn what_processors_keep_for_themselves_is_no_room() {
        // Linux before 6.17 evicts entries that were just added when no CPU has a free entry left.
        assert_eq!(room(Quantity::Embryonic, 17_500, 2), 17_244);
        assert_eq!(room(Quantity::Affinity, 1, 64), 8192);
        assert_eq!(room(Quantity::Services, 1, 64), 1);
    }
}
