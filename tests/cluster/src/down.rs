//! `cargo xtask cluster down`: removes everything, also after a start that failed or that another process made.

use std::{
    fs, io,
    path::Path,
    process::{Command, ExitCode},
};

use anyhow::{Context as _, Result};

use crate::{
    cgroups, command,
    folders::{self, NAME, STATE},
};

/// The command.
pub fn run() -> Result<ExitCode> {
    let _lock = folders::lock()?;
    remove(false)?;
    println!("removed");
    Ok(ExitCode::SUCCESS)
}

/// Removes everything; the logs stay if `keep_logs`.
pub fn remove(keep_logs: bool) -> Result<()> {
    cgroups::remove()?;
    unmount()?;
    for name in namespaces() {
        command::output(Command::new("ip").args(["netns", "del", &name]))?;
    }
    if keep_logs {
        let entries = fs::read_dir(STATE).with_context(|| format!("read {STATE}"))?;
        for entry in entries.flatten().filter(|entry| entry.file_name() != "logs") {
            let path = entry.path();
            let removed = if path.is_dir() { fs::remove_dir_all(&path) } else { fs::remove_file(&path) };
            removed.with_context(|| format!("remove {}", path.display()))?;
        }
        return Ok(());
    }
    match fs::remove_dir_all(STATE) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error).with_context(|| format!("remove {STATE}")),
        _ => Ok(()),
    }
}

/// Unmounts what is mounted in the cluster's folder, the last mount first. A namespace ends with the last mount that
/// names it.
fn unmount() -> Result<()> {
    for mount in lab::mounts()?.iter().rev().filter(|mount| is_ours(&mount.point)) {
        command::output(Command::new("umount").arg("--lazy").arg(&mount.point))?;
    }
    Ok(())
}

fn is_ours(point: &Path) -> bool {
    point.strip_prefix(STATE).is_ok_and(|rest| rest != Path::new(""))
}

/// The cluster's network namespaces.
fn namespaces() -> Vec<String> {
    let entries = fs::read_dir("/run/netns").into_iter().flatten().flatten();
    let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
    names.filter(|name| name.strip_prefix(NAME).is_some_and(|rest| rest.starts_with('-'))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_clusters_own_mounts_are_taken_off() {
        let ours = |point: &str| is_ours(Path::new(point));
        assert!(ours("/var/lib/waggle-cluster/ns") && ours("/var/lib/waggle-cluster/ns/node-1-mnt"));
        assert!(!ours("/var/lib/waggle-cluster") && !ours("/var/lib/waggle-clusters") && !ours("/var/lib"));
    }
}
