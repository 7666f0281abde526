//! Checks that the agent can run on this machine, and names the next step for each thing that is missing.

use std::{fs, process::Command};

use anyhow::{Context as _, Result, bail};

use crate::command;

const BPFFS: &str = "/sys/fs/bpf";

/// The oldest supported kernel.
const KERNEL: (u32, u32) = (6, 1);

/// True if this process's effective user is root.
pub(crate) fn is_root() -> Result<bool> {
    let status = fs::read_to_string("/proc/self/status").context("read /proc/self/status")?;
    Ok(effective_user(&status) == Some(0))
}

fn effective_user(status: &str) -> Option<u32> {
    status.lines().find_map(|line| line.strip_prefix("Uid:")?.split_whitespace().nth(1)?.parse().ok())
}

/// Checks everything that the agent needs, and mounts the BPF file system. The error names everything that is missing.
pub(crate) fn check() -> Result<()> {
    let mounts = fs::read_to_string("/proc/mounts").context("read /proc/mounts")?;
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").context("read the kernel's version")?;
    let root = is_root()?;
    let mut missing = Vec::new();
    if !root {
        missing.push(
            "root: only root can load eBPF programs; type `sudo -E env PATH=\"$PATH\" cargo xtask run`".to_owned(),
        );
    }
    match mount_point(&mounts, "cgroup2") {
        Some(path) => println!("cgroup v2: {path}"),
        None => missing.push(
            "cgroup v2: no hierarchy is mounted; type `mount -t cgroup2 none /sys/fs/cgroup` \
             (or boot with systemd.unified_cgroup_hierarchy=1)"
                .to_owned(),
        ),
    }
    let release = release.trim();
    if kernel_version(release).is_none_or(|version| version < KERNEL) {
        missing.push(format!("kernel {}.{} or newer: this one is {release}; update it", KERNEL.0, KERNEL.1));
    } else {
        println!("kernel: {release}");
    }
    if !fs::exists("/sys/kernel/btf/vmlinux").unwrap_or(false) {
        missing
            .push("BTF: /sys/kernel/btf/vmlinux does not exist; use a kernel with CONFIG_DEBUG_INFO_BTF=y".to_owned());
    }
    if !missing.is_empty() {
        bail!("this machine cannot run waggle yet; missing:\n- {}", missing.join("\n- "));
    }
    mount_bpffs()
}

/// Mounts the BPF file system, where maps and links are pinned, unless it is mounted.
pub(crate) fn mount_bpffs() -> Result<()> {
    let mounts = fs::read_to_string("/proc/mounts").context("read /proc/mounts")?;
    if mounts.lines().any(|line| mounted(line) == Some((BPFFS, "bpf"))) {
        return Ok(());
    }
    println!("bpffs is not mounted at {BPFFS}: mounting it");
    command::run(Command::new("mount").args(["-t", "bpf", "bpf", BPFFS]))
        .context("mount bpffs (the kernel needs CONFIG_BPF_SYSCALL=y; in a container, mount the host's)")
}

/// Returns the mount point and the type in a line of /proc/mounts.
fn mounted(line: &str) -> Option<(&str, &str)> {
    let mut fields = line.split(' ').skip(1);
    Some((fields.next()?, fields.next()?))
}

fn mount_point<'a>(mounts: &'a str, kind: &str) -> Option<&'a str> {
    mounts.lines().filter_map(mounted).find(|(_, found)| *found == kind).map(|(path, _)| path)
}

/// Parses a release: `6.18.44-amd64` gives (6, 18).
fn kernel_version(release: &str) -> Option<(u32, u32)> {
    let mut numbers = release.split(|c: char| !c.is_ascii_digit()).map(str::parse);
    Some((numbers.next()?.ok()?, numbers.next()?.ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_effective_user_counts() {
        assert_eq!(effective_user("Name:\tx\nUid:\t1000\t0\t0\t0\n"), Some(0));
        assert_eq!(effective_user("Name:\tx\n"), None);
    }

    #[test]
    fn kernel_releases_are_compared_as_numbers() {
        assert_eq!(kernel_version("6.18.44-fc"), Some((6, 18)));
        assert_eq!(kernel_version("5.15-rc1"), Some((5, 15)));
        assert!(kernel_version("5.4.0") < Some(KERNEL));
        assert_eq!(kernel_version("unknown"), None);
    }

    #[test]
    fn a_hybrid_machines_cgroup_v2_is_found() {
        let mounts = "cgroup /sys/fs/cgroup/cpu cgroup rw 0 0\ncgroup2 /sys/fs/cgroup/unified cgroup2 rw 0 0\n";
        assert_eq!(mount_point(mounts, "cgroup2"), Some("/sys/fs/cgroup/unified"));
        assert_eq!(mount_point(mounts, "bpf"), None);
    }
}
