//! Says in MONITOR what is wanted, and until when.

use std::{collections::BTreeSet, io, time::Duration};

use aya::maps::{Array, MapData, MapError, MapInfo};
use nix::time::{ClockId, clock_gettime};
use proxy_common::{Monitor, StoredName};

use super::error::MonitorError;
use crate::{
    commands::{get::read::each_entry, service_filter::ServiceFilter},
    desired::ServiceName,
    maps::{PinFolder, encode, open, open_array, open_data, typed},
    node::bpf::MappedArray,
};

/// How long events are reported after the last renewal, and so how long a killed monitor still costs CPU time.
const LEASE: Duration = Duration::from_secs(5);

const MONITOR: &str = "MONITOR";

/// The switch by which programs report events. Dropping it switches them off.
pub struct Switch {
    folder: PinFolder,
    map: Array<MapData, Monitor>,
    /// The kernel's id of the map.
    id: u32,
    wanted: Monitor,
    services: Option<ServiceFilter>,
}

impl Switch {
    /// Opens the switch of an instance. It is not on yet.
    pub fn open(folder: &PinFolder, wanted: Monitor, services: Option<ServiceFilter>) -> Result<Self, MonitorError> {
        let data = open_data(folder, MONITOR)?;
        let id = data.info().map_err(access)?.id();
        Ok(Self { folder: folder.clone(), map: typed(data, MONITOR)?, id, wanted, services })
    }

    /// Checks that every Service that is asked for by its name is in force.
    pub fn check(&self) -> Result<(), MonitorError> {
        let Some(filter) = &self.services else { return Ok(()) };
        let services = services(&self.folder)?;
        let names: Vec<_> = services.iter().map(|(_, service)| (&*service.namespace, &*service.name)).collect();
        Ok(filter.check(&names)?)
    }

    /// Wants events for a while from now on.
    pub fn renew(&mut self) -> Result<(), MonitorError> {
        if let Some(filter) = &self.services {
            choose(&self.folder, filter)?;
        }
        let expires = now()?.saturating_add(LEASE);
        self.wanted.expires = u64::try_from(expires.as_nanos()).unwrap_or(u64::MAX);
        self.write(self.wanted)
    }

    /// Whether the pinned map is still this one.
    pub fn is_current(&self) -> bool {
        MapInfo::from_pin(self.folder.map(MONITOR)).is_ok_and(|pinned| pinned.id() == self.id)
    }

    fn write(&mut self, value: Monitor) -> Result<(), MonitorError> {
        self.map.set(0, value, 0).map_err(access)
    }
}

fn access(source: MapError) -> MonitorError {
    MonitorError::Access { name: MONITOR, source }
}

impl Drop for Switch {
    fn drop(&mut self) {
        // If it fails, the lease ends soon.
        let _ = self.write(Monitor::default());
    }
}

/// Returns the process id that the running monitor has noted; 0 if there is none.
pub fn process(folder: &PinFolder) -> u32 {
    let map: Result<Array<MapData, Monitor>, _> = open(folder, MONITOR);
    map.ok().and_then(|map| map.get(&0, 0).ok()).map_or(0, |monitor| monitor.process)
}

/// Returns the time of the kernel's monotonic clock, which events have.
pub fn now() -> io::Result<Duration> {
    Ok(clock_gettime(ClockId::CLOCK_MONOTONIC).map_err(io::Error::from)?.into())
}

/// Marks the ids of the wanted Services. The programs ask for these only, so all others get no mark.
fn choose(folder: &PinFolder, filter: &ServiceFilter) -> Result<(), MonitorError> {
    let wanted = services(folder)?
        .into_iter()
        .filter(|(_, service)| filter.wants(&service.namespace, &service.name))
        .map(|(id, _)| id);
    let wanted: BTreeSet<u32> = wanted.collect();
    let mut marks: MappedArray<u8> = open_array(folder, "MONITORED_SERVICES")?;
    for id in 0..marks.length() {
        let mark = wanted.contains(&id).into();
        if marks.get(id) != Some(mark) {
            marks.set(id, mark);
        }
    }
    Ok(())
}

/// Returns the Services by the ids of their ports.
fn services(folder: &PinFolder) -> Result<Vec<(u32, ServiceName)>, MonitorError> {
    let mut services = Vec::new();
    each_entry(folder, "SERVICE_NAMES", |id: u32, name: StoredName| {
        services.extend(encode::port_id(&name).map(|port| (id, port.service)));
    })?;
    Ok(services)
}
