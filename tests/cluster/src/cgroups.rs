//! Control groups: one for the cluster, in it one for each machine. In the hierarchy of version 2 a node's processes
//! and pods are below its own group, which the node's agent serves. Where version 1 is mounted, too, kubelet needs the
//! parent of its pods' groups in each hierarchy.

use std::{
    fs, io,
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};
use lab::Mount;

use crate::{families::Host, folders::NAME, members::Members};

/// How long killed processes may take to leave.
const WAIT_LIMIT: Duration = Duration::from_secs(20);

/// kubelet's `cgroupRoot` on a node.
pub fn pods(host: Host) -> String {
    format!("/{NAME}/{}/pods", host.name())
}

/// The path of a machine's group in the hierarchy of version 2; "": the machine's own group.
pub fn unified(host: Host, group: &str) -> Result<PathBuf> {
    Ok(lab::cgroup_mount_point()?.join(NAME).join(host.name()).join(group))
}

/// Makes the groups of all machines.
pub fn make(members: Members) -> Result<()> {
    members.hosts().try_for_each(make_of)
}

/// Makes the groups of a machine.
pub fn make_of(host: Host) -> Result<()> {
    let path = unified(host, "system")?;
    fs::create_dir_all(&path).with_context(|| format!("create {}", path.display()))?;
    if host == Host::Control {
        return Ok(());
    }
    hierarchies()?.iter().try_for_each(|hierarchy| make_parents(hierarchy, &pods(host)))
}

/// Makes a group and those above it. A new group of cpuset has no processors until they are written.
fn make_parents(hierarchy: &Path, group: &str) -> Result<()> {
    let mut path = hierarchy.to_owned();
    for part in group.split('/').filter(|part| !part.is_empty()) {
        let above = path.clone();
        path.push(part);
        fs::create_dir_all(&path).with_context(|| format!("create {}", path.display()))?;
        for file in ["cpuset.cpus", "cpuset.mems"] {
            let (from, to) = (above.join(file), path.join(file));
            // In version 1; in version 2 an empty file means the parent's processors.
            if from.exists() && hierarchy.join("cpuset.sched_load_balance").exists() {
                let text = fs::read_to_string(&from).with_context(|| format!("read {}", from.display()))?;
                fs::write(&to, text.trim()).with_context(|| format!("write {}", to.display()))?;
            }
        }
    }
    Ok(())
}

/// The mount points of hierarchies of either version.
fn hierarchies() -> Result<Vec<PathBuf>> {
    let is_hierarchy = |mount: &Mount| matches!(mount.filesystem.as_str(), "cgroup" | "cgroup2");
    Ok(lab::mounts()?.into_iter().filter(is_hierarchy).map(|mount| mount.point).collect())
}

/// Whether a process of the cluster or of its pods runs.
pub fn have_processes() -> Result<bool> {
    let path = lab::cgroup_mount_point()?.join(NAME).join("cgroup.events");
    match fs::read_to_string(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        events => Ok(events.with_context(|| format!("read {}", path.display()))?.contains("populated 1")),
    }
}

/// Kills every process of the cluster and its pods, and removes the groups.
pub fn remove() -> Result<()> {
    remove_group(NAME)
}

/// Kills the processes of one machine and removes its groups.
pub fn remove_of(host: Host) -> Result<()> {
    remove_group(&format!("{NAME}/{}", host.name()))
}

fn remove_group(group: &str) -> Result<()> {
    let own = lab::cgroup_mount_point()?.join(group);
    if own.exists() {
        fs::write(own.join("cgroup.kill"), "1").with_context(|| format!("kill what runs in {}", own.display()))?;
    }
    let until = Instant::now() + WAIT_LIMIT;
    for hierarchy in hierarchies()? {
        let path = hierarchy.join(group);
        loop {
            match remove_tree(&path) {
                Ok(()) => break,
                Err(error) if Instant::now() > until => bail!("remove {}: {error}", path.display()),
                Err(_) => thread::sleep(Duration::from_millis(100)),
            }
        }
    }
    Ok(())
}

/// Removes groups from the leaves up: the files in a group can't be unlinked, but its folder can.
fn remove_tree(path: &Path) -> std::io::Result<()> {
    if !path.exists() {
        return Ok(());
    }
    for entry in fs::read_dir(path)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            remove_tree(&entry.path())?;
        }
    }
    fs::remove_dir(path)
}
