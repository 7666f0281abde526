//! A simple scene for scenarios: one node, a folder of manifests that its agent follows, dual-stack Services and
//! slices in a line each. Steps that fail panic, since a scenario can't go on then. It does not know the rules.

#![expect(clippy::missing_panics_doc, reason = "every step panics when it fails, as the page says")]

use std::{net::SocketAddr, process::Command, time::Duration};

use serde_json::Value;

use crate::{
    lab::{Lab, Node, Pod, Waggle, WaggleCommand, eventually, find_program},
    objects::{Cluster, ManifestDir, ServiceBuilder, SliceBuilder, lab_node, service, slice},
    scene::{Family, SERVICE_CIDRS},
};

/// How long a change may take to be in force before a scenario fails.
pub const PATIENCE: Duration = Duration::from_secs(30);

pub use crate::lab::START;

/// A lab with the node "a" and the folder that its agent reads. The agent is made later, so that it is dropped first.
#[derive(Debug)]
pub struct Stage {
    /// The folder that the agent reads, with the Node in it.
    pub folder: ManifestDir,
    /// The node.
    pub node: Node,
    /// The lab.
    pub lab: Lab,
}

impl Stage {
    /// Makes a lab of this name with its node and folder.
    pub fn new(name: &str) -> Self {
        let lab = Lab::new(name).expect("make a lab");
        let node = lab.node("a").expect("make a node");
        let folder = ManifestDir::new();
        folder.put(&lab_node(&node).zone("z1").build());
        Self { folder, node, lab }
    }

    /// Adds pods to the node.
    pub fn pods<const N: usize>(&self, names: [&str; N]) -> [Pod; N] {
        names.map(|name| self.node.pod(name).expect("make a pod"))
    }

    /// The agent's command line, with further arguments.
    pub fn command(&self, arguments: &[&str]) -> WaggleCommand {
        let command = self.node.waggle(&self.folder.source());
        command.allocating(&SERVICE_CIDRS.join(","), self.folder.allocations()).args(arguments.iter().copied())
    }

    /// Starts the agent and waits until it serves.
    pub fn agent(&self, arguments: &[&str]) -> Waggle {
        let waggle = self.command(arguments).start_unready().expect("start the agent");
        waggle.wait_log(START, |line| line.message() == "serving").expect("the agent serves");
        waggle
    }

    /// Makes the Service `name` lead to a port of `pods`, in both families. Without pods it has no endpoints.
    pub fn endpoints(&self, name: &str, port: impl Fn(SliceBuilder) -> SliceBuilder, pods: &[&Pod]) {
        for slice in slices(name, port, pods) {
            self.folder.put(&slice.build());
        }
    }

    /// Removes the Service `name` and its slices.
    pub fn remove(&self, name: &str) {
        self.folder.delete("Service", "default", name);
        self.folder.delete("EndpointSlice", "default", name);
        self.folder.delete("EndpointSlice", "default", &format!("{name}-6"));
    }

    /// Runs `waggle` with these arguments and the node's instance. Returns whether it succeeded, and all its output.
    pub fn waggle(&self, arguments: &[&str]) -> (bool, String) {
        let program = find_program("waggle", "WAGGLE_BIN").expect("find waggle");
        let output = Command::new(program).args(arguments).args(["--instance", &self.node.instance()]).output();
        let output = output.expect("run waggle");
        let text = [output.stdout, output.stderr].concat();
        (output.status.success(), String::from_utf8_lossy(&text).into_owned())
    }

    /// `waggle get WHAT` as JSON.
    pub fn get(&self, what: &str) -> Value {
        let (success, text) = self.waggle(&["get", what, "-o", "json"]);
        assert!(success, "{text}");
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"))
    }

    /// The entries of a pinned map, as `bpftool map dump` prints them in JSON.
    pub fn dump(&self, map: &str) -> Vec<Value> {
        let pin = format!("{}/{}/{map}", crate::lab::BPFFS, self.node.instance());
        let output = Command::new("bpftool").args(["-j", "map", "dump", "pinned", &pin]).output();
        let output = output.expect("run bpftool");
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "dump {pin}: {text}");
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"))
    }
}

impl Stage {
    /// How many sockets have an entry in SOCKET_CONNECTIONS.
    pub fn socket_connections(&self) -> usize {
        let sets = self.dump("socket_connections");
        let cookies = sets.iter().filter_map(|set| set["formatted"]["value"]["cookies"].as_array()).flatten();
        cookies.filter(|cookie| **cookie != 0).count()
    }
}

/// Starts the agent again after `kill` or `stop`, and waits until it serves.
pub fn restart(waggle: &mut Waggle) {
    let mark = waggle.log().mark();
    waggle.restart().expect("start the agent again");
    waggle.log().wait(mark, START, |line| line.message() == "serving").expect("the agent serves again");
}

/// A dual-stack Service with the ClusterIPs of [`cluster_ips`].
pub fn dual(name: &str, number: u8) -> ServiceBuilder {
    let addresses = Family::BOTH.map(|family| family.cluster_ip(number).to_string());
    addresses.iter().fold(service(name), |service, address| service.cluster_ip(address))
}

/// Both ClusterIPs of the Service with this number, with a port.
pub fn cluster_ips(number: u8, port: u16) -> [SocketAddr; 2] {
    Family::BOTH.map(|family| SocketAddr::new(family.cluster_ip(number), port))
}

/// The slices of both families, each with all pods.
pub fn slices(name: &str, port: impl Fn(SliceBuilder) -> SliceBuilder, pods: &[&Pod]) -> [SliceBuilder; 2] {
    let [v4, v6] = [slice(name), slice(name).name(&format!("{name}-6")).address_type("IPv6")].map(port);
    [v4, v6].map(|slice| pods.iter().fold(slice, |slice, pod| slice.pod(pod)))
}

/// Waits until `condition` holds; panics when it does not within [`PATIENCE`].
pub fn until(what: &str, condition: impl FnMut() -> bool) {
    assert!(eventually(PATIENCE, condition), "not seen within {PATIENCE:?}: {what}");
}
