//! The bench node's maps: counters, flows and other memories, read and forgotten.

use std::{collections::BTreeMap, error::Error};

use aya::{
    Pod,
    maps::{HashMap, Map, MapData, MapError, PerCpuArray},
};
use proxy_common::{Affinity, AffinityKey, Conntrack, Counter, Device, Fragment, FragmentPorts, Tuple};
use proxy_userspace::{
    flow_table::{FlowTable, Names},
    maps::PinFolder,
};

/// A counter and how much it has moved.
pub type Counts = BTreeMap<Counter, u64>;

/// Handles to the maps that the programs write.
pub struct State {
    counters: PerCpuArray<MapData, u64>,
    conntrack: FlowTable,
    half_open: FlowTable,
    fragments: HashMap<MapData, Fragment, FragmentPorts>,
    affinity: HashMap<MapData, AffinityKey, Affinity>,
    devices: HashMap<MapData, u32, Device>,
}

impl State {
    /// Opens the maps pinned in `folder`.
    pub(super) fn open(folder: &PinFolder) -> Result<Self, Box<dyn Error>> {
        Ok(Self {
            counters: open(folder, "COUNTERS")?,
            conntrack: FlowTable::open(folder, Names::CONNTRACK)?,
            half_open: FlowTable::open(folder, Names::HALF_OPEN)?,
            fragments: open(folder, "FRAGMENTS")?,
            affinity: open(folder, "AFFINITY")?,
            devices: open(folder, "DEVICES")?,
        })
    }

    /// Lets XDP programs redirect to the devices with these interface indexes.
    pub(super) fn set_devices(&mut self, indexes: [u32; 3]) {
        for index in indexes {
            self.devices.insert(index, Device { flags: Device::REDIRECT }, 0).expect("write DEVICES");
        }
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

    /// The entries of flows that both sides have confirmed.
    pub fn conntrack(&self) -> Vec<(Tuple, Conntrack)> {
        entries(&self.conntrack)
    }

    /// The entries of the other flows.
    pub fn half_open(&self) -> Vec<(Tuple, Conntrack)> {
        entries(&self.half_open)
    }

    /// Makes an entry of CONNTRACK as it would be if `entry` had been made long ago.
    pub fn set_conntrack(&mut self, tuple: Tuple, entry: Conntrack) {
        self.conntrack.insert(&tuple, &entry, 0).expect("write CONNTRACK");
    }

    /// Lets every flow end now.
    pub fn expire_flows(&mut self) {
        for table in [&mut self.conntrack, &mut self.half_open] {
            for (tuple, mut entry) in entries(table) {
                // An end half of the jiffies' range away has always passed.
                entry.life.expires = entry.life.expires.wrapping_sub(1 << 30);
                table.insert(&tuple, &entry, 0).expect("write flows");
            }
        }
    }

    /// Forgets all flows, fragments and clients.
    pub fn forget(&mut self) {
        for table in [&mut self.conntrack, &mut self.half_open] {
            for (tuple, _) in entries(table) {
                table.remove(&tuple).expect("remove a flow");
            }
        }
        clear(&mut self.fragments);
        clear(&mut self.affinity);
    }
}

fn entries(table: &FlowTable) -> Vec<(Tuple, Conntrack)> {
    let keys: Vec<_> = table.keys().collect::<Result<_, _>>().expect("read flows");
    keys.into_iter().map(|tuple| (tuple, table.get(&tuple).expect("read a flow"))).collect()
}

fn open<M: TryFrom<Map, Error = MapError>>(folder: &PinFolder, name: &str) -> Result<M, MapError> {
    MapData::from_pin(folder.map(name)).and_then(Map::from_map_data).and_then(M::try_from)
}

fn clear<K: Pod, V: Pod>(map: &mut HashMap<MapData, K, V>) {
    let keys: Vec<K> = map.keys().collect::<Result<_, _>>().expect("read keys");
    for key in keys {
        map.remove(&key).expect("remove a key");
    }
}
