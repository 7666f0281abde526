//! A node with an agent that follows the API server, and a process that dials the measured Service.

use std::{
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};
use harness::{
    lab::{Lab, Node, Pod, START, Server, Waggle},
    objects::{ApiCluster, lab_node},
};

use super::{
    Size,
    cluster::{PORT, measured_service, measured_slice, other_service, other_slice},
    probe::{End, Probe},
    usage::Usage,
};
use crate::manifests::cluster_ip;

/// The node. Its parts are dropped in this order.
pub struct ScaleNode {
    /// The agent's process.
    pub agent: Usage,
    /// From the start of the process until the agent served.
    pub start: Duration,
    /// The numbers of Services and endpoints.
    pub size: Size,
    probe: Probe,
    _waggle: Waggle,
    /// The API server, in the node's namespace.
    pub server: Arc<ApiCluster>,
    _backend: Server,
    /// The pod that accepts connections, and the pod that refuses them.
    pods: [Pod; 2],
    /// The node.
    pub node: Node,
    _lab: Lab,
}

impl ScaleNode {
    /// Makes the node and waits until its agent serves. `flags`: the agent's.
    pub fn create(size: Size, flags: &[impl AsRef<str>]) -> Result<Self> {
        let lab = Lab::new("scale")?;
        let node = lab.node("a")?;
        let pods = [node.pod("open")?, node.pod("refuses")?];
        let backend = pods[0].serve(&[PORT])?;
        let server = Arc::new(ApiCluster::start(node.netns()));
        server.put(lab_node(&node).build());
        server.put(measured_service());
        server.put(measured_slice(&pods[0]));
        for number in 1..=size.services {
            server.put(other_service(number));
            server.put(other_slice(number, size, 0));
        }
        let probe = Probe::start(&node, SocketAddr::from((cluster_ip(0), PORT)))?;
        let begin = Instant::now();
        let mut waggle = node.waggle(&server.source()).args(flags.iter().map(AsRef::as_ref)).start_unready()?;
        waggle.wait_log(START, |line| line.message() == "serving")?;
        let start = begin.elapsed();
        let agent = Usage::of(waggle.process().id());
        let mut made =
            Self { agent, start, size, probe, _waggle: waggle, server, _backend: backend, pods, node, _lab: lab };
        made.wait(End::Open).context("connect to the measured Service")?;
        Ok(made)
    }

    /// Begins to dial until connections end as `wanted`.
    pub fn begin(&mut self, wanted: End) -> Result<()> {
        self.probe.begin(wanted)
    }

    /// Waits until connections end as the last [`Self::begin`] wants, and returns the time when the first one did.
    pub fn end(&mut self) -> Result<Duration> {
        self.probe.wait()
    }

    /// Moves the measured Service's endpoint to the pod where connections end as `wanted`.
    pub fn change(&self, wanted: End) {
        let [open, refuses] = &self.pods;
        self.server.put(measured_slice(if wanted == End::Open { open } else { refuses }));
    }

    /// Waits until connections end as `wanted`.
    fn wait(&mut self, wanted: End) -> Result<()> {
        self.begin(wanted)?;
        self.end().map(drop)
    }
}
