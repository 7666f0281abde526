//! What the machine offers: the cgroup hierarchy, the bpf file system, the node's name. Only looks.

use std::{fs, io, path::PathBuf};

use crate::privileges;

/// Why the machine can't run the agent.
#[derive(Debug, thiserror::Error)]
pub enum MachineError {
    /// The mount table can't be read.
    #[error("read /proc/self/mountinfo: {0}")]
    Mounts(io::Error),
    /// There is no cgroup v2.
    #[error(
        "find a cgroup v2 mount: there is none; mount one with `mount -t cgroup2 none /sys/fs/cgroup`, or name a folder with --cgroup"
    )]
    NoCgroup,
    /// There is no bpffs where the pins belong.
    #[error("find a bpf file system at /sys/fs/bpf: there is none; mount it with `mount -t bpf bpf /sys/fs/bpf`")]
    NoBpffs,
    /// The agent does not run as root.
    #[error(
        "load eBPF programs: not permitted for this user; run waggle as root or with CAP_BPF, CAP_NET_ADMIN and CAP_SYS_ADMIN"
    )]
    NotRoot,
    /// The host name can't be read.
    #[error("read the host name: {0}; give the node's name with --node-name")]
    Hostname(io::Error),
}

/// The root of the cgroup v2 hierarchy: every process of the node.
pub fn cgroup_root() -> Result<PathBuf, MachineError> {
    mount_point("cgroup2")?.ok_or(MachineError::NoCgroup)
}

/// Checks what loading and pinning need.
pub fn check() -> Result<(), MachineError> {
    let bpffs = mounts()?.lines().filter_map(parse_mount).any(|(point, kind)| kind == "bpf" && point == "/sys/fs/bpf");
    if !bpffs {
        return Err(MachineError::NoBpffs);
    }
    if privileges::sufficient() { Ok(()) } else { Err(MachineError::NotRoot) }
}

/// This node's name as the kubelet derives it: the host name in lower case.
pub fn node_name() -> Result<String, MachineError> {
    let name = hostname::get().map_err(MachineError::Hostname)?;
    Ok(name.to_string_lossy().trim().to_lowercase())
}

/// What keeps packets from being forwarded to backends, in words; empty when nothing does.
pub fn forwarding_faults() -> Vec<String> {
    let switches = [("net.ipv4.ip_forward", "IPv4"), ("net.ipv6.conf.all.forwarding", "IPv6")];
    let is_off = |name: &str| {
        let path = format!("/proc/sys/{}", name.replace('.', "/"));
        // A family that the kernel does not have is nobody's fault.
        fs::read_to_string(path).is_ok_and(|value| value.trim() == "0")
    };
    let off = switches.into_iter().filter(|(name, _)| is_off(name));
    let words = off.map(|(name, family)| {
        format!(
            "{name} is 0: {family} packets from outside reach only backends in the node's own network namespace, \
             neither pods nor other nodes; set it with `sysctl -w {name}=1`"
        )
    });
    words.collect()
}

fn mounts() -> Result<String, MachineError> {
    fs::read_to_string("/proc/self/mountinfo").map_err(MachineError::Mounts)
}

fn mount_point(kind: &str) -> Result<Option<PathBuf>, MachineError> {
    let mounts = mounts()?;
    let found = mounts.lines().filter_map(parse_mount).find(|(_, found)| *found == kind);
    Ok(found.map(|(point, _)| point.into()))
}

/// Mount point and file system type of a line of mountinfo (proc_pid_mountinfo(5)).
fn parse_mount(line: &str) -> Option<(&str, &str)> {
    let (before, after) = line.split_once(" - ")?;
    Some((before.split(' ').nth(4)?, after.split(' ').next()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mount_lines_are_read() {
        let line = "36 35 98:0 /mnt1 /sys/fs/cgroup/unified rw,noatime master:1 - cgroup2 none rw";
        assert_eq!(parse_mount(line), Some(("/sys/fs/cgroup/unified", "cgroup2")));
        assert_eq!(parse_mount("nonsense"), None);
    }
}
