//! The node: its agent, which is started again and again, the objects that it should serve, and the evidence of faults.

use std::{collections::BTreeMap, process::Command};

use anyhow::{Context as _, ensure};
use fastrand::Rng;
use harness::{
    agents::{Files, Starts, built, from_folder, text},
    lab::{Node as Host, START, Source, eventually},
    load::{drops, sent_again, wrong_checksums},
    objects::{Cluster as _, lab_node},
    scene::{Origin, Outside},
};
use serde_json::Value;

use crate::{
    disturbances::{Disturbance, FILLER},
    expected,
    objects::Twin,
    services::{Changing, WAIT_LIMIT},
};

/// Sizes of maps. Datagrams leave flows for minutes, so the maps are large enough for the flows of the whole run.
pub const SIZES: [&[&str]; 5] = [
    &[],
    &["--max-conntrack", "400000", "--max-embryonic", "50000"],
    &["--max-services", "300", "--max-slots", "3000", "--max-backends", "500", "--max-service-ports", "400"],
    &["--max-affinity", "900", "--max-fragments", "500", "--max-embryonic", "60000"],
    &["--max-socket-connections", "9000", "--max-socket-flows", "90000", "--max-members", "700"],
];

/// The node under test.
pub struct Node<'a> {
    /// The scene around it.
    pub outside: &'a Outside,
    /// Services that change.
    pub changing: &'a Changing<'a>,
    /// The objects.
    pub objects: Twin<'a>,
    /// All choices.
    pub random: Rng,
    /// Its agents.
    pub starts: Starts<'a>,
    /// Files of agents.
    pub files: Files,
    /// The program of the next start.
    pub program: String,
    /// The sizes of its maps.
    pub sizes: &'static [&'static str],
    /// Where it reads objects.
    pub source: Origin,
    /// Whether there is room for some of the [`FILLER`]s only: they may be in the maps or not.
    is_full: bool,
    disturbed: BTreeMap<String, usize>,
}

impl<'a> Node<'a> {
    /// Puts all objects and starts the first agent, over the data plane that is there.
    pub fn new(outside: &'a Outside, changing: &'a Changing<'a>, random: Rng) -> anyhow::Result<Self> {
        let scene = &outside.scene;
        let objects = Twin::new(scene, &[lab_node(&scene.node).build()]);
        let mut node = Self {
            outside,
            changing,
            objects,
            random,
            starts: Starts::new(outside, "auto"),
            files: Files::new("soak"),
            program: built(),
            sizes: SIZES[0],
            source: Origin::Api,
            is_full: false,
            disturbed: BTreeMap::new(),
        };
        outside.web_of_both().iter().for_each(|object| node.objects.put(object));
        changing.put(&node.objects);
        node.start()?;
        node.settle()?;
        Ok(node)
    }

    /// The node in the lab.
    pub fn host(&self) -> &'a Host {
        &self.outside.scene.node
    }

    /// Gives the Services other backends.
    pub fn change(&mut self) {
        self.changing.change(&self.objects, &mut self.random);
    }

    /// Kills the agent if it runs, and starts one as it should be; returns where its log begins.
    pub fn launch(&mut self) -> usize {
        let source = match (self.source, self.objects.api.source()) {
            (Origin::Api, Source::Kubeconfig(path)) => vec!["--kubeconfig".to_owned(), text(&path)],
            _ => from_folder(self.objects.folder.path(), &self.objects.folder.allocations()),
        };
        let source: Vec<_> = source.iter().map(String::as_str).collect();
        self.starts.start_growing(&self.program, &source, self.sizes)
    }

    /// Starts an agent as it should be, and waits until it serves.
    pub fn start(&mut self) -> anyhow::Result<()> {
        let mark = self.launch();
        self.serves(mark)
    }

    /// Waits until the agent whose log begins at `mark` serves.
    pub fn serves(&self, mark: usize) -> anyhow::Result<()> {
        self.starts.log.wait(mark, START, |line| line.message() == "serving").context("the agent does not serve")?;
        Ok(())
    }

    /// Changes the Services, waits until that is in force, and compares what is in the maps.
    pub fn settle(&mut self) -> anyhow::Result<()> {
        self.change();
        let has_come = || self.rows().is_ok_and(|rows| self.changing.has_come(&rows));
        ensure!(eventually(WAIT_LIMIT, has_come), "the last change is not in the maps");
        self.changing.settle()?;
        let mut fault = Ok(());
        let is_right = || {
            fault = self.compare();
            fault.is_ok()
        };
        // Services and EndpointSlices come by two watches.
        if eventually(WAIT_LIMIT, is_right) { Ok(()) } else { fault }
    }

    /// Settles while there is no room for everything.
    pub fn settle_full(&mut self) -> anyhow::Result<()> {
        self.is_full = true;
        let outcome = self.settle();
        self.is_full = false;
        outcome
    }

    /// Compares all that is in the maps with the objects.
    fn compare(&self) -> anyhow::Result<()> {
        let (mut found, mut wanted) = (expected::read(&self.rows()?)?, self.objects.rows());
        if self.is_full {
            wanted.retain(|row, _| !row[0].starts_with(FILLER) || found.contains_key(row));
            // What gets an address from the agent.
            found.retain(|row, _| !row[0].starts_with(FILLER) || wanted.contains_key(row));
        }
        let wrong = found.iter().find(|(row, backends)| wanted.get(*row) != Some(backends));
        ensure!(wrong.is_none(), "in the maps, and by no object: {wrong:?}");
        let missing = wanted.keys().find(|row| !found.contains_key(*row));
        ensure!(missing.is_none(), "not in the maps: {missing:?}");
        Ok(())
    }

    /// The rows of `waggle get services`.
    fn rows(&self) -> anyhow::Result<Vec<Value>> {
        let mut command = Command::new(&self.program);
        command.args(["get", "services", "--output", "json", "--instance", &self.host().instance()]);
        let output = command.output().context("run waggle get")?;
        ensure!(output.status.success(), "waggle get: {}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice(&output.stdout).context("read what waggle get prints")
    }

    /// The counters that change when packets are dropped or damaged. Resets show nothing: the API server is on this node, too,
    /// and an agent that is killed resets its connections to it.
    pub fn evidence(&self) -> Vec<String> {
        let (outside, node) = (self.outside, self.host());
        let hosts =
            [&**node, &outside.host, &outside.other, &outside.remote, outside.scene.pod(1), outside.scene.pod(2)];
        let mut evidence: Vec<_> =
            hosts.iter().map(|host| format!("{}: {} wrong checksums", host.name(), wrong_checksums(host))).collect();
        evidence.push(format!("{}: {:?}", node.name(), drops(node)));
        evidence
    }

    /// How many segments of TCP clients and servers have sent again, but for this node, where the agent is a client, too.
    pub fn sent_again(&self) -> u64 {
        let (outside, scene) = (self.outside, &self.outside.scene);
        let hosts = [&*outside.host, &scene.client, scene.pod(1), scene.pod(2), &outside.remote];
        hosts.map(sent_again).iter().sum()
    }

    /// Counts a disturbance.
    pub fn note(&mut self, kind: Disturbance) {
        *self.disturbed.entry(kind.name()).or_default() += 1;
    }

    /// How often each disturbance happened.
    pub fn disturbed(&self) -> &BTreeMap<String, usize> {
        &self.disturbed
    }

    /// Prints the last lines of the agents' log.
    pub fn show_log(&self) {
        const SHOWN: usize = 150;
        let lines = self.starts.log.since(0);
        lines.iter().skip(lines.len().saturating_sub(SHOWN)).for_each(|line| println!("{}", line.text));
    }
}
