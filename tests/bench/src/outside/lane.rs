//! A lab with a client outside, a node with one kind of service proxy, and a backend on another node.
//!
//! ```text
//! client ── fabric ══ to-a ── eth0 of node a: translates, and sends back where it came from
//!             ╚══════ to-b ── node b ── pod with the server
//! ```
//! `to-a` sends a flood, and takes the translated packets off the wire: they pass nothing but the node. Connections
//! take the whole way.

use std::{
    fs,
    net::{SocketAddr, SocketAddrV4},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};
use harness::{
    lab::{Lab, Node, OutsideClient, Pod, Process, Waggle},
    objects::{Cluster as _, ManifestDir, lab_node},
};

use super::{
    frame,
    poller::{Poller, set_threaded},
    wire::{Sender, Sink},
};
use crate::{
    link,
    manifests::{self, NODE_PORTS, SERVICE_CIDR, Services, measured_node_port},
    nftables,
    orders::{Block, ECHO, Order, Work},
    processes::{Client, start_server},
};

/// How long an agent may take until it serves.
const WAIT_LIMIT: Duration = Duration::from_mins(2);

/// The warm-up before a flood is measured.
const WARM_UP: Duration = Duration::from_millis(30);

/// The rate of a flood as a multiple of what the node can forward. With little more than it can forward, the node is idle now and
/// then and finds few packets at once; with much more, dropping them slows it down.
const OVERLOAD: f64 = 2.0;

/// The processor that only the node uses, and the one for everything else.
const NODE_CPU: usize = 0;
const OTHER_CPU: usize = 1;

/// The fabric's end of the node's wire.
const FAR: &str = "to-a";

/// The way of a packet on the node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Way {
    /// The node drops it on arrival, which shows what receiving it costs.
    Drop,
    /// Waggle forwards it by XDP.
    Xdp,
    /// Waggle forwards it by TC.
    Tc,
    /// The rule set of nftables forwards it.
    Nftables,
}

/// The figures of a part of a flood.
#[derive(Clone, Copy, Debug)]
pub struct Flooded {
    /// Packets that arrived per second.
    pub per_second: f64,
    /// The time of the node's processor for each packet, ns.
    pub cpu_ns: f64,
    /// The share of the time in which the node was busy with packets.
    pub busy: f64,
}

/// The lab. Its parts are dropped in this order.
pub struct Lane {
    /// The way of its packets.
    pub way: Way,
    /// The number of Services.
    pub services: u32,
    connector: Client,
    sink: Sink,
    sender: Sender,
    polls: Poller,
    _server: Process,
    waggle: Option<(Waggle, ManifestDir)>,
    remote: Pod,
    _other: Node,
    client: OutsideClient,
    node: Node,
    _lab: Lab,
}

impl Lane {
    /// Makes the lab and starts the proxy; [`Lane::wait`] has to follow.
    pub fn start(way: Way, count: u32, endpoints: u32) -> Result<Self> {
        let lab = Lab::new("outside")?;
        lab.native_xdp()?;
        let (node, other, client) = (lab.node("a")?, lab.node("b")?, lab.client("ext")?);
        let remote = other.pod("server")?;
        // Other packets pass this node, too, both ways.
        client.netns().batch(&[format!("route add {}/32 via {}", remote.v4(), node.v4())])?;
        other.netns().batch(&[format!("route add {}/32 via {}", client.v4(), node.v4())])?;
        let polls = Poller::start(node.netns(), "eth0", NODE_CPU)?;
        let services = Services { count, endpoints, backend: remote.v4(), node_ports: true };
        let waggle = start_proxy(way, &node, &services)?;
        let server = start_server(&remote)?;
        let connector = Client::start(&client)?;
        let mut sink = match way {
            Way::Drop => Sink::attach(node.netns(), "eth0")?,
            _ => Sink::attach(lab.fabric(), FAR)?,
        };
        sink.set_ends(false)?;
        let to = SocketAddrV4::new(node.v4(), measured_node_port(ECHO));
        let device = node.netns().inside(|| link::address("eth0"))??;
        let sender = Sender::load(lab.fabric(), FAR, &frame::words(client.v4(), to, device))?;
        Ok(Self {
            way,
            services: count,
            connector,
            sink,
            sender,
            polls,
            _server: server,
            waggle,
            remote,
            _other: other,
            client,
            node,
            _lab: lab,
        })
    }

    /// Waits until the proxy serves.
    pub fn wait(&self) -> Result<()> {
        let Some((waggle, _)) = &self.waggle else { return Ok(()) };
        waggle.wait_log(WAIT_LIMIT, |line| line.message() == "serving").map(drop)?;
        Ok(())
    }

    /// Floods the node for `duration` and returns the figures.
    pub fn flood(&mut self, duration: Duration) -> Result<Flooded> {
        if self.way != Way::Drop {
            let to = SocketAddrV4::new(self.node.v4(), measured_node_port(ECHO));
            self.client.netns().inside(|| frame::establish(self.client.v4(), to))?.context("establish flows")?;
        }
        self.sink.set_ends(true)?;
        let overload = if self.way == Way::Drop { f64::INFINITY } else { OVERLOAD };
        let Self { sender, sink, polls, .. } = self;
        let look = || Ok((Instant::now(), polls.busy()?, sink.count()?));
        let measured = sender.send(OTHER_CPU, overload, [WARM_UP, duration], || sink.count(), look);
        self.sink.set_ends(false)?;
        let ((begin, busy, count), (end, busy_then, count_then)) = measured?;
        #[expect(clippy::cast_precision_loss, reason = "far fewer than 2^52 packets")]
        let packets = (count_then - count) as f64;
        let (time, busy) = ((end - begin).as_secs_f64(), busy_then.saturating_sub(busy).as_secs_f64());
        Ok(Flooded { per_second: packets / time, cpu_ns: busy / packets * 1e9, busy: busy / time })
    }

    /// From now on the node works on the processor that delivers a packet. This is for connections, of which one end
    /// waits for the other anyway.
    pub fn end_floods(&self) -> Result<()> {
        set_threaded(self.node.netns(), "eth0", false)
    }

    /// Connections through the node port.
    pub fn through(&self, work: Work, count: u64) -> Result<Block> {
        self.connect(work, (self.node.v4(), measured_node_port(work.port())).into(), count)
    }

    /// Connections to the backend's own address, over the same node.
    pub fn direct(&self, work: Work, count: u64) -> Result<Block> {
        self.connect(work, (self.remote.v4(), work.port()).into(), count)
    }

    fn connect(&self, work: Work, to: SocketAddr, count: u64) -> Result<Block> {
        self.connector.measure(&Order { work, to, count })
    }
}

/// Starts the agent, if the way has one.
fn start_proxy(way: Way, node: &Node, services: &Services) -> Result<Option<(Waggle, ManifestDir)>> {
    match way {
        Way::Xdp => start_waggle(node, services, "xdp").map(Some),
        Way::Tc => start_waggle(node, services, "tc").map(Some),
        Way::Nftables => {
            nftables::load(node, services)?;
            // Network cards have already verified the checksums.
            let checksum = "/proc/sys/net/netfilter/nf_conntrack_checksum";
            node.netns().inside(|| fs::write(checksum, "0"))?.with_context(|| format!("write {checksum}"))?;
            Ok(None)
        }
        Way::Drop => Ok(None),
    }
}

fn start_waggle(node: &Node, services: &Services, mode: &str) -> Result<(Waggle, ManifestDir)> {
    let folder = ManifestDir::new();
    folder.put(&lab_node(node).build());
    folder.write("services.json", &manifests::list(services));
    let command = node.waggle(&folder.source()).allocating(SERVICE_CIDR, folder.allocations());
    let flags = ["--device-mode", mode, "--service-node-port-range", NODE_PORTS];
    Ok((command.args(flags).start_unready()?, folder))
}
