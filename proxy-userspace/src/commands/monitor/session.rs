//! A monitor's connection to an instance: its lock, the switch, the ring buffer, and names for what events mention.

use std::{
    collections::BTreeMap,
    fs::{File, TryLockError},
    io, mem, process,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use aya::maps::{MapData, RingBuf};
use bytemuck::pod_read_unaligned;
use jiff::Timestamp;
use proxy_common::{Counter, Event, Monitor};
use tokio::io::{Interest, unix::AsyncFd};

use super::{
    error::MonitorError,
    event_row::EventRow,
    filter::{monitor, services},
    names::Names,
    switch::{self, Switch},
};
use crate::{
    commands::{
        cli::MonitorArgs,
        get::{InspectError, read_counters, snapshot},
        service_filter::ServiceFilter,
        tolerance::Tolerance,
    },
    maps::{PinFolder, open},
    server::status::Time,
};

/// How many events are handed on at once.
const BATCH: usize = 1024;

/// How many renewals in a row may find the maps being replaced.
const MAX_FAILURES: u32 = 20;

/// A monitor of an instance.
pub struct Session {
    instance: String,
    folder: PinFolder,
    wanted: Monitor,
    services: Option<ServiceFilter>,
    maps: Maps,
    /// How many events were lost when this was last asked for.
    lost: u64,
    tolerance: Tolerance,
    /// A ring buffer has one reader. The lock is held as long as this file is open.
    _lock: File,
}

/// What a monitor uses of one set of maps.
struct Maps {
    switch: Switch,
    ring: AsyncFd<RingBuf<MapData>>,
    names: Names,
}

impl Maps {
    /// Opens the maps. Skips events that an earlier monitor has left unread.
    fn open(folder: &PinFolder, wanted: Monitor, services: Option<ServiceFilter>) -> Result<Self, MonitorError> {
        let mut ring: RingBuf<MapData> = open(folder, "EVENTS")?;
        while ring.next().is_some() {}
        #[expect(unsafe_code, reason = "tokio can't know whose descriptor it is")]
        // SAFETY: the ring buffer owns its descriptor for as long as it lives.
        let ring = unsafe { AsyncFd::register_with_interest(ring, Interest::READABLE) }.map_err(io::Error::from)?;
        Ok(Self { switch: Switch::open(folder, wanted, services)?, ring, names: Names::open(folder)? })
    }
}

impl Session {
    /// Switches events on. Fails if the instance or a Service that is asked for isn't there, or if another monitor runs.
    pub fn start(args: &MonitorArgs) -> Result<Self, MonitorError> {
        let instance = args.instance.instance.clone();
        let services = services(args)?;
        let folder = snapshot::open(&instance)?;
        let lock = lock(&folder, &instance)?;
        let wanted = monitor(args, services.is_some(), process::id());
        let mut maps = Maps::open(&folder, wanted, services.clone())?;
        maps.switch.check()?;
        let lost = read_lost(&instance)?;
        maps.switch.renew()?;
        Ok(Self {
            instance,
            folder,
            wanted,
            services,
            maps,
            lost,
            tolerance: Tolerance::new(MAX_FAILURES),
            _lock: lock,
        })
    }

    /// Waits for events, and returns them. It can be cancelled: events that it has not returned are not lost.
    pub async fn read(&mut self) -> Result<Vec<EventRow>, MonitorError> {
        let Maps { ring, names, .. } = &mut self.maps;
        let mut ready = ring.readable_mut().await?;
        let events = take(ready.get_inner_mut(), names)?;
        if events.len() < BATCH {
            ready.clear_ready();
        }
        Ok(events)
    }

    /// Returns the events that have happened until now and have not been returned, without waiting.
    pub fn rest(&mut self) -> Result<Vec<EventRow>, MonitorError> {
        let Maps { ring, names, .. } = &mut self.maps;
        take(ring.get_mut(), names)
    }

    /// Renews the lease in the maps that are pinned now. An agent may be replacing them: then the next renewal
    /// finds the new ones.
    pub fn renew(&mut self) -> Result<(), MonitorError> {
        match self.try_renew() {
            Err(MonitorError::Inspect(InspectError::Missing { .. })) => {
                Err(MonitorError::Removed { instance: self.instance.clone() })
            }
            Err(error @ MonitorError::Inspect(InspectError::Abi { .. })) => Err(error),
            result => self.tolerance.take(result),
        }
    }

    fn try_renew(&mut self) -> Result<(), MonitorError> {
        snapshot::open(&self.instance)?;
        if !self.maps.switch.is_current() {
            self.maps = Maps::open(&self.folder, self.wanted, self.services.clone())?;
        }
        self.maps.names.forget();
        self.maps.switch.renew()
    }

    /// Returns how many events were lost since this was last asked for. While maps are being replaced, none are known.
    pub fn lost(&mut self) -> u64 {
        let Ok(lost) = read_lost(&self.instance) else { return 0 };
        let before = mem::replace(&mut self.lost, lost);
        lost.saturating_sub(before)
    }
}

/// Takes up to [`BATCH`] events out of the ring buffer.
fn take(ring: &mut RingBuf<MapData>, names: &mut Names) -> Result<Vec<EventRow>, MonitorError> {
    let clock = Clock::now()?;
    let mut events = Vec::new();
    while events.len() < BATCH
        && let Some(bytes) = ring.next()
    {
        let event: Event = pod_read_unaligned(&bytes);
        let (service, device) = (names.service(event.service), names.device(event.device));
        events.push(EventRow::new(&event, clock.at(event.time), service, device));
    }
    Ok(events)
}

fn read_lost(instance: &str) -> Result<u64, MonitorError> {
    let counters: BTreeMap<Counter, u64> = read_counters(instance)?;
    Ok(counters.get(&Counter::EventLost).copied().unwrap_or(0))
}

/// Takes the lock that allows one monitor per instance. It is on the folder of links, and ends with the process.
fn lock(folder: &PinFolder, instance: &str) -> Result<File, MonitorError> {
    let error = |source| MonitorError::Lock { path: folder.links(), source };
    let file = File::open(folder.links()).map_err(error)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => {
            Err(MonitorError::Locked { instance: instance.to_owned(), process: switch::process(folder) })
        }
        Err(TryLockError::Error(source)) => Err(error(source)),
    }
}

/// The offset of the wall clock from the kernel's monotonic clock.
struct Clock {
    wall: Duration,
    monotonic: Duration,
}

impl Clock {
    fn now() -> Result<Self, MonitorError> {
        let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Ok(Self { wall, monotonic: switch::now()? })
    }

    /// Converts a time of the monotonic clock, ns, to wall-clock time.
    fn at(&self, nanoseconds: u64) -> Time {
        let ago = self.monotonic.saturating_sub(Duration::from_nanos(nanoseconds));
        let at = self.wall.saturating_sub(ago);
        Time(Timestamp::from_nanosecond(i128::try_from(at.as_nanos()).unwrap_or(0)).unwrap_or_default())
    }
}
