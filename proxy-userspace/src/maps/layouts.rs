//! The layout of every pinned map: what this version of Waggle expects, and since which version it has been so.

use proxy_common::{MAPS, MapKind, MapSpec};

use crate::config::MapSizes;

/// A map's name and the layout that this version of Waggle gives it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layout {
    /// Its name in the eBPF object.
    pub name: &'static str,
    /// Bytes of a key.
    pub key_size: u32,
    /// Bytes of a value.
    pub value_size: u32,
    /// Number of entries.
    pub max_entries: u32,
    /// The version of the ABI that gave it its layout and the meaning of what it holds.
    pub since: u32,
}

/// Free entries of an LRU map that each processor keeps for itself (LOCAL_FREE_TARGET in kernel/bpf/bpf_lru_list.c).
pub(crate) const KEPT: usize = 128;

/// The least entries of an LRU map on a machine that may have so many `processors`.
///
/// LRU maps forget what has not been used for the longest time. Linux 6.1 forgets what a small one has just got, although it is
/// nearly empty, once one processor keeps all free entries (6.17 does no more): each map has twice what the processors keep.
pub(crate) fn least_forgetting(processors: usize) -> u32 {
    u32::try_from(2 * KEPT * processors).unwrap_or(u32::MAX)
}

/// Every pinned map with these sizes, on a machine that may have so many `processors`.
pub fn layouts(sizes: &MapSizes, processors: usize) -> Vec<Layout> {
    let least = least_forgetting(processors);
    let layout = |map: &MapSpec| {
        let MapSpec { name, key_size, value_size, since, .. } = *map;
        let entries = sizes.entries(map);
        let max_entries = if map.kind == MapKind::LruHash { entries.max(least) } else { entries };
        Layout { name, key_size, value_size, max_entries, since }
    };
    MAPS.iter().map(layout).collect()
}
