//! Control groups: one for the cluster, in it one per machine. In the hierarchy of version 2 a node's processes and pods lie
//! below its own group, which is what the node's agent serves. Where version 1 is mounted, too, kubelet wants the parent of its
//! pods' groups in each hierarchy.

use std::{
    fs,
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};
use lab::Mount;

use crate::{families::Host, folders::NAME, members::Members};

/// How long killed processes may take to leave.
const PATIENCE: Duration = Duration::from_secs(20);

/// kubelet's `cgroupRoot` on a node.
pub fn pods(host: Host) -> String {
    format!("/{NAME}/{}/pods", host.name())
}

/// A group of a machine in the hierarchy of version 2; "": the machine's own.
pub fn unified(host: Host, group: &str) -> Result<PathBuf> {
    Ok(lab::cgroup_mount_point()?.join(NAME).join(host.name()).join(group))
}

/// Makes them.
pub fn make(members: Members) -> Result<()> {
    members.hosts().try_for_each(make_of)
}

/// Makes those of a machine.
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
            // Of version 1: in version 2 an empty file says the same as the parent's.
            if from.exists() && hierarchy.join("cpuset.sched_load_balance").exists() {
                let text = fs::read_to_string(&from).with_context(|| format!("read {}", from.display()))?;
                fs::write(&to, text.trim()).with_context(|| format!("write {}", to.display()))?;
            }
        }
    }
    Ok(())
}

/// Where hierarchies of either version are mounted.
fn hierarchies() -> Result<Vec<PathBuf>> {
    let is_hierarchy = |mount: &Mount| matches!(mount.filesystem.as_str(), "cgroup" | "cgroup2");
    Ok(lab::mounts()?.into_iter().filter(is_hierarchy).map(|mount| mount.point).collect())
}

/// Kills every process of the cluster, its pods' included, and removes the groups.
pub fn remove() -> Result<()> {
    remove_group(NAME)
}

/// The same for one machine.
pub fn remove_of(host: Host) -> Result<()> {
    remove_group(&format!("{NAME}/{}", host.name()))
}

fn remove_group(group: &str) -> Result<()> {
    let own = lab::cgroup_mount_point()?.join(group);
    if own.exists() {
        fs::write(own.join("cgroup.kill"), "1").with_context(|| format!("kill what runs in {}", own.display()))?;
    }
    let until = Instant::now() + PATIENCE;
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

/// From the leaves up: a group's files can't be unlinked, its folder can.
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
