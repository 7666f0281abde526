//! The layout of every pinned map that this version of Waggle expects, and the ABI version that introduced it.

use aya::maps::{MapError, MapInfo};
use proxy_common::{MAPS, MapKind, MapSpec};

use crate::config::MapSizes;

/// A map's name and the layout that this version of Waggle gives it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layout {
    /// The map's name in the eBPF object.
    pub name: &'static str,
    /// Size of a key in bytes.
    pub key_size: u32,
    /// Size of a value in bytes.
    pub value_size: u32,
    /// The most entries that the map holds.
    pub max_entries: u32,
    /// The ABI version since which the layout, and the meaning of keys and values, has not changed.
    pub since: u32,
}

/// Free entries of an LRU map that each CPU keeps for itself (LOCAL_FREE_TARGET in kernel/bpf/bpf_lru_list.c).
pub(crate) const LRU_LOCAL_FREE: usize = 128;

/// Returns the least size, in entries, of an LRU map on a machine with up to `processors` possible CPUs.
///
/// An LRU map evicts the entries that have not been used for the longest time. But once one CPU keeps all free entries of a
/// small map, Linux 6.1 evicts the newest ones, although the map is nearly empty; 6.17 does not. So each map has twice what the
/// CPUs keep.
pub(crate) fn min_lru_entries(processors: usize) -> u32 {
    u32::try_from(2 * LRU_LOCAL_FREE * processors).unwrap_or(u32::MAX)
}

/// Returns the layouts of all pinned maps for these sizes, on a machine with up to `processors` possible CPUs.
pub fn layouts(sizes: &MapSizes, processors: usize) -> Vec<Layout> {
    let least = min_lru_entries(processors);
    let layout = |map: &MapSpec| {
        let MapSpec { name, key_size, value_size, since, .. } = *map;
        let entries = sizes.entries(map);
        let max_entries = if map.kind == MapKind::LruHash { entries.max(least) } else { entries };
        Layout { name, key_size, value_size, max_entries, since }
    };
    MAPS.iter().map(layout).collect()
}

/// Checks that the keys and values of a pinned map have the sizes of this release.
pub(super) fn check_sizes(name: &str, found: &MapInfo) -> Result<(), MapError> {
    let Some(map) = MAPS.iter().find(|map| map.name == name) else { return Ok(()) };
    let differ = |found: u32, wanted: u32| (found != wanted).then_some((found as usize, wanted as usize));
    if let Some((size, expected)) = differ(found.key_size(), map.key_size) {
        return Err(MapError::InvalidKeySize { size, expected });
    }
    match differ(found.value_size(), map.value_size) {
        Some((size, expected)) => Err(MapError::InvalidValueSize { size, expected }),
        None => Ok(()),
    }
}
