//! A folder of manifests instead of an API server (S34 to S38). This file is the shell: it reads, remembers and
//! reports; what a folder amounts to is decided by `world`, from `tree` and `decode` over `validate` to `allocate`
//! and `endpoints`.

mod allocate;
mod decode;
mod diff;
mod endpoints;
mod folder;
mod follow;
mod refusal;
#[cfg(test)]
mod sample;
mod tree;
mod validate;
mod world;

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    ops::RangeInclusive,
    path::PathBuf,
    sync::{Arc, atomic::AtomicU64},
    time::{Duration, Instant},
};

use anyhow::Context as _;
use ipnet::IpNet;
use tokio::{sync::mpsc, time::sleep};
use tracing::{debug, info, warn};

use self::{
    allocate::{Memory, Ranges},
    decode::Identity,
    folder::Folder,
    follow::Follow,
    refusal::Ledger,
};
use super::Source;
use crate::objects::{Event, Object, ObjectRef};

/// When to look whether there is room for what waits to be said.
const AGAIN: Duration = Duration::from_secs(2);

/// Where the manifests are and what may be allocated.
#[derive(Clone, Debug)]
pub struct ManifestsConfig {
    /// The folder; its sub folders are read too.
    pub folder: PathBuf,
    /// Networks for cluster addresses; the first one's family is what a Service gets that asks for none.
    pub service_cidrs: Vec<IpNet>,
    /// Node ports.
    pub node_ports: RangeInclusive<u16>,
    /// This node: only the Node of this name is reported.
    pub node_name: String,
    /// The file that remembers allocations over a restart; not inside `folder`. Its folder is made.
    pub state: PathBuf,
}

impl ManifestsConfig {
    /// With the API server's ranges: 10.96.0.0/16 and node ports 30000 to 32767.
    pub fn new(folder: impl Into<PathBuf>, node_name: impl Into<String>, state: impl Into<PathBuf>) -> Self {
        Self {
            folder: folder.into(),
            service_cidrs: vec![IpNet::new_assert([10, 96, 0, 0].into(), 16)],
            node_ports: 30000..=32767,
            node_name: node_name.into(),
            state: state.into(),
        }
    }
}

/// The source.
pub struct Manifests {
    config: ManifestsConfig,
    ledger: Ledger,
}

impl Manifests {
    /// Reads nothing yet.
    pub fn new(config: ManifestsConfig) -> Self {
        Self { config, ledger: Ledger::default() }
    }

    /// How many files and objects have been refused since the start; it goes on counting while the source runs.
    pub fn refusals(&self) -> Arc<AtomicU64> {
        self.ledger.count()
    }
}

/// The folder does not exist or can't be read.
#[derive(Debug, thiserror::Error)]
#[error("read manifests folder {}: {source}; make it, or name another one with --manifests", folder.display())]
pub struct FolderError {
    folder: PathBuf,
    source: io::Error,
}

impl Source for Manifests {
    async fn run(self, events: mpsc::Sender<Event>) -> anyhow::Result<()> {
        let mut follow = Follow::new(self.config.folder.clone());
        let mut reader = Reader::new(self.config, self.ledger);
        loop {
            follow.renew();
            let changes;
            (reader, changes) = tokio::task::spawn_blocking(move || {
                let changes = reader.read();
                (reader, changes)
            })
            .await
            .context("read manifests")?;
            for change in changes? {
                if events.send(change).await.is_err() {
                    return Ok(());
                }
            }
            tokio::select! {
                () = follow.changed(!reader.missing) => {}
                () = sleep(AGAIN), if reader.ledger.is_waiting() => {}
                () = events.closed() => return Ok(()),
            }
        }
    }
}

/// Everything that is remembered from one reading to the next.
struct Reader {
    config: ManifestsConfig,
    ranges: Ranges,
    ledger: Ledger,
    folder: Folder,
    memory: Memory,
    saved: Memory,
    ignored: BTreeSet<Identity>,
    /// The folder could not be read the last time.
    missing: bool,
    /// None before the first complete reading.
    reported: Option<BTreeMap<ObjectRef, Object>>,
}

impl Reader {
    fn new(config: ManifestsConfig, ledger: Ledger) -> Self {
        let memory = Memory::load(&config.state).unwrap_or_else(|error| {
            warn!("{error}");
            Memory::default()
        });
        Self {
            ranges: Ranges { cidrs: config.service_cidrs.clone(), node_ports: config.node_ports.clone() },
            folder: Folder::new(config.folder.clone()),
            saved: memory.clone(),
            config,
            ledger,
            memory,
            ignored: BTreeSet::new(),
            missing: false,
            reported: None,
        }
    }

    /// Reads the folder and gives what has changed; the first time everything. Once it could be read, a folder that
    /// can't be read any more changes nothing.
    fn read(&mut self) -> Result<Vec<Event>, FolderError> {
        let changed = match self.folder.rescan() {
            Ok(changed) => changed,
            Err(source) => {
                let error = FolderError { folder: self.config.folder.clone(), source };
                if self.reported.is_none() {
                    return Err(error);
                }
                if !std::mem::replace(&mut self.missing, true) {
                    warn!("{error}; its last good content stays in force");
                }
                return Ok(Vec::new());
            }
        };
        if std::mem::take(&mut self.missing) {
            info!("the manifests folder is back");
        }
        self.ledger.tell(Instant::now());
        if !changed && self.reported.is_some() {
            return Ok(Vec::new());
        }
        let mut world = world::build(self.folder.contents(), &self.ranges, &self.config.node_name, &self.memory);
        world.objects.retain(|_, object| world::is_ours(object));
        self.remember(world.memory);
        self.mention_ignored();
        self.ledger.replace(world.refusals.into_iter().chain(self.folder.faults().cloned()).collect());
        self.ledger.tell(Instant::now());
        let events = match &self.reported {
            None => diff::first(&world.objects),
            Some(before) => diff::changes(before, &world.objects),
        };
        self.reported = Some(world.objects);
        Ok(events)
    }

    fn remember(&mut self, mut memory: Memory) {
        if self.folder.faults().next().is_some() {
            // A broken file may hold Services that are only out of sight.
            memory.keep(&self.memory);
        }
        self.memory = memory;
        if self.memory != self.saved {
            match self.memory.save(&self.config.state) {
                Ok(()) => self.saved = self.memory.clone(),
                Err(error) => warn!("{error}"),
            }
        }
    }

    /// Says once what a folder does not serve: a line for each kind.
    fn mention_ignored(&mut self) {
        let current: BTreeSet<_> = self.folder.contents().flat_map(|content| content.ignored.iter().cloned()).collect();
        let mut by_kind = BTreeMap::<&str, Vec<&Identity>>::new();
        for object in current.difference(&self.ignored) {
            by_kind.entry(&object.kind).or_default().push(object);
        }
        for (kind, objects) in by_kind {
            let (object, objects) = (objects[0], objects.len());
            match kind {
                "Deployment"
                | "StatefulSet"
                | "DaemonSet"
                | "ReplicaSet"
                | "ReplicationController"
                | "Job"
                | "CronJob" => info!(
                    %object,
                    objects,
                    "object makes no Pods here: a folder serves Pods and EndpointSlices as they are written"
                ),
                _ => debug!(%object, objects, "ignored: a folder does not serve this kind"),
            }
        }
        self.ignored = current;
    }
}

#[cfg(test)]
mod tests;
