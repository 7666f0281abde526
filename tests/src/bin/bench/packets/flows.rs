//! The agent's maps of flows: flows that are entered without a packet, and forgotten.

use std::net::Ipv4Addr;

use anyhow::{Context as _, Result};
use aya::maps::{Array, HashMap, Map, MapData, MapError};
use proxy_common::{Conntrack, Tuple};

use super::{frames::entries, node::BenchNode};

type Table = HashMap<MapData, Tuple, Conntrack>;

/// The maps.
pub struct Flows {
    conntrack: Table,
    snat_ports: Array<MapData, u8>,
    /// What each entry is like.
    like: Conntrack,
    entered: u32,
}

impl Flows {
    /// Opens the maps of a node on which one flow has been opened. All flows are like that one, but end far beyond: what
    /// puts an end off, once a second and flow, is not measured.
    pub fn open(node: &BenchNode) -> Result<Self> {
        let (conntrack, half_open): (_, Table) = (map(node, "conntrack")?, map(node, "half_open")?);
        let (_, entry) = half_open.iter().flatten().next().context("find the flow that was opened")?;
        let like = Conntrack { expires: entry.expires.wrapping_add(1 << 30), ..entry };
        Ok(Self { conntrack, snat_ports: map(node, "snat_ports")?, like, entered: 0 })
    }

    /// Enters the first `count` flows.
    pub fn enter(&mut self, count: u32, node: Ipv4Addr) -> Result<()> {
        for index in self.entered..count {
            for (tuple, entry) in entries(index, node, &self.like) {
                self.conntrack.insert(tuple, entry, 0).context("enter a flow")?;
                if entry.flags & Conntrack::REPLY != 0 {
                    self.snat_ports.set(tuple.destination_port.into(), 1, 0).context("note a source port")?;
                }
            }
        }
        self.entered = self.entered.max(count);
        Ok(())
    }
}

fn map<M: TryFrom<Map, Error = MapError>>(node: &BenchNode, name: &str) -> Result<M, MapError> {
    MapData::from_pin(node.waggle.pins().join(name)).and_then(Map::from_map_data).and_then(M::try_from)
}
