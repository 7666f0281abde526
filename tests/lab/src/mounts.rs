//! The mounts (proc_pid_mountinfo(5)), as this process sees them. Changes nothing.

use std::{
    fs,
    path::{Path, PathBuf},
};

use super::error::{Result, WithContext};

/// A mount.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mount {
    /// The folder or file that it is mounted on.
    pub point: PathBuf,
    /// Its file system's type.
    pub filesystem: String,
}

/// All mounts, each after those that it may hide.
pub fn mounts() -> Result<Vec<Mount>> {
    let table = fs::read_to_string("/proc/self/mountinfo").with_context(|| "read /proc/self/mountinfo".into())?;
    Ok(parse(&table))
}

/// Whether something is mounted on exactly this folder.
pub(super) fn is_mounted(folder: &str) -> Result<bool> {
    Ok(mounts()?.iter().any(|mount| mount.point == Path::new(folder)))
}

fn parse(table: &str) -> Vec<Mount> {
    let mount = |line: &str| {
        let (before, after) = line.split_once(" - ")?;
        Some(Mount { point: before.split(' ').nth(4)?.into(), filesystem: after.split(' ').next()?.into() })
    };
    table.lines().filter_map(mount).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn points_and_types_are_read_in_order() {
        let table = "31 23 0:28 / /sys/fs/cgroup rw - tmpfs tmpfs rw\n\
                     nonsense\n\
                     41 31 0:38 / /sys/fs/cgroup/unified rw,relatime shared:9 master:1 - cgroup2 none rw\n\
                     1 2 0:4 mnt:[1] /run/ns/mnt rw - nsfs nsfs rw\n";
        let mount = |point: &str, filesystem: &str| Mount { point: point.into(), filesystem: filesystem.into() };
        let expected = [
            mount("/sys/fs/cgroup", "tmpfs"),
            mount("/sys/fs/cgroup/unified", "cgroup2"),
            mount("/run/ns/mnt", "nsfs"),
        ];
        assert_eq!(parse(table), expected);
    }
}
