//! Agents that are started again and again on one node, each time in another way, over the data plane that the previous one has
//! left. A [`crate::lab::Waggle`] removes its data plane when it is dropped; these agents don't.

#![expect(clippy::missing_panics_doc, reason = "every step panics when it fails, since a test can't go on then")]

mod programs;

use std::{
    path::Path,
    process::{Command, Stdio},
};

pub use self::programs::{Files, built, other_abi, text};
use crate::{
    lab::{Log, Node, Process, START, eventually},
    scene::{Outside, SERVICE_CIDRS},
};

/// The agent of a node, which is started again and again.
#[derive(Debug)]
pub struct Starts<'a> {
    /// The scene.
    pub outside: &'a Outside,
    /// The device mode of the next start.
    pub mode: &'static str,
    /// The cgroup of the next start.
    pub cgroup: &'a Path,
    /// The log of all agents.
    pub log: Log,
    /// The last agent.
    pub process: Option<Process>,
}

impl<'a> Starts<'a> {
    /// The agent's starts, none so far.
    pub fn new(outside: &'a Outside, mode: &'static str) -> Self {
        Self { outside, mode, cgroup: outside.scene.node.cgroup(), log: Log::default(), process: None }
    }

    /// The node.
    pub fn node(&self) -> &'a Node {
        &self.outside.scene.node
    }

    /// Kills the agent that runs, and starts another, whose maps have their final sizes. Returns where its log begins.
    pub fn start(&mut self, program: &str, source: &[&str], arguments: &[&str]) -> usize {
        self.start_growing(program, source, &[&["--preallocate"], arguments].concat())
    }

    /// Kills the agent that runs, and starts another. Returns where its log begins.
    pub fn start_growing(&mut self, program: &str, source: &[&str], arguments: &[&str]) -> usize {
        self.kill();
        let node = self.node();
        let mark = self.log.mark();
        let mut command = Command::new(program);
        command.args(["run", "--log-format", "json", "--log-level", "warn,proxy_userspace=debug"]);
        command.args(["--instance", &node.instance(), "--node-name", node.name()]);
        command.arg("--cgroup").arg(self.cgroup).args(["--device-mode", self.mode]);
        command.args(source).args(arguments);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut process = node.spawn(command).expect("start an agent");
        self.log.follow(process.take_stdout().expect("the agent's stdout"));
        self.log.follow(process.take_stderr().expect("the agent's stderr"));
        self.process = Some(process);
        mark
    }

    /// Kills the agent that runs, if one does.
    pub fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill().expect("kill the agent");
        }
    }

    /// Waits until a line of the log after `mark` contains a text.
    pub fn wait(&self, mark: usize, text: &str) {
        self.log.wait(mark, START, |line| line.text.contains(text)).expect("wait for a line of the log");
    }

    /// Waits until the log has `count` lines after `mark`, or the agent serves.
    pub fn wait_lines(&self, mark: usize, count: usize) {
        let is_there = || {
            let lines = self.log.since(mark);
            lines.len() >= count || lines.iter().any(|line| line.message() == "serving")
        };
        assert!(eventually(START, is_there), "{:#?}", self.log.since(mark));
    }
}

/// The arguments by which an agent follows a folder of manifests, and allocates from the scenes' ranges.
pub fn from_folder(folder: &Path, allocations: &Path) -> Vec<String> {
    let cidrs = SERVICE_CIDRS.join(",");
    ["--manifests", &text(folder), "--service-cidr", &cidrs, "--allocations", &text(allocations)]
        .map(String::from)
        .to_vec()
}
