//! Nodes and pods, and the wires between them.

use std::{
    net::{Ipv4Addr, Ipv6Addr},
    ops::Deref,
    sync::{Arc, atomic::AtomicU8},
};

use super::{
    core::{Core, take_number},
    error::Result,
    host::Host,
    netns,
};

/// Highest pod number of a node.
const PODS: u8 = 254;

/// A node: a namespace on the fabric that routes to its pods.
#[derive(Clone, Debug)]
pub struct Node {
    host: Host,
    number: u8,
    pods: Arc<AtomicU8>,
}

/// A pod: a namespace behind its node, in a cgroup below the node's.
#[derive(Clone, Debug)]
pub struct Pod {
    host: Host,
    node: String,
}

impl Deref for Node {
    type Target = Host;

    fn deref(&self) -> &Host {
        &self.host
    }
}

impl Deref for Pod {
    type Target = Host;

    fn deref(&self) -> &Host {
        &self.host
    }
}

impl Pod {
    /// The name of the pod's node.
    pub fn node_name(&self) -> &str {
        &self.node
    }
}

impl Node {
    pub(super) fn create(core: &Arc<Core>, name: &str, number: u8) -> Result<Self> {
        let v4 = Ipv4Addr::new(192, 168, 50, number);
        let v6 = Ipv6Addr::new(0xfd00, 0x50, 0, 0, 0, 0, 0, number.into());
        let host = Host::create(core, name, v4, v6)?;
        join_fabric(&host)?;
        core.fabric.batch(&pod_range_routes(number, v4, v6))?;
        Ok(Self { host, number, pods: Arc::new(AtomicU8::new(0)) })
    }

    /// The node's number, N in its addresses: 1 for the first node.
    pub fn number(&self) -> u8 {
        self.number
    }

    /// Adds a pod: number M (from 1) has the addresses 10.244.N.M and fd00:10:244:N::M; `pod-<name>` is its device on
    /// the node, `eth0` its own.
    pub fn pod(&self, name: &str) -> Result<Pod> {
        self.add(&format!("{}/{name}", self.host.name()))
    }

    /// Adds a pod whose processes are in a cgroup that is not below the node's: like a virtual machine, whose sockets
    /// belong to another kernel. Its name must be unique in the lab.
    pub fn virtual_machine(&self, name: &str) -> Result<Pod> {
        self.add(name)
    }

    /// Adds a pod with the cgroup `path`, relative to the lab's; the last part is its name.
    fn add(&self, path: &str) -> Result<Pod> {
        let number = take_number(&self.pods, PODS, "pod")?;
        let v4 = Ipv4Addr::new(10, 244, self.number, number);
        let v6 = Ipv6Addr::new(0xfd00, 0x10, 0x244, self.number.into(), 0, 0, 0, number.into());
        let host = Host::create(&self.host.core, path, v4, v6)?;
        self.wire(&host)?;
        Ok(Pod { host, node: self.host.name().to_owned() })
    }

    /// The pair of devices between node and pod, and the routes over it.
    fn wire(&self, pod: &Host) -> Result<()> {
        let device = format!("pod-{}", pod.name());
        netns::batch(&[pair((pod, "eth0"), (self.host.netns().name(), &device))])?;
        let (v4, v6) = (pod.v4(), pod.v6());
        self.host.netns().batch(&[
            format!("address add 169.254.1.1/32 dev {device} scope link"),
            format!("address add fe80::1/64 dev {device} nodad"),
            format!("link set dev {device} up"),
            format!("route add {v4}/32 dev {device} src {}", self.host.v4()),
            format!("route add {v6}/128 dev {device} src {}", self.host.v6()),
        ])?;
        pod.netns().batch(&[
            format!("address add {v4}/32 dev eth0"),
            format!("address add {v6}/128 dev eth0 nodad"),
            "link set dev eth0 up".into(),
            "route add 169.254.1.1 dev eth0 scope link".into(),
            "route add default via 169.254.1.1 dev eth0".into(),
            "route add default via fe80::1 dev eth0".into(),
        ])?;
        self.host.core.finish_wire((self.host.netns(), &device), (pod.netns(), "eth0"))
    }
}

/// Gives `host` an `eth0` on the fabric with its addresses and the default route. Its port there is `to-<name>`.
pub(super) fn join_fabric(host: &Host) -> Result<()> {
    let fabric = &host.core.fabric;
    let port = format!("to-{}", host.name());
    netns::batch(&[pair((host, "eth0"), (fabric.name(), &port))])?;
    fabric.batch(&[format!("link set dev {port} master br0 up")])?;
    host.netns().batch(&[
        format!("address add {}/24 dev eth0", host.v4()),
        format!("address add {}/64 dev eth0 nodad", host.v6()),
        "link set dev eth0 up".into(),
        "route add default via 192.168.50.254".into(),
        "route add default via fd00:50::fe".into(),
    ])?;
    host.core.finish_wire((host.netns(), "eth0"), (fabric, &port))
}

/// The command that makes a pair of devices in two namespaces.
fn pair((host, device): (&Host, &str), (other, peer): (&str, &str)) -> String {
    format!("link add name {device} netns {} type veth peer name {peer} netns {other}", host.netns().name())
}

/// The routes by which the fabric finds the pods of node `number`.
fn pod_range_routes(number: u8, v4: Ipv4Addr, v6: Ipv6Addr) -> [String; 2] {
    [
        format!("route add 10.244.{number}.0/24 via {v4} dev br0"),
        format!("route add fd00:10:244:{number:x}::/64 via {v6} dev br0"),
    ]
}
