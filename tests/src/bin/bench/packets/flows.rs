//! The agent's maps of flows: flows that are entered without a packet, and forgotten.

use std::net::Ipv4Addr;

use anyhow::{Context as _, Result};
use aya::maps::{HashMap, Map, MapData, MapError};
use proxy_common::{Conntrack, Tuple};

use super::{frames::entries, node::BenchNode};

type Table = HashMap<MapData, Tuple, Conntrack>;

/// The maps.
pub struct Flows {
    conntrack: Table,
    /// What each entry is like.
    like: Conntrack,
    entered: u32,
}

impl Flows {
    /// Opens the maps of a node on which one flow has been opened. All flows are like that one, but end far beyond: what
    /// puts an end off, once a second and flow, is not measured.
    pub fn open(node: &BenchNode) -> Result<Self> {
        let (conntrack, half_open) = (table(node, "conntrack")?, table(node, "half_open")?);
        let (_, entry) = half_open.iter().flatten().next().context("find the flow that was opened")?;
        let like = Conntrack { expires: entry.expires.wrapping_add(1 << 30), ..entry };
        Ok(Self { conntrack, like, entered: 0 })
    }

    /// Enters the first `count` flows.
    pub fn enter(&mut self, count: u32, node: Ipv4Addr) -> Result<()> {
        for index in self.entered..count {
            for (tuple, entry) in entries(index, node, &self.like) {
                self.conntrack.insert(tuple, entry, 0).context("enter a flow")?;
            }
        }
        self.entered = self.entered.max(count);
        Ok(())
    }
}

fn table(node: &BenchNode, name: &str) -> Result<Table, MapError> {
    MapData::from_pin(node.waggle.pins().join(name)).and_then(Map::from_map_data).and_then(HashMap::try_from)
}
