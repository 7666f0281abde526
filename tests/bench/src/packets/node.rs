//! The node whose programs are measured: a lab with an agent that serves two node ports, and a neighbour whose address
//! is known in advance.

use std::{net::Ipv4Addr, process::Command, time::Duration};

use anyhow::{Context as _, Result, bail};
use harness::{
    lab::{Lab, Node, Waggle, find_program},
    objects::{Cluster as _, ManifestDir, lab_node, service, slice},
};
use serde_json::Value;

use super::frames::{BACKEND_PORT, EMPTY_NODE_PORT, NODE_PORT};
use crate::manifests::SERVICE_CIDR;

/// The Ethernet address of the neighbour that the node sends everything to.
pub const NEIGHBOUR: [u8; 6] = [2, 0, 0, 0, 0, 0xfe];
const WAIT_LIMIT: Duration = Duration::from_mins(1);

/// The node. Its parts are dropped in this order.
pub struct BenchNode {
    /// The agent.
    pub waggle: Waggle,
    _folder: ManifestDir,
    /// The node.
    pub node: Node,
    _lab: Lab,
}

impl BenchNode {
    /// Makes the node, and waits until the agent serves. `conntrack`: its `--max-conntrack`.
    pub fn create(conntrack: usize) -> Result<Self> {
        let lab = Lab::new("packets")?;
        let node = lab.node("a")?;
        let [a, b, c, d, e, f] = NEIGHBOUR;
        node.netns().batch(&[format!(
            "neighbor replace 192.168.50.254 lladdr {a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{f:02x} dev eth0 nud permanent"
        )])?;
        let folder = ManifestDir::new();
        folder.put(&lab_node(&node).build());
        let node_port =
            |name: &str, port: u16| service(name).kind("NodePort").port(BACKEND_PORT, BACKEND_PORT).node_port(port);
        folder.put(&node_port("far", NODE_PORT).cluster_ip("10.96.0.10").build());
        // Enough backends that source ports stay free: each new flow takes one for its backend.
        let backends = (1..=100).map(|number| format!("10.244.200.{number}"));
        folder.put(&backends.fold(slice("far").port(BACKEND_PORT), |slice, address| slice.endpoint(&address)).build());
        folder.put(&node_port("empty", EMPTY_NODE_PORT).cluster_ip("10.96.0.11").build());
        let command = node.waggle(&folder.source()).allocating(SERVICE_CIDR, folder.allocations());
        // No limit on refusals.
        let conntrack = conntrack.to_string();
        let flags = ["--preallocate", "--device-mode", "xdp", "--reject-rate", "0", "--max-conntrack", &conntrack];
        let waggle = command.args(flags).start_unready()?;
        waggle.wait_log(WAIT_LIMIT, |line| line.message() == "serving")?;
        Ok(Self { waggle, _folder: folder, node, _lab: lab })
    }

    /// The node's address.
    pub fn address(&self) -> Ipv4Addr {
        self.node.v4()
    }

    /// The id of the XDP program on `eth0`.
    pub fn program(&self) -> Result<u32> {
        let waggle = find_program("waggle", "WAGGLE_BIN")?;
        let arguments = ["get", "devices", "-o", "json", "--instance", &self.node.instance()];
        let output = Command::new(waggle).args(arguments).output().context("run waggle get devices")?;
        let devices: Value = serde_json::from_slice(&output.stdout).context("read waggle get devices")?;
        let programs = devices.as_array().into_iter().flatten().filter(|row| row["device"] == "eth0");
        let mut programs = programs.flat_map(|row| row["programs"].as_array().into_iter().flatten());
        let id = programs.find(|cell| cell["hook"] == "xdp").and_then(|cell| cell["program"].as_u64());
        match id.and_then(|id| u32::try_from(id).ok()) {
            Some(id) => Ok(id),
            None => bail!("waggle get devices shows no XDP program on eth0: {devices}"),
        }
    }
}
