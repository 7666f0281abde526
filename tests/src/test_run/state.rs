//! The bench node's maps: reads and clears counters, flows and what else programs remember.

use std::{collections::BTreeMap, error::Error};

use aya::{
    Pod,
    maps::{Array, HashMap, Map, MapData, MapError, PerCpuArray, ProgramArray},
    programs::ProgramFd,
};
use proxy_common::{
    Affinity, AffinityKey, BackendCounters, ConntrackEntry, Counter, Device, EntryMeta, Fragment, FragmentPorts, Phase,
    Reject, ServiceCounters, Stage, State as FlowState, Tuple, filter::PortClass,
};
use proxy_userspace::{
    maps::{
        PinFolder,
        flow_table::{FlowMapNames, FlowTable},
    },
    node::jiffies,
};

use super::buckets::{BucketFault, FlowBuckets};

/// A counter and how much it has moved.
pub type Counts = BTreeMap<Counter, u64>;

/// Handles to the maps that the programs write.
pub struct State {
    counters: PerCpuArray<MapData, u64>,
    backends: HashMap<MapData, u32, BackendCounters>,
    services: PerCpuArray<MapData, ServiceCounters>,
    ports: Array<MapData, u8>,
    slots: Array<MapData, u32>,
    stages: [ProgramArray<MapData>; 2],
    assured: FlowTable,
    embryonic: FlowTable,
    buckets: FlowBuckets,
    fragments: HashMap<MapData, Fragment, FragmentPorts>,
    rejects: PerCpuArray<MapData, Reject>,
    affinity: HashMap<MapData, AffinityKey, Affinity>,
    devices: HashMap<MapData, u32, Device>,
    succession: Array<MapData, u32>,
    /// The time of the programs' clock, jiffies.
    clock: u32,
}

impl State {
    /// Opens the maps pinned in `folder`, of programs whose clock stands at `clock`.
    pub(super) fn open(folder: &PinFolder, clock: u32) -> Result<Self, Box<dyn Error>> {
        Ok(Self {
            counters: open(folder, "COUNTERS")?,
            backends: open(folder, "BACKEND_COUNTERS")?,
            services: open(folder, "SERVICE_COUNTERS")?,
            ports: open(folder, "PORT_FILTER")?,
            slots: open(folder, "SLOTS")?,
            stages: [open(folder, "XDP_STAGES")?, open(folder, "TC_STAGES")?],
            assured: FlowTable::open(folder, FlowMapNames::ASSURED)?,
            embryonic: FlowTable::open(folder, FlowMapNames::EMBRYONIC)?,
            buckets: FlowBuckets::open(folder, clock)?,
            fragments: open(folder, "FRAGMENTS")?,
            rejects: open(folder, "REJECTS")?,
            affinity: open(folder, "AFFINITY")?,
            devices: open(folder, "DEVICES")?,
            succession: open(folder, "SUCCESSION")?,
            clock,
        })
    }

    /// Lets XDP programs redirect to the devices `outside`, and marks `pod` as a pod's: by interface index.
    pub(super) fn set_devices(&mut self, outside: [u32; 3], pod: u32) {
        for index in outside {
            self.devices.insert(index, Device { flags: Device::REDIRECT }, 0).expect("write DEVICES");
        }
        self.devices.insert(pod, Device { flags: Device::POD }, 0).expect("write DEVICES");
    }

    /// Every counter that is not 0, over all processors.
    pub fn counts(&self) -> Counts {
        let sum = |counter: Counter| {
            let values = self.counters.get(&(counter as u32), 0).expect("read COUNTERS");
            (counter, values.iter().sum())
        };
        Counter::ALL.into_iter().map(sum).filter(|(_, count)| *count != 0).collect()
    }

    /// How far the counters have moved since `before`.
    pub fn counts_since(&self, before: &Counts) -> Counts {
        let moved = |(counter, count): (Counter, u64)| (counter, count - before.get(&counter).copied().unwrap_or(0));
        self.counts().into_iter().map(moved).filter(|(_, count)| *count != 0).collect()
    }

    /// The counts of flows and source ports of this backend.
    pub fn backend_counts(&self, id: u32) -> BackendCounters {
        self.backends.get(&id, 0).unwrap_or_default()
    }

    /// How many flows have been counted for this service, over all processors.
    pub fn connections(&self, id: u32) -> u64 {
        let values = self.services.get(&id, 0).expect("read SERVICE_COUNTERS");
        values.iter().map(|value| value.connections).sum()
    }

    /// The number of assured entries that have not expired.
    pub(super) fn live(&self) -> usize {
        self.assured().iter().filter(|(_, entry)| !entry.meta.is_expired(self.clock)).count()
    }

    /// The entries of assured flows, expired ones included.
    pub fn assured(&self) -> Vec<(Tuple, ConntrackEntry)> {
        entries(&self.assured)
    }

    /// The entries of embryonic flows, expired ones included.
    pub fn embryonic(&self) -> Vec<(Tuple, ConntrackEntry)> {
        entries(&self.embryonic)
    }

    /// Enters the flow that begins with `tuple` as a foreign one, which expires after `seconds`.
    pub fn set_foreign(&mut self, tuple: Tuple, seconds: u32) {
        let ticks = seconds * jiffies::per_second().expect("read the clock's tick");
        let entry = ConntrackEntry {
            source: tuple.source,
            destination: tuple.destination,
            source_port: tuple.source_port,
            destination_port: tuple.destination_port,
            meta: EntryMeta {
                expires: self.clock.wrapping_add(ticks),
                state: FlowState::Foreign as u8,
                ..EntryMeta::default()
            },
        };
        self.assured.put(&tuple, &entry).expect("write flows");
    }

    /// Sets how far these programs have come in replacing others.
    pub fn set_phase(&mut self, phase: Phase) {
        self.succession.set(0, phase as u32, 0).expect("write SUCCESSION");
    }

    /// Reserves a key, as a start does for a flow of the old programs.
    pub fn reserve(&mut self, tuple: &Tuple, entry: &ConntrackEntry) {
        self.embryonic.reserve(tuple, entry).expect("write EMBRYONIC");
    }

    /// Carries a flow over, as a start does while programs of both sets run.
    pub fn follow(&mut self, tuple: &Tuple, entry: &ConntrackEntry) {
        self.embryonic.follow(tuple, entry, self.clock).expect("write EMBRYONIC");
    }

    /// Injects `fault` into the buckets of a packet's entry.
    pub(super) fn inject_fault(&mut self, tuple: &Tuple, fault: BucketFault) {
        self.buckets.inject_fault(tuple, fault);
    }

    /// Whether PORT_FILTER has a node port.
    pub(super) fn is_node_port(&self, port: u16) -> bool {
        self.ports.get(&port.into(), 0).expect("read PORT_FILTER") & PortClass::NODE_PORT != 0
    }

    /// Enters copies of the only flow for every port of source translation, which is the client's port, too.
    pub fn take_source_ports(&mut self) {
        let class = |port: u16| self.ports.get(&port.into(), 0).expect("read PORT_FILTER");
        let ports: Vec<u16> = (0..=u16::MAX).filter(|port| class(*port) & PortClass::SNAT != 0).collect();
        for table in [&mut self.assured, &mut self.embryonic] {
            for (mut tuple, mut entry) in entries(table) {
                for port in &ports {
                    if entry.meta.flags & EntryMeta::REPLY == 0 {
                        (tuple.source_port, entry.source_port) = (*port, *port);
                    } else {
                        (tuple.destination_port, entry.destination_port) = (*port, *port);
                    }
                    table.put(&tuple, &entry).expect("write flows");
                }
            }
        }
    }

    /// Moves the last connection of every client this many seconds back.
    pub fn age_clients(&mut self, seconds: u64) {
        age_clients(&mut self.affinity, seconds);
    }

    /// Moves the refill of refusals this many seconds back.
    pub fn age_refusals(&mut self, seconds: u32) {
        let ticks = seconds * jiffies::per_second().expect("read the clock's tick");
        let mut rejects = self.rejects.get(&0, 0).expect("read REJECTS").to_vec();
        for reject in &mut rejects {
            reject.filled = reject.filled.wrapping_sub(ticks);
        }
        self.rejects.set(0, rejects.try_into().expect("a value for each processor"), 0).expect("write REJECTS");
    }

    /// Damages the maps: the first slots all name this backend.
    pub fn damage_slots(&mut self, backend: u32) {
        for slot in 0..64 {
            self.slots.set(slot, backend, 0).expect("write SLOTS");
        }
    }

    /// Damages the maps: removes the program of a stage.
    pub(super) fn damage_stage(&mut self, stage: Stage) {
        let cleared = self.stages.each_mut().map(|stages| stages.clear_index(&(stage as u32)).is_ok());
        // Stages of packets that leave have no program at XDP.
        assert!(cleared.contains(&true), "write XDP_STAGES and TC_STAGES");
    }

    /// Puts a program in a stage's place, at XDP or TC.
    pub(super) fn repair_stage(&mut self, stage: Stage, hook: usize, program: &ProgramFd) {
        self.stages[hook].set(stage as u32, program, 0).expect("write XDP_STAGES or TC_STAGES");
    }

    /// Moves the last packet of every flow this many seconds back; a negative number moves it forward.
    pub fn idle(&mut self, seconds: i32) {
        let ticks = jiffies::per_second().expect("read the clock's tick").wrapping_mul(seconds.cast_unsigned());
        self.age(ticks);
    }

    /// Makes every flow expire now.
    pub fn expire_flows(&mut self) {
        // Half of the range of jiffies back is always in the past.
        self.age(1 << 30);
    }

    fn age(&mut self, ticks: u32) {
        self.change(|meta| meta.expires = meta.expires.wrapping_sub(ticks));
    }

    /// Makes every flow this much older: in units of its time of opening.
    pub fn grow_older(&mut self, units: u32) {
        self.change(|meta| meta.opened = meta.opened.wrapping_sub(units));
    }

    /// The age of each entry of a Service's flow, in the same units.
    pub fn ages(&self) -> Vec<u32> {
        let now = EntryMeta::opening(self.clock.into());
        let flows = self.assured().into_iter().chain(self.embryonic());
        let of_services = flows.filter(|(_, entry)| entry.meta.service != 0);
        of_services.map(|(_, entry)| now.wrapping_sub(entry.meta.opened)).collect()
    }

    fn change(&mut self, change: impl Fn(&mut EntryMeta)) {
        for table in [&mut self.assured, &mut self.embryonic] {
            for (tuple, mut entry) in entries(table) {
                change(&mut entry.meta);
                table.put(&tuple, &entry).expect("write flows");
            }
        }
    }

    /// Forgets all flows, fragments and clients.
    pub fn forget(&mut self) {
        for table in [&mut self.assured, &mut self.embryonic] {
            for (tuple, _) in entries(table) {
                table.remove(&tuple).expect("remove a flow");
            }
        }
        self.buckets.clear();
        clear(&mut self.fragments);
        clear(&mut self.affinity);
    }
}

fn entries(table: &FlowTable) -> Vec<(Tuple, ConntrackEntry)> {
    table.entries().collect::<Result<_, _>>().expect("read flows")
}

/// Moves the last connection of every client in AFFINITY this many seconds back.
pub fn age_clients(affinity: &mut HashMap<MapData, AffinityKey, Affinity>, seconds: u64) {
    let clients: Vec<_> = affinity.iter().collect::<Result<_, _>>().expect("read AFFINITY");
    for (key, client) in clients {
        let last_connection = client.last_connection.saturating_sub(seconds * 1_000_000_000);
        affinity.insert(key, Affinity { last_connection, ..client }, 0).expect("write AFFINITY");
    }
}

/// Opens a map whose pin is in `folder`, of the agent or of the bench.
pub fn open<M: TryFrom<Map, Error = MapError>>(folder: &PinFolder, name: &str) -> Result<M, MapError> {
    MapData::from_pin(folder.map(name)).and_then(Map::from_map_data).and_then(M::try_from)
}

fn clear<K: Pod, V: Pod>(map: &mut HashMap<MapData, K, V>) {
    let keys: Vec<K> = map.keys().collect::<Result<_, _>>().expect("read keys");
    for key in keys {
        map.remove(&key).expect("remove a key");
    }
}
