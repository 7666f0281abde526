//! Estimates how full the maps are that programs write. Reads samples, so the cost does not depend on the sizes of the maps.

use std::{io, time::Duration};

use aya::maps::MapError;
use bytemuck::Pod;
use nix::time::{ClockId, clock_gettime};
use proxy_common::{
    ConnectionSet, ConntrackEntry, EntryMeta, Flow, FlowBucket as _, Fragment, FragmentPorts, Ipv4ConntrackEntry, Peer,
    Stored,
    connection::{BUSY, WAYS},
};

use crate::{
    config::MapSizes,
    maps::{MapsError, PinFolder, open_data},
    node::{bpf, jiffies},
};

/// The most entries of a hash that are read.
const MAX_READ: u32 = 512;
/// How many runs of elements of an array are read, and how long each is: for a first estimate, and for a better one, which is
/// taken unless the map is far from full.
const ROUGH_SAMPLE: Sample = Sample { places: 4, run: 16 };
const FINE_SAMPLE: Sample = Sample { places: 16, run: 64 };
/// A map is far from full while less than one in this many elements is taken. The first estimate is off by at most a fifth of
/// the map.
const FAR_FROM_FULL: u32 = 4;
/// How long an entry of a UDP socket counts after its last use: nothing tells when such a socket closes.
const REMEMBERED: Duration = Duration::from_mins(10);

/// Reads the pinned maps. Quantities that the agent knows itself are 0.
pub fn estimate_used(folder: &PinFolder) -> Result<MapSizes, MapsError> {
    let now = Now::read().map_err(|source| MapsError::Type { name: "SOCKET_FLOWS", source: source.into() })?;
    let conntrack = [
        assured::<Ipv4ConntrackEntry>(folder, ["FLOW_BUCKETS_IPV4", "CONNTRACK_IPV4"], now)?,
        assured::<ConntrackEntry>(folder, ["FLOW_BUCKETS_IPV6", "CONNTRACK_IPV6"], now)?,
    ];
    let embryonic = [
        flows::<Ipv4ConntrackEntry>(folder, "EMBRYONIC_IPV4", now)?,
        flows::<ConntrackEntry>(folder, "EMBRYONIC_IPV6", now)?,
    ];
    let is_taken = |cookie: &&u64| **cookie != 0 && **cookie != BUSY;
    let sockets = |set: &ConnectionSet| set.cookies.iter().filter(is_taken).count();
    Ok(MapSizes {
        conntrack: conntrack[0].max(conntrack[1]),
        embryonic: embryonic[0].max(embryonic[1]),
        socket_connections: array(folder, "SOCKET_CONNECTIONS", WAYS, sockets)?,
        fragments: hash::<Fragment, FragmentPorts>(folder, "FRAGMENTS", |ports| now.is_before(ports.expires))?,
        socket_flows: hash::<Flow, Peer>(folder, "SOCKET_FLOWS", |peer| now.remembers(peer))?,
        ..MapSizes::NONE
    })
}

/// Which part of an array is read: `places` runs of `run` elements.
#[derive(Clone, Copy)]
struct Sample {
    places: u32,
    run: u32,
}

/// The kernel's clocks.
#[derive(Clone, Copy)]
struct Now {
    jiffies: u32,
    nanoseconds: u64,
}

impl Now {
    fn read() -> io::Result<Self> {
        let clock = Duration::from(clock_gettime(ClockId::CLOCK_MONOTONIC_COARSE)?);
        Ok(Self { jiffies: jiffies::now()?, nanoseconds: u64::try_from(clock.as_nanos()).unwrap_or(u64::MAX) })
    }

    fn is_alive(self, meta: &EntryMeta) -> bool {
        !meta.is_expired(self.jiffies)
    }

    fn is_before(self, end: u32) -> bool {
        end.wrapping_sub(self.jiffies).cast_signed() > 0
    }

    fn remembers(self, peer: &Peer) -> bool {
        !peer.is_idle(self.nanoseconds, u64::try_from(REMEMBERED.as_nanos()).unwrap_or(u64::MAX))
    }
}

/// Estimates the entries of one family's assured flows.
fn assured<E>(folder: &PinFolder, [buckets, overflow]: [&'static str; 2], now: Now) -> Result<u32, MapsError>
where
    E: Stored<Key: Pod, Bucket: aya::Pod> + Pod,
{
    let is_alive = |bucket: &E::Bucket| !bucket.is_empty() && now.is_alive(bucket.entry().meta());
    let buckets = array(folder, buckets, 1, |bucket: &E::Bucket| usize::from(is_alive(bucket)))?;
    Ok(buckets + flows::<E>(folder, overflow, now)?)
}

fn flows<E: Stored<Key: Pod> + Pod>(folder: &PinFolder, name: &'static str, now: Now) -> Result<u32, MapsError> {
    hash::<E::Key, E>(folder, name, |entry| now.is_alive(entry.meta()))
}

/// Estimates how many entries of a hash satisfy `counts`. Keys are spread evenly over the chains, so any run of chains represents
/// all.
fn hash<K: Pod, V: Pod>(folder: &PinFolder, name: &'static str, counts: impl Fn(&V) -> bool) -> Result<u32, MapsError> {
    let map = open_data(folder, name)?;
    let failed = |source: MapError| MapsError::Type { name, source };
    let chains = map.info().map_err(failed)?.max_entries().next_power_of_two();
    let first = fastrand::u32(0..=chains / 2);
    let (entries, next) = bpf::read_hash::<K, V>(map.fd(), first, MAX_READ).map_err(|error| failed(error.into()))?;
    let counted = entries.iter().filter(|(_, value)| counts(value)).count();
    Ok(scale(counted, next.unwrap_or(chains).saturating_sub(first), chains))
}

/// Estimates the sum of `counted` over the elements of an array. Each element counts for at most `ways`.
fn array<T: aya::Pod + Default>(
    folder: &PinFolder,
    name: &'static str,
    ways: u32,
    counted: impl Fn(&T) -> usize,
) -> Result<u32, MapsError> {
    let map = open_data(folder, name)?;
    let failed = |source: MapError| MapsError::Type { name, source };
    let length = map.info().map_err(failed)?.max_entries();
    let all = length.saturating_mul(ways);
    let estimate = |Sample { places, run }| {
        let (mut found, mut read) = (0, 0);
        for _ in 0..places {
            let first = fastrand::u32(0..=length.saturating_sub(run));
            let elements = bpf::read_array::<T>(map.fd(), first, run)?;
            found += elements.iter().map(&counted).sum::<usize>();
            read += elements.len();
        }
        Ok(scale(found, u32::try_from(read).unwrap_or(u32::MAX), length).min(all))
    };
    let rough = estimate(ROUGH_SAMPLE).map_err(|error: io::Error| failed(error.into()))?;
    if rough < all / FAR_FROM_FULL { Ok(rough) } else { estimate(FINE_SAMPLE).map_err(|error| failed(error.into())) }
}

/// Returns the estimate for `all` elements if `found` of `read` ones count.
fn scale(found: usize, read: u32, all: u32) -> u32 {
    let estimate = found as u64 * u64::from(all) / u64::from(read.max(1));
    u32::try_from(estimate).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sample_stands_for_all() {
        assert_eq!(scale(512, 1024, 32_768), 16_384);
        assert_eq!(scale(0, 0, 32_768), 0);
        assert_eq!(scale(7, 32_768, 32_768), 7);
    }
}
