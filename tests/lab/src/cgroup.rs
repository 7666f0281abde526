//! The lab's part of the cgroup v2 tree: a folder for the lab, in it one for each node, in that one for each pod. No
//! controllers are used: the folders only say which programs see whose sockets.

use std::{
    fs::{self, File, OpenOptions},
    io,
    path::{Path, PathBuf},
    time::Duration,
};

use super::{
    error::{Result, WithContext},
    mounts::mounts,
    wait::eventually,
};

/// How long killed processes may take to leave their cgroup.
const EMPTY: Duration = Duration::from_secs(3);

/// Where the cgroup v2 tree is mounted: `/sys/fs/cgroup`, or a folder below it on hybrid machines.
pub fn mount_point() -> Result<PathBuf> {
    let found = mounts()?.into_iter().find(|mount| mount.filesystem == "cgroup2").map(|mount| mount.point);
    found.ok_or_else(|| io::Error::other("cgroup v2 is not mounted")).with_context(|| "find cgroup v2".into())
}

/// Makes the folder; its parent must be there.
pub(super) fn create(path: &Path) -> Result<()> {
    fs::create_dir(path).with_context(|| format!("create cgroup {}", path.display()))
}

/// Opens `cgroup.procs` for a process that moves itself in by writing "0".
pub(super) fn open_procs(path: &Path) -> Result<File> {
    let procs = path.join("cgroup.procs");
    OpenOptions::new().write(true).open(&procs).with_context(|| format!("open {}", procs.display()))
}

/// Kills every process in the subtree and removes its folders. A folder that is not there is already removed.
pub(super) fn remove(path: &Path) -> Result<()> {
    if !path.exists() {
        return Ok(());
    }
    fs::write(path.join("cgroup.kill"), "1").with_context(|| format!("kill cgroup {}", path.display()))?;
    let mut outcome = Ok(());
    // A killed process counts until the kernel has freed it, shortly after it can no longer run.
    if eventually(EMPTY, || {
        outcome = remove_tree(path);
        outcome.is_ok()
    }) {
        return Ok(());
    }
    outcome.with_context(|| format!("remove cgroup {}", path.display()))
}

/// Removes folders from the leaves up: the files in a cgroup can't be unlinked, but its folder can.
fn remove_tree(path: &Path) -> io::Result<()> {
    let entries = match fs::read_dir(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        entries => entries?,
    };
    for entry in entries {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            remove_tree(&entry.path())?;
        }
    }
    match fs::remove_dir(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        outcome => outcome,
    }
}
