//! Enters flows into the agent's maps and into the floor program's map, without packets.

use std::net::Ipv4Addr;

use anyhow::{Context as _, Result};
use aya::maps::{Array, HashMap, Map, MapData};
use proxy_common::{ConntrackEntry, EntryMeta, Ipv4ConntrackEntry, Ipv4Tuple, Stored as _};
use proxy_userspace::maps::{
    PinFolder,
    flow_table::{FlowMapNames, FlowTable},
};

use super::{frames::entries, node::BenchNode};

/// The maps.
pub struct Flows {
    assured: FlowTable,
    floor: HashMap<MapData, Ipv4Tuple, Ipv4ConntrackEntry>,
    snat_ports: Array<MapData, u8>,
    /// The entry that all flows are modelled on.
    like: ConntrackEntry,
    entered: u32,
}

impl Flows {
    /// Opens the maps of a node on which one flow has been opened. All flows are like that one, but expire far later, so that
    /// their refresh, once a second for each flow, is not measured.
    pub fn open(node: &BenchNode, floor: HashMap<MapData, Ipv4Tuple, Ipv4ConntrackEntry>) -> Result<Self> {
        let folder = PinFolder::new(&node.node.instance());
        let embryonic = FlowTable::open(&folder, FlowMapNames::EMBRYONIC)?;
        let (_, mut like) = embryonic.entries().flatten().next().context("find the flow that was opened")?;
        like.meta.expires = like.meta.expires.wrapping_add(1 << 30);
        let snat_ports = MapData::from_pin(folder.map("SNAT_PORTS")).and_then(Map::from_map_data)?.try_into()?;
        Ok(Self { assured: FlowTable::open(&folder, FlowMapNames::ASSURED)?, floor, snat_ports, like, entered: 0 })
    }

    /// Enters the first `count` flows.
    pub fn enter(&mut self, count: u32, node: Ipv4Addr) -> Result<()> {
        for index in self.entered..count {
            for (tuple, entry) in entries(index, node, &self.like) {
                self.assured.put(&tuple, &entry).context("enter a flow")?;
                let (key, value) = (Ipv4ConntrackEntry::key(&tuple), Ipv4ConntrackEntry::narrow(&entry));
                self.floor.insert(key, value, 0).context("enter a flow of the floor program")?;
                if entry.meta.flags & EntryMeta::REPLY != 0 {
                    self.snat_ports.set(tuple.destination_port.into(), 1, 0).context("note a source port")?;
                }
            }
        }
        self.entered = self.entered.max(count);
        Ok(())
    }
}
