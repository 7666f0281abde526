//! Counts the entries of the maps that the programs write, and the flows by state. The kernel does not report how many entries a
//! map has, so all are read: some ten milliseconds for a hundred thousand flows. Frequent callers must cache the result.

use std::collections::BTreeMap;

use aya::{
    Pod,
    maps::{MapData, MapError},
};
use proxy_common::{
    ConnectionSet, ConntrackEntry, EntryMeta, FlowBucket, Ipv4Bucket, Ipv4ConntrackEntry, Ipv6Bucket, MAPS, MapKind,
    Protocol, State, Stored, Tuple, connection::WAYS,
};

use super::{MapsError, PinFolder, open_data_read_only};
use crate::{
    desired::Family,
    node::{bpf, jiffies},
};

/// How many array elements are read with one system call.
const BATCH: u32 = 2048;

/// Numbers of entries of maps that the programs write, and of flows.
#[derive(Clone, Debug, Default)]
pub struct Census {
    /// The most entries that each map holds.
    pub capacities: Vec<(&'static str, u32)>,
    /// How many entries each map has.
    pub entries: Vec<(&'static str, u64)>,
    /// How many flows have not expired, by family, protocol and the number of the [`State`]. A foreign flow may count once for
    /// each direction.
    pub flows: BTreeMap<(Family, Protocol, u8), u64>,
}

/// Why a map can't be counted.
#[derive(Debug, thiserror::Error)]
pub enum CensusError {
    /// The map can't be opened.
    #[error(transparent)]
    Open(#[from] MapsError),
    /// The map can't be read.
    #[error("count the entries of map {name}")]
    Read {
        /// The map's name.
        name: &'static str,
        /// The kernel's error.
        source: MapError,
    },
}

/// How many entries an element of the map has room for.
pub fn per_element(map: &str) -> u32 {
    if map == "SOCKET_CONNECTIONS" { WAYS } else { 1 }
}

impl Census {
    /// Counts everything in the maps of a folder.
    pub fn take(folder: &PinFolder) -> Result<Self, CensusError> {
        let mut census = Self::default();
        for map in MAPS {
            let data = open_data_read_only(folder, map.name)?;
            let info = data.info().map_err(|source| CensusError::Read { name: map.name, source })?;
            if info.max_entries() != 0 && map.kind != MapKind::RingBuf {
                census.capacities.push((map.name, info.max_entries() * per_element(map.name)));
            }
            let counted = census.count(map.name, &data, info.max_entries());
            if let Some(entries) = counted.map_err(|source| CensusError::Read { name: map.name, source })? {
                census.entries.push((map.name, entries));
            }
        }
        Ok(census)
    }

    /// Returns the number of a map's entries; `None` for maps that programs do not write, or that have a fixed set of entries.
    fn count(&mut self, name: &str, map: &MapData, length: u32) -> Result<Option<u64>, MapError> {
        let now = jiffies::now().unwrap_or_default();
        Ok(Some(match name {
            "AFFINITY" | "SOCKET_FLOWS" | "FRAGMENTS" | "DEVICES" => {
                let mut count = 0;
                bpf::each_entry(map, |_, _| count += 1)?;
                count
            }
            "SOCKET_CONNECTIONS" => elements::<ConnectionSet>(map, length, |set| {
                set.cookies.iter().filter(|cookie| **cookie != 0).count() as u64
            })?,
            "FLOW_BUCKETS_IPV4" => self.buckets::<Ipv4Bucket>(map, length, now)?,
            "FLOW_BUCKETS_IPV6" => self.buckets::<Ipv6Bucket>(map, length, now)?,
            "CONNTRACK_IPV4" | "EMBRYONIC_IPV4" => self.flows::<Ipv4ConntrackEntry>(map, now)?,
            "CONNTRACK_IPV6" | "EMBRYONIC_IPV6" => self.flows::<ConntrackEntry>(map, now)?,
            _ => return Ok(None),
        }))
    }

    fn buckets<B: FlowBucket + Pod>(&mut self, map: &MapData, length: u32, now: u32) -> Result<u64, MapError> {
        elements::<B>(map, length, |bucket| {
            if bucket.is_empty() {
                return 0;
            }
            self.add(&B::Entry::tuple(bucket.key()), bucket.entry().meta(), now);
            1
        })
    }

    fn flows<E: Stored<Key: bytemuck::AnyBitPattern> + bytemuck::AnyBitPattern>(
        &mut self,
        map: &MapData,
        now: u32,
    ) -> Result<u64, MapError> {
        let mut count = 0;
        bpf::each_entry(map, |key, value| {
            count += 1;
            let (key, entry): (E::Key, E) = (bytemuck::pod_read_unaligned(key), bytemuck::pod_read_unaligned(value));
            self.add(&E::tuple(&key), entry.meta(), now);
        })?;
        Ok(count)
    }

    /// Counts a flow by one of its entries: that of the replies, which each flow has. Foreign flows count by any entry.
    fn add(&mut self, tuple: &Tuple, meta: &EntryMeta, now: u32) {
        let (state, family) = (meta.state(), if tuple.destination.is_ipv4() { Family::Ipv4 } else { Family::Ipv6 });
        let counts = state == State::Foreign || meta.flags & EntryMeta::REPLY != 0;
        let is_alive = meta.flags & EntryMeta::RESERVED == 0 && !meta.is_expired(now);
        if let (true, true, Some(protocol)) = (counts, is_alive, Protocol::from_number(tuple.protocol.into())) {
            *self.flows.entry((family, protocol, state as u8)).or_default() += 1;
        }
    }
}

/// Returns the sum of `count` over all elements of an array.
fn elements<T: Pod + Default>(map: &MapData, length: u32, mut count: impl FnMut(&T) -> u64) -> Result<u64, MapError> {
    let mut sum = 0;
    for start in (0..length).step_by(BATCH as usize) {
        sum += bpf::read_array::<T>(map.fd(), start, BATCH)?.iter().map(&mut count).sum::<u64>();
    }
    Ok(sum)
}
