//! How a scene is set up.

use std::ffi::OsString;

use serde_json::Value;

use super::{Objects, Origin, PORTS, SERVICE_CIDRS, Scene};
use crate::{
    lab::{Capability, Lab},
    objects::{Cluster, lab_node, service_cidr},
};

/// A builder of scenes. At first it is the cheapest one: a node and a folder of manifests. Pods, clients and the agent
/// come with further steps, or later by [`Scene::add_pods`] and [`Scene::agent`].
#[derive(Clone, Debug)]
pub struct Setup {
    name: String,
    origin: Origin,
    pub(super) backends: Option<usize>,
    ports: Vec<u16>,
    zone: Option<String>,
    native_xdp: bool,
    pub(super) contained: bool,
    capabilities: Option<Vec<Capability>>,
    pub(super) arguments: Vec<OsString>,
    objects: Vec<Value>,
}

impl From<&str> for Setup {
    fn from(name: &str) -> Self {
        Self::new(name)
    }
}

impl Setup {
    /// A node, and no objects but the Node and the ServiceCIDRs, in a folder. `name` is that of the lab.
    pub fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            origin: Origin::Folder,
            backends: None,
            ports: PORTS.to_vec(),
            zone: None,
            native_xdp: false,
            contained: false,
            capabilities: None,
            arguments: Vec::new(),
            objects: Vec::new(),
        }
    }

    /// The name of the lab.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Sets where the objects are.
    #[must_use]
    pub fn origin(mut self, origin: Origin) -> Self {
        self.origin = origin;
        self
    }

    /// Adds `count` backends, the pods `p1`, `p2`, …, and clients: one in the pod `client`, one on the node.
    #[must_use]
    pub fn backends(mut self, count: usize) -> Self {
        self.backends = Some(count);
        self
    }

    /// Sets the ports where each backend listens, instead of [`PORTS`].
    #[must_use]
    pub fn serving(mut self, ports: &[u16]) -> Self {
        self.ports = ports.to_vec();
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

    /// Shows the agent what a container sees; see [`crate::lab::WaggleCommand::contained`].
    #[must_use]
    pub fn contained(mut self) -> Self {
        self.contained = true;
        self
    }

    /// Leaves the node's agents these capabilities only.
    #[must_use]
    pub fn capabilities(mut self, kept: &[Capability]) -> Self {
        self.capabilities = Some(kept.to_vec());
        self
    }

    /// Adds arguments for the node's agents.
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

    /// Makes the scene, without its agent.
    pub fn build(self) -> Scene {
        let lab = Lab::new(&self.name).expect("make a lab");
        if self.native_xdp {
            lab.native_xdp().expect("make the lab fit for native XDP");
        }
        let node = lab.node("a").expect("add a node");
        let client = self.backends.map(|_| node.pod("client").expect("add a pod"));
        let backends = 1..=self.backends.unwrap_or_default();
        let pods: Vec<_> = backends.map(|number| node.pod(&format!("p{number}")).expect("add a pod")).collect();
        let servers = pods.iter().map(|pod| pod.serve(&self.ports).expect("serve in a pod")).collect();
        let objects = Objects::new(self.origin, node.netns());
        let own = self.zone.iter().fold(lab_node(&node), |own, zone| own.zone(zone));
        objects.put(&own.build());
        if self.origin == Origin::Api {
            objects.put(&service_cidr("kubernetes", &SERVICE_CIDRS));
        }
        self.objects.iter().for_each(|object| objects.put(object));
        let from_pod = client.as_ref().map(|pod| pod.client().expect("start a client in a pod"));
        let from_node = client.as_ref().map(|_| node.client().expect("start a client on the node"));
        Scene {
            waggle: None.into(),
            from_pod: from_pod.into(),
            from_node: from_node.into(),
            servers,
            objects,
            client: client.into(),
            pods,
            node,
            lab,
            arguments: self.arguments,
            contained: self.contained,
            capabilities: self.capabilities,
        }
    }

    /// Makes the scene and starts its agent, which has then programmed the objects that exist.
    pub fn start(self) -> Scene {
        let mut scene = self.build();
        scene.start();
        scene
    }
}
