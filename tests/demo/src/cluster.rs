//! The demo's cluster: two nodes, backends and clients in namespaces, the examples in a scratch folder, and the agent.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use lab::{
    Client, Dial, Failure, Lab, Log, LogLine, Node, Pod, Reply, Server, Waggle, find_program, objects::ManifestDir,
};

use crate::{
    examples::FILES,
    lines::{Dialler, Expect, Line},
};

/// Requests for each line: enough to see the shares.
const REQUESTS: usize = 300;
/// Requests for a line that should be refused.
const REFUSALS: usize = 20;

/// Pods of node 1 in the order of their addresses, with their ports.
const PODS: &[(&str, &[u16])] = &[("web-1", &[8080]), ("web-2", &[8080, 9090]), ("dns-1", &[53]), ("dns-2", &[53])];

/// Everything that the demo made. The fields are dropped in this order, the lab last.
pub struct Cluster {
    agent: Option<Waggle>,
    shell: Client,
    on_node: Client,
    _servers: Vec<Server>,
    folder: ManifestDir,
    pod: Pod,
    node: Node,
    waggle: PathBuf,
    _lab: Lab,
}

/// What the agent has logged since the last look.
#[derive(Debug, Default)]
pub struct AgentLog {
    /// The agent has written something into the maps.
    pub programmed: bool,
    /// What the agent refuses or can't do, one sentence each.
    pub remarks: Vec<String>,
}

impl Cluster {
    /// Makes namespaces, backends, clients and the folder; no agent yet.
    pub fn build() -> anyhow::Result<Self> {
        let waggle = find_program("waggle", "WAGGLE_BIN")?;
        let lab = Lab::new("demo")?;
        let node = lab.node("node-1")?;
        let mut servers = Vec::new();
        for (name, ports) in PODS {
            servers.push(node.pod(name)?.serve(ports)?);
        }
        let pod = node.pod("shell")?;
        servers.push(lab.node("node-2")?.pod("web-3")?.serve(&[8080])?);
        let folder = ManifestDir::new();
        for (name, text) in FILES {
            folder.write(name, text);
        }
        let (shell, on_node) = (pod.client()?, node.client()?);
        Ok(Self { agent: None, shell, on_node, _servers: servers, folder, pod, node, waggle, _lab: lab })
    }

    /// Starts the agent, waits until it serves, and returns in words what it serves.
    pub fn start_agent(&mut self) -> anyhow::Result<String> {
        let agent = self
            .node
            .waggle(&self.folder.source())
            .program(&self.waggle)
            .allocating("10.96.0.0/16,fd00:10:96::/112", self.folder.allocations())
            .start()
            .context("start the agent")?;
        let line = agent.wait_programmed(0)?;
        agent.wait_log(lab::TIMEOUT, |line| line.message() == "serving")?;
        let number = |name| line.field(name).and_then(serde_json::Value::as_u64).unwrap_or_default();
        let (services, frontends, millis) = (number("services"), number("frontends"), number("micros").div_ceil(1000));
        self.agent = Some(agent);
        Ok(format!("waggle serves {services} Services with {frontends} frontends, programmed in {millis} ms"))
    }

    /// All outcomes of a line's requests.
    pub fn ask(&self, line: &Line) -> Vec<Result<Reply, Failure>> {
        let count = if matches!(line.expect, Expect::Refused(_)) { REFUSALS } else { REQUESTS };
        let client = match line.dialler {
            Dialler::Pod => &self.shell,
            Dialler::Node => &self.on_node,
        };
        let to = line.dialled.parse().expect("lines dial addresses");
        client.dial_all(&Dial::new(line.transport, to).count(count))
    }

    /// Fails when the agent has ended.
    pub fn check_agent(&mut self) -> anyhow::Result<()> {
        if self.agent.as_mut().is_none_or(|agent| agent.process().is_running()) {
            Ok(())
        } else {
            bail!("the agent has ended")
        }
    }

    /// The current end of the agent's log.
    pub fn log_mark(&self) -> usize {
        self.log().map_or(0, Log::mark)
    }

    /// What the agent has logged after `seen`, which moves to the end.
    pub fn agent_log(&self, seen: &mut usize) -> AgentLog {
        let mut log = AgentLog::default();
        let lines = self.log().map(|log| log.since(*seen)).unwrap_or_default();
        *seen += lines.len();
        for line in lines {
            let level = line.field("level").and_then(serde_json::Value::as_str).unwrap_or("ERROR");
            log.programmed |= line.message() == "programmed";
            if matches!(level, "WARN" | "ERROR") {
                log.remarks.push(remark(&line));
            }
        }
        log
    }

    fn log(&self) -> Option<&Log> {
        self.agent.as_ref().map(Waggle::log)
    }

    /// The folder that the agent follows.
    pub fn manifests(&self) -> &Path {
        self.folder.path()
    }

    /// The agent's instance.
    pub fn instance(&self) -> String {
        self.node.instance()
    }

    /// The agent's program.
    pub fn program(&self) -> &Path {
        &self.waggle
    }

    /// The pod that makes requests.
    pub fn pod(&self) -> &Pod {
        &self.pod
    }
}

/// A log line as one sentence. A message may name a field's value already; it is not repeated.
fn remark(line: &LogLine) -> String {
    let mut text = format!("waggle: {}", line.message());
    for field in ["file", "object", "field", "reason", "error"].into_iter().filter_map(|name| line.field(name)) {
        let word = field.as_str().map_or_else(|| field.to_string(), str::to_owned);
        if !text.contains(&word) {
            text = format!("{text}: {word}");
        }
    }
    text
}
