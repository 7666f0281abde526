//! Finds what the agent needs from the host: the cgroup hierarchy, the BPF file system, the node's name. Only reads.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use nix::{
    errno::Errno,
    sys::statfs::{BPF_FS_MAGIC, statfs},
};

use crate::node::capabilities::{self, Missing};

/// Where the BPF file system is.
const BPFFS: &str = "/sys/fs/bpf";

/// What to do where there is no BPF file system.
pub const BPFFS_REMEDY: &str =
    "mount it with `mount -t bpf bpf /sys/fs/bpf` (`ip netns exec` hides it, `nsenter --net=/run/netns/NAME` does not)";

/// Why the agent can't run on this host.
#[derive(Debug, thiserror::Error)]
pub enum HostError {
    /// The mount table can't be read.
    #[error("read /proc/self/mountinfo")]
    Mounts(#[source] io::Error),
    /// There is no cgroup v2.
    #[error(
        "find a cgroup v2 mount: there is none; mount one with `mount -t cgroup2 none /sys/fs/cgroup`, or name a folder with --cgroup"
    )]
    NoCgroup,
    /// No BPF file system is mounted at /sys/fs/bpf.
    #[error("find a bpf file system at {BPFFS}: there is none; {BPFFS_REMEDY}")]
    NoBpffs,
    /// The file system at /sys/fs/bpf can't be asked for its type.
    #[error("find a bpf file system at {BPFFS}")]
    Bpffs(#[source] io::Error),
    /// The agent lacks capabilities that root has.
    #[error("serve Services: capabilities are missing: {0}; run waggle as root, or give it these capabilities")]
    NotPermitted(Missing),
    /// The host name can't be read.
    #[error("read the host name (give the node's name with --node-name)")]
    Hostname(#[source] io::Error),
    /// The host name is empty.
    #[error("read the host name: it is empty; give the node's name with --node-name")]
    Nameless,
}

/// A mount of the cgroup hierarchy.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Mount {
    /// The mounted part of the hierarchy, as seen from this process's cgroup namespace.
    root: String,
    point: PathBuf,
}

/// Returns the mount point of the root of the cgroup v2 hierarchy, which contains every process of the node; the first cgroup
/// v2 mount if none shows the root.
pub fn cgroup_root() -> Result<PathBuf, HostError> {
    choose_cgroup(cgroup_mounts(&mounts()?), is_whole_hierarchy).ok_or(HostError::NoCgroup)
}

/// True if `cgroup` is the root of the whole hierarchy: only the root has no `cgroup.type`. Neither the mount table nor
/// the path can tell, because a process in a cgroup namespace sees its own cgroup as the root.
pub fn is_whole_hierarchy(cgroup: &Path) -> bool {
    !cgroup.join("cgroup.type").exists()
}

fn choose_cgroup(mounts: Vec<Mount>, is_whole: impl Fn(&Path) -> bool) -> Option<PathBuf> {
    let whole = mounts.iter().position(|mount| mount.root == "/" && is_whole(&mount.point));
    mounts.into_iter().nth(whole.unwrap_or(0)).map(|mount| mount.point)
}

/// Checks that programs can be loaded and pinned: a BPF file system is mounted, and the process has the capabilities.
pub fn check() -> Result<(), HostError> {
    find_bpffs()?;
    capabilities::missing().map_or(Ok(()), |missing| Err(HostError::NotPermitted(missing)))
}

/// Fails if no BPF file system is mounted where pins are.
pub fn find_bpffs() -> Result<(), HostError> {
    find_bpffs_at(Path::new(BPFFS))
}

fn find_bpffs_at(folder: &Path) -> Result<(), HostError> {
    match statfs(folder) {
        Ok(found) if found.filesystem_type() == BPF_FS_MAGIC => Ok(()),
        Ok(_) | Err(Errno::ENOENT) => Err(HostError::NoBpffs),
        Err(error) => Err(HostError::Bpffs(error.into())),
    }
}

/// Returns this node's name: the given name, or else the host name, trimmed and in lower case, as kube-proxy and the kubelet do.
/// An empty name counts as not given.
pub fn node_name(given: Option<&str>) -> Result<String, HostError> {
    let canonical = |name: &str| Some(name.trim().to_lowercase()).filter(|name| !name.is_empty());
    if let Some(name) = given.and_then(canonical) {
        return Ok(name);
    }
    let host = hostname::get().map_err(HostError::Hostname)?;
    canonical(&host.to_string_lossy()).ok_or(HostError::Nameless)
}

fn mounts() -> Result<String, HostError> {
    fs::read_to_string("/proc/self/mountinfo").map_err(HostError::Mounts)
}

fn cgroup_mounts(mounts: &str) -> Vec<Mount> {
    let lines = mounts.lines().filter_map(parse_mount).filter(|(_, kind)| *kind == "cgroup2");
    lines.map(|(mount, _)| mount).collect()
}

/// Parses a line of mountinfo into the mount and its file system's type (proc_pid_mountinfo(5)).
fn parse_mount(line: &str) -> Option<(Mount, &str)> {
    let (before, after) = line.split_once(" - ")?;
    let mut fields = before.split(' ').skip(3);
    let (root, point) = (fields.next()?.to_owned(), fields.next()?.into());
    Some((Mount { root, point }, after.split(' ').next()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    const WHOLE: &str = "36 35 0:28 / /sys/fs/cgroup/unified rw,noatime master:1 - cgroup2 none rw";
    const PART: &str = "35 30 0:28 /kubepods/pod1 /run/part rw - cgroup2 cgroup2 rw";

    fn chosen(lines: &[&str], whole: &[&str]) -> Option<PathBuf> {
        choose_cgroup(cgroup_mounts(&lines.join("\n")), |point| whole.iter().any(|whole| point == Path::new(whole)))
    }

    #[test]
    fn another_file_system_is_no_bpf_file_system() {
        let folder = tempfile::tempdir().unwrap();
        for missing in [folder.path().to_owned(), folder.path().join("none")] {
            let message = find_bpffs_at(&missing).unwrap_err().to_string();
            assert_eq!(message, format!("find a bpf file system at /sys/fs/bpf: there is none; {BPFFS_REMEDY}"));
        }
    }

    #[test]
    fn mount_lines_are_read() {
        let mount = Mount { root: "/".into(), point: "/sys/fs/cgroup/unified".into() };
        assert_eq!(parse_mount(WHOLE), Some((mount, "cgroup2")));
        assert_eq!(parse_mount("nonsense"), None);
    }

    #[test]
    fn field_s08_the_mount_that_shows_the_whole_hierarchy_is_chosen() {
        let root = "/sys/fs/cgroup/unified";
        assert_eq!(chosen(&[PART, WHOLE], &[root, "/run/part"]), Some(root.into()));
        assert_eq!(chosen(&[WHOLE, PART], &[root]), Some(root.into()));
        // In a cgroup namespace, the mount table shows a part of the hierarchy as the whole.
        let own = "37 35 0:28 / /sys/fs/cgroup rw - cgroup2 none rw";
        assert_eq!(chosen(&[own, WHOLE], &[root]), Some(root.into()));
        assert_eq!(chosen(&[own], &[]), Some("/sys/fs/cgroup".into()), "served, with a warning");
        assert_eq!(chosen(&["1 0 0:1 / / rw - tmpfs none rw"], &[]), None);
    }

    #[test]
    fn field_s08_a_cgroup_with_a_type_is_not_the_root() {
        let folder = tempfile::tempdir().unwrap();
        assert!(is_whole_hierarchy(folder.path()));
        fs::write(folder.path().join("cgroup.type"), "domain").unwrap();
        assert!(!is_whole_hierarchy(folder.path()));
    }

    #[test]
    fn field_s04_node_names_are_trimmed_and_lowered() {
        for given in [" N1", "n1 ", "N1\n", "n1"] {
            assert_eq!(node_name(Some(given)).unwrap(), "n1", "{given:?}");
        }
        let host = node_name(None).unwrap();
        assert_eq!(host, host.trim().to_lowercase());
        for empty in ["", "  "] {
            assert_eq!(node_name(Some(empty)).unwrap(), host, "{empty:?} counts as not given");
        }
    }
}
