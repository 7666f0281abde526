//! The BPF file system: mounts it where it is missing, and removes the pins of the lab's instances. Their maps,
//! programs and links are freed with the pins.

use std::{fs, path::Path};

use nix::mount::{MsFlags, mount as mount_filesystem};

use super::{
    error::{Result, WithContext},
    mounts::is_mounted,
};

/// Where instances pin: one folder each.
pub const FOLDER: &str = "/sys/fs/bpf/waggle";

const MOUNT: &str = "/sys/fs/bpf";

/// Mounts the file system unless it is mounted. It stays: it belongs to the machine, not to a lab.
pub(super) fn mount() -> Result<()> {
    if is_mounted(MOUNT)? {
        return Ok(());
    }
    mount_filesystem(Some("bpf"), MOUNT, Some("bpf"), MsFlags::empty(), None::<&str>)
        .with_context(|| format!("mount {MOUNT}"))
}

/// Names of all instances with pins.
pub(super) fn list() -> Vec<String> {
    let entries = fs::read_dir(FOLDER).into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().into_string().ok()).collect()
}

/// Unpins the instances whose name begins with `prefix`.
pub(super) fn remove(prefix: &str) -> Result<()> {
    let ours = list().into_iter().filter(|name| name.starts_with(prefix)).map(|name| Path::new(FOLDER).join(name));
    ours.map(|path| fs::remove_dir_all(&path).with_context(|| format!("unpin {}", path.display())))
        .fold(Ok(()), Result::and)
}
