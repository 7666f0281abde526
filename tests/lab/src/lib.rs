//! A laboratory of network namespaces: nodes, pods and outside clients with real packets, real cgroups and the real
//! `waggle`, from a few lines of Rust. Needs root. Everything is removed when the [`Lab`] is dropped, panics included;
//! what a killed test run left behind is removed by the next lab of the machine.
//!
//! ```text
//!  outside client "ext"        node "a" (eth0 192.168.50.1, fd00:50::1)       node "b"
//!  192.168.50.101 ── to-ext ┐    │ └ pod-p1 ── eth0 of pod p1 10.244.1.1          │
//!                      br0 ─ to-a ┘ └ pod-p2 ── eth0 of pod p2 10.244.1.2    b ────┘
//!                 192.168.50.254, the default route of all nodes and clients
//! ```
//! Pods are routed, not bridged, as with most CNI plugins: a /32 and /128 each, the node as next hop. This module must
//! not know what a test wants to prove.
//!
//! ```no_run
//! use lab::{Lab, objects::{Cluster, ManifestDir, lab_node, service, slice}};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let lab = Lab::new("example")?;
//! let node = lab.node("a")?;
//! let (web, shell) = (node.pod("web")?, node.pod("shell")?);
//! let _server = web.serve(&[8080])?;
//! let folder = ManifestDir::new();
//! folder.put(&lab_node(&node).zone("z1").build());
//! folder.put(&service("web").cluster_ip("10.96.0.10").port(80, 8080).build());
//! folder.put(&slice("web").port(8080).pod(&web).build());
//! let waggle = node.waggle(&folder.source()).allocating("10.96.0.0/16", folder.allocations()).start()?;
//! let client = shell.client()?;
//! assert_eq!(client.tcp("10.96.0.10:80")?.backend(), "web");
//! waggle.settle(|| folder.delete("EndpointSlice", "default", "web"))?;
//! assert_eq!(client.tcp("10.96.0.10:80").unwrap_err().errno, "ECONNREFUSED");
//! # Ok(())
//! # }
//! ```

use std::{
    net::{Ipv4Addr, Ipv6Addr},
    ops::Deref,
    path::Path,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU8, AtomicUsize, Ordering},
    },
};

mod bpffs;
mod capture;
mod cgroup;
mod client;
mod core;
mod error;
mod host;
mod log;
mod mounts;
mod native_xdp;
mod netns;
mod node;
pub mod objects;
mod ping;
mod process;
mod program;
mod protocol;
mod server;
mod spawn;
mod sweep;
pub mod typed;
mod waggle;
mod wait;

use self::core::{Core, take_number};
pub use self::{
    bpffs::FOLDER as BPFFS,
    cgroup::mount_point as cgroup_mount_point,
    client::{Client, Socket},
    error::{Error, Result},
    host::Host,
    log::{Log, LogLine},
    mounts::{Mount, mounts},
    native_xdp::{Pass, send_complete},
    netns::Netns,
    node::{Node, Pod},
    process::Process,
    program::find as find_program,
    protocol::{Dial, Failure, Kind, Message, Mode, Names, Reply, Request, Response, Step, TIMEOUT, Transport},
    server::Server,
    spawn::keep_capabilities,
    sweep::{lock_machine, scratch},
    waggle::{START, Source, Waggle, WaggleCommand},
    wait::{eventually, wait_for},
};
pub use caps::Capability;

/// Highest node and client number of the address plan.
const LIMIT: u8 = 99;

/// The lab. Dropping it kills every process in it and removes all that it made.
#[derive(Debug)]
pub struct Lab {
    core: Arc<Core>,
    _removal: Removal,
}

impl Lab {
    /// An empty lab: the fabric only. `name` is for people who look at the machine while it exists.
    pub fn new(name: &str) -> Result<Self> {
        static NUMBER: AtomicUsize = AtomicUsize::new(0);
        host::check_name(name)?;
        sweep::prepare_machine()?;
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let id = format!("{}{number}-{name}", sweep::prefix(std::process::id()));
        // From here on `lab` is dropped, and cleans up, if something fails or panics.
        let removal = Removal { id: id.clone() };
        let cgroup = sweep::cgroup_of(&id)?;
        cgroup::create(&cgroup)?;
        let fabric = Netns::create(&format!("{id}-fabric"))?;
        fabric.batch(&[
            // With a chosen address the bridge keeps it when ports are added and removed.
            "link add br0 address 02:00:00:00:32:fe type bridge mcast_snooping 0".into(),
            "address add 192.168.50.254/24 dev br0".into(),
            "address add fd00:50::fe/64 dev br0 nodad".into(),
            "link set br0 up".into(),
            // Packets to unknown addresses vanish without an ICMP error, which could be taken for the agent's refusal.
            "route add blackhole default".into(),
            "route add blackhole ::/0".into(),
        ])?;
        let (nodes, clients) = (AtomicU8::new(0), AtomicU8::new(0));
        let core = Core { id, cgroup, fabric, nodes, clients, native_xdp: OnceLock::new() };
        Ok(Self { core: Arc::new(core), _removal: removal })
    }

    /// Prefix of every name that the lab has on this machine.
    pub fn id(&self) -> &str {
        &self.core.id
    }

    /// The lab's cgroup, parent of its nodes' cgroups.
    pub fn cgroup(&self) -> &Path {
        &self.core.cgroup
    }

    /// The namespace of the bridge between nodes, which is also the default route of all nodes and clients.
    pub fn fabric(&self) -> &Netns {
        &self.core.fabric
    }

    /// Makes every wire that is added from now on support native XDP, which a veth pair by itself does not. Senders
    /// compute checksums at once, and the far ends have an XDP program that passes everything: without one they would
    /// lose what XDP sends to them. Call it before the first node.
    pub fn native_xdp(&self) -> Result<()> {
        let pass = native_xdp::Pass::load(self.id())?;
        self.core.native_xdp.get_or_init(|| pass);
        Ok(())
    }

    /// Makes a wire that a test has added support native XDP as the lab's do. The agent may serve the near end.
    pub fn finish_wire(&self, near: (&Netns, &str), far: (&Netns, &str)) -> Result<()> {
        self.core.finish_wire(near, far)
    }

    /// Adds a bare namespace: loopback only.
    pub fn namespace(&self, name: &str) -> Result<Netns> {
        host::check_name(name)?;
        Netns::create(&format!("{}-{name}", self.core.id))
    }

    /// Adds a node: number N (from 1) has the addresses 192.168.50.N and fd00:50::N.
    pub fn node(&self, name: &str) -> Result<Node> {
        let number = take_number(&self.core.nodes, LIMIT, "node")?;
        Node::create(&self.core, name, number)
    }

    /// Adds a client outside of all nodes: number N (from 1) has the addresses 192.168.50.(100 + N) and
    /// fd00:50::1:N.
    pub fn client(&self, name: &str) -> Result<OutsideClient> {
        let number = take_number(&self.core.clients, LIMIT, "outside client")?;
        let v4 = Ipv4Addr::new(192, 168, 50, 100 + number);
        let v6 = Ipv6Addr::new(0xfd00, 0x50, 0, 0, 0, 0, 1, number.into());
        let host = Host::create(&self.core, name, v4, v6)?;
        node::join_fabric(&host)?;
        Ok(OutsideClient { host })
    }
}

/// A host on the fabric that is no node.
#[derive(Clone, Debug)]
pub struct OutsideClient {
    host: Host,
}

impl Deref for OutsideClient {
    type Target = Host;

    fn deref(&self) -> &Host {
        &self.host
    }
}

/// Removes the lab at the end of its scope.
#[derive(Debug)]
struct Removal {
    id: String,
}

impl Drop for Removal {
    fn drop(&mut self) {
        if let Err(error) = sweep::remove(&self.id) {
            eprintln!("remove lab {}: {:#}", self.id, anyhow::Error::from(error));
        }
    }
}
