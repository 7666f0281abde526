//! The agent's maps of flows: flows that are entered without a packet, and forgotten.

use std::net::Ipv4Addr;

use anyhow::{Context as _, Result};
use aya::maps::{Array, Map, MapData};
use proxy_common::{Conntrack, Life};
use proxy_userspace::{
    flow_table::{FlowTable, Names},
    maps::PinFolder,
};

use super::{frames::entries, node::BenchNode};

/// The maps.
pub struct Flows {
    conntrack: FlowTable,
    snat_ports: Array<MapData, u8>,
    /// What each entry is like.
    like: Conntrack,
    entered: u32,
}

impl Flows {
    /// Opens the maps of a node on which one flow has been opened. All flows are like that one, but end far beyond: what
    /// puts an end off, once a second and flow, is not measured.
    pub fn open(node: &BenchNode) -> Result<Self> {
        let folder = PinFolder::new(&node.node.instance());
        let half_open = FlowTable::open(&folder, Names::HALF_OPEN)?;
        let opened = half_open.keys().flatten().next().context("find the flow that was opened")?;
        let mut like = half_open.get(&opened)?;
        like.life.expires = like.life.expires.wrapping_add(1 << 30);
        let snat_ports = MapData::from_pin(folder.map("SNAT_PORTS")).and_then(Map::from_map_data)?.try_into()?;
        Ok(Self { conntrack: FlowTable::open(&folder, Names::CONNTRACK)?, snat_ports, like, entered: 0 })
    }

    /// Enters the first `count` flows.
    pub fn enter(&mut self, count: u32, node: Ipv4Addr) -> Result<()> {
        for index in self.entered..count {
            for (tuple, entry) in entries(index, node, &self.like) {
                self.conntrack.insert(&tuple, &entry, 0).context("enter a flow")?;
                if entry.life.flags & Life::REPLY != 0 {
                    self.snat_ports.set(tuple.destination_port.into(), 1, 0).context("note a source port")?;
                }
            }
        }
        self.entered = self.entered.max(count);
        Ok(())
    }
}
