//! What most scenarios begin with: a node with backends and a client in pods, objects in a folder of manifests or in
//! an API server, and the agent. A scenario is written once and runs with both sources. It checks what clients see.

mod expect;
mod family;
mod outside;
mod source;

use std::{
    ffi::OsString,
    net::{IpAddr, SocketAddr},
};

use serde_json::Value;

pub use self::{
    expect::{MANNERS, expect, expect_by, hold},
    family::Family,
    outside::{NODE_PORT, Outside, echo, from_outside, from_outside_as, from_outside_by, from_outside_over_both},
    source::{Objects, Origin},
};
use crate::{
    lab::{Client, Lab, Node, Pod, Server, Waggle, WaggleCommand},
    objects::{Cluster, ServiceBuilder, SliceBuilder, lab_node, service, service_cidr, slice},
};

/// The ServiceCIDRs of every scene.
pub const SERVICE_CIDRS: [&str; 2] = ["10.96.0.0/16", "fd00:96::/112"];

/// The ports where backends listen, TCP and UDP.
pub const PORTS: [u16; 3] = [8080, 8081, 8082];

/// A port for clients that bind themselves, outside of `ip_local_port_range`. The kernel may have given a port in that
/// range to an earlier connection, and refuses it while that is in TIME_WAIT, with or without `SO_REUSEADDR`.
pub const BOUND_PORT: u16 = 20_001;

/// A Service with one cluster address per family given, TCP port `tcp` and UDP port `udp`, both 80 to 8080.
pub fn web(name: &str, cluster_ips: impl IntoIterator<Item = IpAddr>) -> ServiceBuilder {
    let plain = service(name).named_port("tcp", "TCP", 80, PORTS[0]).named_port("udp", "UDP", 80, PORTS[0]);
    cluster_ips.into_iter().fold(plain, |service, address| service.cluster_ip(&address.to_string()))
}

/// A Service as [`web`] makes it, with node port `number` for both protocols.
pub fn web_node_port(name: &str, cluster_ips: impl IntoIterator<Item = IpAddr>, number: u16) -> ServiceBuilder {
    let mut built = web(name, cluster_ips).kind("NodePort").build();
    for port in built["spec"]["ports"].as_array_mut().into_iter().flatten() {
        port["nodePort"] = number.into();
    }
    ServiceBuilder::from(built)
}

/// A slice of one family for a Service that [`web`] makes, without endpoints.
pub fn web_slice(service: &str, family: Family) -> SliceBuilder {
    let kind = format!("IPv{}", family.number());
    slice(service).address_type(&kind).named_port("tcp", "TCP", PORTS[0]).named_port("udp", "UDP", PORTS[0])
}

/// How a scene is set up.
#[derive(Debug)]
pub struct Setup {
    name: String,
    origin: Origin,
    pods: usize,
    zone: Option<String>,
    native_xdp: bool,
    read_only_settings: bool,
    arguments: Vec<OsString>,
    objects: Vec<Value>,
}

impl Setup {
    /// Three backends, no objects but the Node and the ServiceCIDRs.
    pub fn new(name: &str, origin: Origin) -> Self {
        let (name, arguments) = (name.to_owned(), Vec::new());
        let (native_xdp, read_only_settings) = (false, false);
        Self { name, origin, pods: 3, zone: None, native_xdp, read_only_settings, arguments, objects: Vec::new() }
    }

    /// Sets the number of backends.
    #[must_use]
    pub fn pods(mut self, count: usize) -> Self {
        self.pods = count;
        self
    }

    /// Sets the node's zone.
    #[must_use]
    pub fn zone(mut self, zone: &str) -> Self {
        self.zone = Some(zone.to_owned());
        self
    }

    /// Makes wires support native XDP; see [`Lab::native_xdp`].
    #[must_use]
    pub fn native_xdp(mut self) -> Self {
        self.native_xdp = true;
        self
    }

    /// Keeps the agent from writing settings; see [`WaggleCommand::read_only_settings`].
    #[must_use]
    pub fn read_only_settings(mut self) -> Self {
        self.read_only_settings = true;
        self
    }

    /// Adds arguments for the agent.
    #[must_use]
    pub fn args<A: Into<OsString>>(mut self, arguments: impl IntoIterator<Item = A>) -> Self {
        self.arguments.extend(arguments.into_iter().map(Into::into));
        self
    }

    /// Adds an object that exists before the agent starts.
    #[must_use]
    pub fn object(mut self, object: Value) -> Self {
        self.objects.push(object);
        self
    }

    /// Starts everything. The agent has then programmed the objects that exist.
    ///
    /// # Panics
    /// When something can't be started: a test can't go on then.
    pub fn start(self) -> Scene {
        let lab = Lab::new(&self.name).expect("make a lab");
        if self.native_xdp {
            lab.native_xdp().expect("make the lab fit for native XDP");
        }
        let node = lab.node("a").expect("add a node");
        let client = node.pod("client").expect("add a pod");
        let pods: Vec<_> = (1..=self.pods).map(|number| node.pod(&format!("p{number}")).expect("add a pod")).collect();
        let servers = pods.iter().map(|pod| pod.serve(&PORTS).expect("serve in a pod")).collect();
        let objects = Objects::new(self.origin, node.netns());
        let own = self.zone.iter().fold(lab_node(&node), |own, zone| own.zone(zone));
        objects.put(&own.build());
        if self.origin == Origin::Api {
            objects.put(&service_cidr("kubernetes", &SERVICE_CIDRS));
        }
        self.objects.iter().for_each(|object| objects.put(object));
        let command = command(&node, &objects).args(self.arguments);
        let command = if self.read_only_settings { command.read_only_settings() } else { command };
        let waggle = command.start().expect("start the agent");
        let from_pod = client.client().expect("start a client in a pod");
        let from_node = node.client().expect("start a client on the node");
        Scene { waggle, from_pod, from_node, _servers: servers, objects, client, pods, node, lab }
    }
}

/// The agent of a scene on `node`, not yet started.
pub fn command(node: &Node, objects: &Objects) -> WaggleCommand {
    let command = node.waggle(&objects.source());
    match objects {
        Objects::Folder(folder) => command.allocating(&SERVICE_CIDRS.join(","), folder.allocations()),
        Objects::Api(_) => command,
    }
}

/// A running scene. Its fields are dropped in this order.
#[derive(Debug)]
pub struct Scene {
    /// The agent.
    pub waggle: Waggle,
    /// A process in the pod `client`.
    pub from_pod: Client,
    /// A process on the node, outside of all pods.
    pub from_node: Client,
    _servers: Vec<Server>,
    /// The place of its objects.
    pub objects: Objects,
    /// The pod of `from_pod`.
    pub client: Pod,
    pods: Vec<Pod>,
    /// The node.
    pub node: Node,
    /// The lab.
    pub lab: Lab,
}

impl Scene {
    /// Backend `number`, from 1: the pod `p1`, `p2`, …
    ///
    /// # Panics
    /// When the scene has none of that number.
    pub fn pod(&self, number: usize) -> &Pod {
        &self.pods[number - 1]
    }

    /// Creates or replaces an object.
    pub fn put(&self, object: &Value) {
        self.objects.put(object);
    }

    /// Removes an object of the namespace `default`.
    pub fn delete(&self, kind: &str, name: &str) {
        self.objects.delete(kind, crate::objects::NAMESPACE, name);
    }

    /// Waits until connections and datagrams from the client's pod to `to` end in exactly these ways; see [`expect()`].
    #[track_caller]
    pub fn expect(&self, to: impl Into<SocketAddr>, wanted: &[&str]) {
        expect(&self.from_pod, to.into(), wanted);
    }

    /// Checks without waiting that connections and datagrams from the client's pod end in these ways; see [`hold`].
    #[track_caller]
    pub fn hold(&self, to: impl Into<SocketAddr>, wanted: &[&str]) {
        hold(&self.from_pod, to.into(), wanted);
    }
}

/// Runs `scenario` from a folder of manifests and from an API server, in one scene each.
pub fn from_both(name: &str, scenario: impl Fn(&Scene)) {
    from_both_as(name, |setup| setup, scenario);
}

/// Runs `scenario` with both sources, in scenes with other settings.
pub fn from_both_as(name: &str, prepare: impl Fn(Setup) -> Setup, scenario: impl Fn(&Scene)) {
    for origin in Origin::BOTH {
        println!("{name} from {origin:?}");
        scenario(&prepare(Setup::new(name, origin)).start());
    }
}

/// Runs `scenario` with both sources and over both families.
pub fn from_both_over_both(name: &str, scenario: impl Fn(&Scene, Family)) {
    from_both(name, |scene| over_both(|family| scenario(scene, family)));
}

/// Runs `part` over both families.
pub fn over_both(part: impl Fn(Family)) {
    for family in Family::BOTH {
        println!("over {family:?}");
        part(family);
    }
}
