//! A folder of manifests instead of an API server (S34 to S38). This file reads, stores and reports. `assemble` decides what
//! the folder contains; files go through `tree`, `decode`, `validate`, `allocate` and `endpoints`.

mod allocate;
mod assemble;
mod content;
mod decode;
mod diff;
mod endpoints;
mod folder;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzz;
mod ignored;
mod lines;
pub(crate) mod once;
mod packed;
mod refusal;
#[cfg(test)]
mod sample;
mod tree;
mod validate;

use std::{
    io,
    ops::RangeInclusive,
    path::PathBuf,
    sync::{Arc, atomic::AtomicU64},
    time::{Duration, Instant},
};

use anyhow::Context as _;
use ipnet::IpNet;
use tokio::{sync::mpsc, time::sleep};
use tracing::{info, warn};

use self::{
    allocate::{Allocations, Ranges},
    diff::{Change, Reported},
    folder::Folder,
    ignored::IgnoredLog,
    refusal::RefusalLog,
};
use super::{Source, folder_watch::FolderWatch};
use crate::{logging::errors::Report, node::heap, objects::Event};

/// How often to check whether waiting log lines may be written.
const LOG_CHECK_PERIOD: Duration = Duration::from_secs(2);

/// The configuration of a folder source.
#[derive(Clone, Debug)]
pub struct ManifestsConfig {
    /// The folder, which is read with its subfolders.
    pub folder: PathBuf,
    /// The ranges of cluster addresses. Services that ask for no family get the family of the first one.
    pub service_cidrs: Vec<IpNet>,
    /// The range of node ports.
    pub node_ports: RangeInclusive<u16>,
    /// This node's name. Other Nodes are not reported.
    pub node_name: String,
    /// The file that keeps allocations across restarts. It must not be in `folder`. Its own folder is created if needed.
    pub state: PathBuf,
}

impl ManifestsConfig {
    /// Returns a configuration with the ranges 10.96.0.0/16 and 30000 to 32767.
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

/// The folder as a source of objects.
pub struct Manifests {
    config: ManifestsConfig,
    refusal_log: RefusalLog,
}

impl Manifests {
    /// Returns a source that has read nothing yet.
    pub fn new(config: ManifestsConfig) -> Self {
        Self { config, refusal_log: RefusalLog::default() }
    }

    /// Returns the counter of files and objects that were refused since the start. The source keeps it up to date.
    pub fn refusals(&self) -> Arc<AtomicU64> {
        self.refusal_log.count()
    }
}

/// The folder does not exist or can't be read.
#[derive(Debug, thiserror::Error)]
#[error("read manifests folder {} (make it, or name another one with --manifests)", folder.display())]
pub struct FolderError {
    folder: PathBuf,
    source: io::Error,
}

impl Source for Manifests {
    async fn run(self, events: mpsc::Sender<Event>) -> anyhow::Result<()> {
        let mut folder_watch = FolderWatch::new(self.config.folder.clone());
        let mut reader = Reader::new(self.config, self.refusal_log);
        loop {
            folder_watch.renew();
            let changes;
            (reader, changes) = tokio::task::spawn_blocking(move || {
                let changes = reader.read();
                (reader, changes)
            })
            .await
            .context("read manifests")?;
            for change in changes? {
                if events.send(change.into()).await.is_err() {
                    return Ok(());
                }
            }
            tokio::select! {
                () = folder_watch.changed(!reader.missing) => {}
                () = sleep(LOG_CHECK_PERIOD), if reader.refusal_log.is_waiting() => {}
                () = events.closed() => return Ok(()),
            }
        }
    }
}

/// The state that is kept from one read to the next.
struct Reader {
    config: ManifestsConfig,
    ranges: Ranges,
    refusal_log: RefusalLog,
    folder: Folder,
    allocations: Allocations,
    /// Whether the allocations differ from those in the file that keeps them.
    unsaved: bool,
    ignored_log: IgnoredLog,
    /// Whether the folder could not be read the last time.
    missing: bool,
    /// The objects that were reported last.
    reported: Reported,
}

impl Reader {
    fn new(config: ManifestsConfig, refusal_log: RefusalLog) -> Self {
        let allocations = Allocations::load(&config.state).unwrap_or_else(|error| {
            warn!("{}", Report(&error));
            Allocations::default()
        });
        Self {
            ranges: Ranges { cidrs: config.service_cidrs.clone(), node_ports: config.node_ports.clone() },
            folder: Folder::new(config.folder.clone()),
            unsaved: false,
            config,
            refusal_log,
            allocations,
            ignored_log: IgnoredLog::default(),
            missing: false,
            reported: Reported::default(),
        }
    }

    /// Reads the folder and returns what has changed; the first time, everything. Fails if the folder can't be
    /// read the first time; later, nothing changes then.
    fn read(&mut self) -> Result<Vec<Change>, FolderError> {
        let is_new = match self.folder.rescan() {
            Ok(is_new) => is_new,
            Err(source) => {
                let error = FolderError { folder: self.config.folder.clone(), source };
                if !self.reported.has_begun() {
                    return Err(error);
                }
                if !std::mem::replace(&mut self.missing, true) {
                    warn!("{}; its last good content stays in force", Report(&error));
                }
                return Ok(Vec::new());
            }
        };
        if std::mem::take(&mut self.missing) {
            info!("the manifests folder is back");
        }
        self.refusal_log.log(Instant::now());
        if !is_new && self.reported.has_begun() {
            return Ok(Vec::new());
        }
        let assembled =
            assemble::assemble(self.folder.contents(), &self.ranges, &self.config.node_name, &self.allocations);
        self.remember(assembled.allocations);
        self.ignored_log.replace(self.folder.contents().flat_map(|content| &content.ignored));
        self.refusal_log.replace(assembled.refusals.into_iter().chain(self.folder.faults().cloned()).collect());
        self.refusal_log.log(Instant::now());
        let changes = self.reported.replace(assembled.objects);
        // Returns the memory of the text and trees to the kernel.
        heap::trim();
        Ok(changes)
    }

    fn remember(&mut self, mut allocations: Allocations) {
        if self.folder.faults().next().is_some() {
            // A malformed file may contain Services, whose allocations must not be lost.
            allocations.keep(&self.allocations);
        }
        if self.allocations != allocations {
            self.allocations = allocations;
            self.unsaved = true;
        }
        if self.unsaved {
            match self.allocations.save(&self.config.state) {
                Ok(()) => self.unsaved = false,
                Err(error) => warn!("{}", Report(&error)),
            }
        }
    }
}

#[cfg(test)]
mod tests;
