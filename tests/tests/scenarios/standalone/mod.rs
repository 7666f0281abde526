//! The worked examples of docs/standalone.md: a machine without a cluster, with the manifests of `deploy/standalone`, real servers
//! at the addresses that they name, and clients on the machine and outside.

#![expect(clippy::unwrap_used, reason = "a step that fails fails the test")]

mod blue_green;
mod examples;

use std::{
    fs,
    net::{IpAddr, SocketAddr},
    path::{Path, PathBuf},
    process::Command,
};

use harness::{
    lab::{Client, Lab, LogLine, Mode, Node, OutsideClient, Server, Waggle, find_program},
    objects::ManifestDir,
    scene::ip,
};
use serde_json::Value;

/// The page's folder of manifests.
const MANIFESTS: &str = "/etc/waggle/manifests";

/// The folder of an example.
fn folder(example: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/standalone").join(example)
}

/// A machine with an agent that serves an example. Its fields are dropped in this order.
struct Machine {
    waggle: Waggle,
    /// A process on the machine.
    local: Client,
    /// A process on another machine of the network.
    outside: Client,
    /// That machine.
    laptop: OutsideClient,
    _servers: Vec<Server>,
    folder: ManifestDir,
    node: Node,
    _lab: Lab,
}

impl Machine {
    /// Makes a server at each of these sockets and starts the agent.
    fn start(example: &str, servers: &[(&str, &[&str])]) -> Self {
        let lab = Lab::new("alone").unwrap();
        let node = lab.node("machine").unwrap();
        let servers = servers.iter().map(|(name, at)| server(&lab, name, at)).collect();
        let laptop = lab.client("laptop").unwrap();
        let outside = laptop.client().unwrap();
        let manifests = ManifestDir::new();
        for file in fs::read_dir(folder(example)).unwrap() {
            let path = file.unwrap().path();
            manifests.write(path.file_name().unwrap().to_str().unwrap(), &fs::read_to_string(&path).unwrap());
        }
        let command = node.waggle(&manifests.source()).allocating("10.96.0.0/16", manifests.allocations());
        let waggle = command.args(["--device-mode", "auto"]).start().unwrap();
        let local = node.client().unwrap();
        let machine = Self { waggle, local, outside, laptop, _servers: servers, folder: manifests, node, _lab: lab };
        machine.check();
        machine
    }

    /// Runs a shell's command line in the folder of manifests, which stands for the page's.
    fn edit(&self, line: &str) {
        let line = line.replace(MANIFESTS, &self.folder.path().display().to_string());
        let status = Command::new("sh").args(["-ec", &line]).current_dir(self.folder.path()).status().unwrap();
        assert!(status.success(), "{line}: {status}");
    }

    /// Checks that the agent has no complaint, and serves as much as `waggle validate` says.
    fn check(&self) {
        let is_complaint =
            |line: &LogLine| matches!(line.field("level").and_then(Value::as_str), Some("WARN" | "ERROR"));
        // A lab's cgroup is a part of the host's hierarchy.
        let is_of_the_lab = |line: &LogLine| line.message().contains("only processes in this cgroup are served");
        let lines = self.waggle.log().since(0);
        let found: Vec<_> = lines.iter().filter(|line| is_complaint(line) && !is_of_the_lab(line)).collect();
        assert!(found.is_empty(), "{found:#?}");
        let programmed = self.waggle.wait_programmed(0).unwrap();
        let waggle = find_program("waggle", "WAGGLE_BIN").unwrap();
        let output = Command::new(waggle).args(["validate", "-o", "json"]).arg(self.folder.path()).output().unwrap();
        let report: Value = serde_json::from_slice(&output.stdout).unwrap();
        for number in ["services", "frontends", "backends"] {
            assert_eq!(programmed.field(number), report.get(number), "{number}: {report:#}");
        }
    }
}

/// Serves TCP and UDP at `at`, in a namespace of its own that has these addresses.
fn server(lab: &Lab, name: &str, at: &[&str]) -> Server {
    let host = lab.client(name).unwrap();
    let at: Vec<SocketAddr> = at.iter().map(|socket| socket.parse().unwrap()).collect();
    for socket in &at {
        let add = match socket.ip() {
            IpAddr::V4(address) => format!("address add {address}/24 dev eth0"),
            IpAddr::V6(address) => format!("address add {address}/64 dev eth0 nodad"),
        };
        ip(host.netns(), &[&add]);
    }
    host.serve_at(&at, Mode::Identity).unwrap()
}
