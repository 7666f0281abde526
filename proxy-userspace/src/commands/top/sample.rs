//! What one look at an instance's pinned maps finds, with its time.

use std::{
    collections::BTreeMap,
    thread,
    time::{Duration, Instant},
};

use proxy_common::Counter;

use crate::{
    commands::get::{InspectError, Pins, Snapshot, Tracked, read_consistently, read_counters},
    maps::PinFolder,
};

/// How often a look is made until no maps were replaced meanwhile. Later looks make up for one that fails.
const TRIES: u32 = 5;
/// How long to wait before a look is repeated.
const PAUSE: Duration = Duration::from_millis(50);

/// A look at the maps.
#[derive(Clone, Debug)]
pub struct Sample {
    /// When the maps were read.
    pub at: Instant,
    /// Services, their backends, and what is counted for them.
    pub snapshot: Snapshot,
    /// COUNTERS, summed over the CPUs.
    pub counters: BTreeMap<Counter, u64>,
    /// The flows. There may be very many: they are only read while a screen shows them.
    pub tracked: Option<Tracked>,
}

impl Sample {
    /// Reads the maps, without flows. They are opened again each time, since the agent may have replaced them.
    pub fn read(instance: &str) -> Result<Self, InspectError> {
        consistently(instance, || {
            let at = Instant::now();
            Ok(Self { at, snapshot: Snapshot::read(instance)?, counters: read_counters(instance)?, tracked: None })
        })
    }

    /// Reads the flows, too, unless they are known.
    pub fn read_flows(&mut self, instance: &str) -> Result<(), InspectError> {
        if self.tracked.is_none() {
            self.tracked = Some(consistently(instance, || Tracked::read(instance))?);
        }
        Ok(())
    }
}

/// Reads something until no maps were replaced meanwhile.
pub fn consistently<T>(instance: &str, read: impl Fn() -> Result<T, InspectError>) -> Result<T, InspectError> {
    let folder = PinFolder::new(instance);
    read_consistently(TRIES, || Pins::read(&folder), read, || thread::sleep(PAUSE))
}
