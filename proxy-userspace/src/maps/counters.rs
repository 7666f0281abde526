//! Reads what the programs count for service ports and backends, by Kubernetes names and addresses.

use std::{cmp::Reverse, net::SocketAddr};

use aya::maps::{Array, HashMap, MapData, MapError, PerCpuArray};
use proxy_common::{Backend, BackendCounters, ServiceCounters, StoredName};

use super::{MapsError, PinFolder, encode, open_read_only};
use crate::desired::PortId;

/// Returns the sum of COUNTERS over all CPUs: while it is the same, no program has translated, refused or opened anything.
pub fn sum_of_events(folder: &PinFolder) -> Result<u64, MapsError> {
    let counters: PerCpuArray<MapData, u64> = open_read_only(folder, "COUNTERS")?;
    let failed = |source| MapsError::Type { name: "COUNTERS", source };
    let sum = |index| counters.get(&index, 0).map(|values| values.iter().sum::<u64>()).map_err(failed);
    (0..counters.len()).map(sum).sum()
}

/// Returns the counters of the service ports with the lowest ids, at most `limit`. `ports` is how many service ports exist: reading
/// ends when so many are found. New ports get free ids only, so they never displace the counters of an older port.
pub fn of_services(
    folder: &PinFolder,
    limit: usize,
    ports: usize,
) -> Result<Vec<(PortId, ServiceCounters)>, MapsError> {
    let names: HashMap<MapData, u32, StoredName> = open_read_only(folder, "SERVICE_NAMES")?;
    let counters: PerCpuArray<MapData, ServiceCounters> = open_read_only(folder, "SERVICE_COUNTERS")?;
    let read = |id: u32| {
        let port = encode::port_id(&names.get(&id, 0).ok()?)?;
        Some((port, sum_of_service(&counters, id).ok()?))
    };
    Ok((1..counters.len()).filter_map(read).take(limit.min(ports)).collect())
}

/// Returns the counters of the service port with an id, summed over the CPUs.
fn sum_of_service(map: &PerCpuArray<MapData, ServiceCounters>, id: u32) -> Result<ServiceCounters, MapError> {
    Ok(sum_over_cpus(&map.get(&id, 0)?))
}

/// Returns the sum of a service port's counters on each CPU.
pub fn sum_over_cpus(counters: &[ServiceCounters]) -> ServiceCounters {
    let add = |sum: ServiceCounters, one: &ServiceCounters| ServiceCounters {
        connections: sum.connections + one.connections,
        packets: sum.packets + one.packets,
        bytes: sum.bytes + one.bytes,
    };
    counters.iter().fold(ServiceCounters::default(), add)
}

/// Returns the counters of the backends for which source ports were hardest to find, at most `limit`, and the number of other
/// backends with counters.
pub fn of_backends(folder: &PinFolder, limit: usize) -> Result<(Vec<(SocketAddr, BackendCounters)>, usize), MapsError> {
    let backends: Array<MapData, Backend> = open_read_only(folder, "BACKENDS")?;
    let counters: HashMap<MapData, u32, BackendCounters> = open_read_only(folder, "BACKEND_COUNTERS")?;
    let mut found = Vec::new();
    for entry in &counters {
        let (id, counted) = entry.map_err(|source| MapsError::Type { name: "BACKEND_COUNTERS", source })?;
        if let Some(backend) = backends.get(&id, 0).ok().filter(Backend::is_valid) {
            found.push((encode::backend_address(&backend), counted));
        }
    }
    found.sort_by_key(|(address, counted)| (Reverse((counted.exhausted, counted.taken, counted.flows)), *address));
    let others = found.len().saturating_sub(limit);
    found.truncate(limit);
    Ok((found, others))
}
