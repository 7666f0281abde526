//! Everything that labs leave on the machine, by name: prepares the machine, removes a lab, and finds what a killed
//! run left.

use std::{
    collections::BTreeSet,
    env,
    fs::{self, File},
    path::{Path, PathBuf},
};

use super::{
    bpffs, cgroup,
    error::{Result, WithContext},
    netns,
};

/// The file that is locked while the machine as a whole is changed, since several test processes start at the same
/// time.
const LOCK: &str = "/run/waggle-lab.lock";

/// The beginning of the ids of all labs made by process `pid`.
pub(super) fn prefix(pid: u32) -> String {
    format!("wl{pid}-")
}

/// The process that made the lab whose id is at the beginning of `name`.
fn owner(name: &str) -> Option<u32> {
    name.strip_prefix("wl")?.split_once('-')?.0.parse().ok()
}

/// The cgroup of a lab.
pub(super) fn cgroup_of(id: &str) -> Result<PathBuf> {
    Ok(cgroup::mount_point()?.join(format!("{MARK}{id}")))
}

/// The beginning of the names of the labs' folders.
const MARK: &str = "waggle-lab-";

/// A path for temporary files of this process, which later labs remove if they stay. `name` begins with a letter.
pub fn scratch(name: &str) -> PathBuf {
    env::temp_dir().join(format!("{MARK}{}{name}", prefix(std::process::id())))
}

/// Keeps other processes and threads from preparing the machine and sweeping, until the file is dropped.
pub fn lock_machine() -> Result<File> {
    let lock = File::create(LOCK).with_context(|| format!("open {LOCK}: labs need root"))?;
    lock.lock().with_context(|| format!("lock {LOCK}"))?;
    Ok(lock)
}

/// Mounts what is missing, makes the folder of namespaces and removes what dead processes left.
pub(super) fn prepare_machine() -> Result<()> {
    let _lock = lock_machine()?;
    bpffs::mount()?;
    netns::make_folder(&format!("{}first", prefix(std::process::id())))?;
    let dead: BTreeSet<_> =
        leftovers()?.into_iter().filter_map(|name| owner(&name)).filter(|pid| !alive(*pid)).collect();
    for pid in dead {
        // Leftovers that can't be removed do not prevent the work.
        if let Err(error) = remove(&prefix(pid)) {
            eprintln!("remove the labs of process {pid}, which has ended: {:#}", anyhow::Error::from(error));
        }
    }
    Ok(())
}

/// Removes everything whose name begins with `prefix`: a lab's id, or the beginning of several ids. Continues after an error and
/// returns the first one.
pub(super) fn remove(prefix: &str) -> Result<()> {
    let cgroups = cgroup_folders().map(|folders| {
        let ours = folders.into_iter().filter(|(name, _)| name.starts_with(prefix));
        ours.map(|(_, path)| cgroup::remove(&path)).fold(Ok(()), Result::and)
    });
    let outcomes =
        [cgroups.and_then(|outcome| outcome), bpffs::remove(prefix), netns::remove(prefix), remove_files(prefix)];
    outcomes.into_iter().fold(Ok(()), Result::and)
}

/// The names of everything that any lab has left on the machine, whether its process lives or not.
fn leftovers() -> Result<Vec<String>> {
    let mut names = netns::list("wl");
    names.extend(cgroup_folders()?.into_iter().map(|(name, _)| name));
    names.extend(bpffs::list());
    names.extend(files().into_iter().map(|(name, _)| name));
    Ok(names)
}

/// The lab ids and folders below the cgroup mount.
fn cgroup_folders() -> Result<Vec<(String, PathBuf)>> {
    let root = cgroup::mount_point()?;
    Ok(entries(&root, MARK))
}

/// The lab ids and folders of temporary files.
fn files() -> Vec<(String, PathBuf)> {
    entries(&env::temp_dir(), MARK)
}

fn remove_files(prefix: &str) -> Result<()> {
    let ours = files().into_iter().filter(|(name, _)| name.starts_with(prefix));
    ours.map(|(_, path)| fs::remove_dir_all(&path).with_context(|| format!("remove {}", path.display())))
        .fold(Ok(()), Result::and)
}

/// Entries of `folder` that begin with `mark`: their names without it, and their paths.
fn entries(folder: &Path, mark: &str) -> Vec<(String, PathBuf)> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries
        .filter_map(|entry| Some((entry.file_name().to_str()?.strip_prefix(mark)?.to_owned(), entry.path())))
        .collect()
}

/// Whether process `pid` exists.
fn alive(pid: u32) -> bool {
    Path::new(&format!("/proc/{pid}")).exists()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_tell_their_process() {
        assert_eq!(owner(&format!("{}0-web-a-p1", prefix(417))), Some(417));
        assert_eq!(owner("wl417"), None);
        assert_eq!(owner("wlan-0"), None);
        assert_eq!(owner("default"), None);
    }
}
