//! Decides when to read a folder again: after inotify events, and periodically in case there are none.

use std::{
    fs,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use notify::{EventKind, RecommendedWatcher, RecursiveMode, Watcher as _};
use tokio::{
    sync::mpsc,
    time::{Instant, timeout, timeout_at},
};
use tracing::warn;

use crate::logging::errors::Report;

/// A burst of events has ended after this time without an event.
const QUIET: Duration = Duration::from_millis(20);
/// A burst is handled after this time at the latest.
const BURST: Duration = Duration::from_millis(200);
/// How often to read anyway, for changes that inotify can't see (the target of a symlink, a network file system).
const WATCHED: Duration = Duration::from_secs(30);
/// How often to read without inotify.
const UNWATCHED: Duration = Duration::from_secs(1);
const RETRY_FIRST: Duration = Duration::from_millis(50);
const RETRY_LAST: Duration = Duration::from_secs(5);

/// The device, the inode and, if known, the time of creation of a folder. They tell when another folder is at the path;
/// inodes alone are reused.
type FolderId = (u64, u64, Option<SystemTime>);

/// Follows a folder.
pub struct FolderWatch {
    folder: PathBuf,
    depth: RecursiveMode,
    watch: Option<Watch>,
    retry: Duration,
    warned: bool,
}

struct Watch {
    identity: FolderId,
    events: mpsc::Receiver<()>,
    _watcher: RecommendedWatcher,
}

impl FolderWatch {
    /// Follows a folder with its subfolders. Watches nothing before the first [`Self::renew`].
    pub fn new(folder: PathBuf) -> Self {
        Self { folder, depth: RecursiveMode::Recursive, watch: None, retry: RETRY_FIRST, warned: false }
    }

    /// Follows a folder without its subfolders, for a file in it that may be replaced.
    pub fn shallow(folder: PathBuf) -> Self {
        Self { depth: RecursiveMode::NonRecursive, ..Self::new(folder) }
    }

    /// Watches the folder that is at the path now. Call this before reading the folder, so that no change in between is
    /// missed.
    pub fn renew(&mut self) {
        let identity =
            fs::metadata(&self.folder).map(|metadata| (metadata.dev(), metadata.ino(), metadata.created().ok())).ok();
        if self.watch.as_ref().map(|watch| watch.identity) == identity {
            return;
        }
        self.watch = None;
        let Some(identity) = identity else { return };
        match Watch::new(&self.folder, self.depth, identity) {
            Ok(watch) => (self.watch, self.warned) = (Some(watch), false),
            Err(error) if !self.warned => {
                let folder = self.folder.display();
                warn!(%folder, error = %Report(&error), "can't watch the folder: reading it every second instead");
                self.warned = true;
            }
            Err(_) => {}
        }
    }

    /// Waits until the folder should be read again. `readable` tells whether the last read succeeded.
    pub async fn changed(&mut self, readable: bool) {
        if !readable {
            tokio::time::sleep(self.retry).await;
            self.retry = (self.retry * 2).min(RETRY_LAST);
            return;
        }
        self.retry = RETRY_FIRST;
        let Some(watch) = &mut self.watch else { return tokio::time::sleep(UNWATCHED).await };
        let end = match timeout(WATCHED, watch.events.recv()).await {
            Err(_) => return,
            Ok(None) => return self.watch = None,
            Ok(Some(())) => Instant::now() + BURST,
        };
        while let Ok(Some(())) = timeout_at(end.min(Instant::now() + QUIET), watch.events.recv()).await {}
    }
}

impl Watch {
    fn new(folder: &Path, depth: RecursiveMode, identity: FolderId) -> notify::Result<Self> {
        // One waiting event is enough: the folder is read as a whole, so an overflow loses nothing.
        let (sender, events) = mpsc::channel(1);
        let mut watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
            if event.is_ok_and(|event| matches!(event.kind, EventKind::Access(_))) {
                return;
            }
            let _already_waiting = sender.try_send(());
        })?;
        watcher.watch(folder, depth)?;
        Ok(Self { identity, events, _watcher: watcher })
    }
}
