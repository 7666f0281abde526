//! `waggle cleanup`: removes an instance's pins. Links are removed first, so that no program uses maps that are being
//! removed. An instance whose agent runs is left alone unless forced. Filters on devices are found only in the network
//! namespace that the agent ran in. Does not read any map.

use std::{
    fmt,
    fs::{self, File, TryLockError},
    io,
    path::{Path, PathBuf},
    thread,
    time::Duration,
};

use crate::{
    attach::{AttachError, cgroup::translates, device::list},
    maps::PinFolder,
    node::host::{self, HostError},
};

/// How long the hooks for replies stay attached after those for requests, so that replies to datagrams already sent are still
/// translated back. A DNS server nearby replies sooner.
const ANSWERS: Duration = Duration::from_secs(2);

/// Why an instance, or a part of it, could not be removed.
#[derive(Debug, thiserror::Error)]
pub enum CleanupError {
    /// An agent holds the instance's lock.
    #[error("remove instance {instance:?}: its agent is running; stop it first, or use --force")]
    Running {
        /// The instance's name.
        instance: String,
    },
    /// There is no BPF file system to find the instance in.
    #[error("remove instance {instance:?}")]
    Host {
        /// The instance's name.
        instance: String,
        /// What is missing.
        source: HostError,
    },
    /// The folder can't be locked.
    #[error("lock {} (run waggle as root)", .path.display())]
    Lock {
        /// The folder.
        path: PathBuf,
        /// The kernel's error.
        source: io::Error,
    },
    /// A device's program can't be found or removed.
    #[error("remove the programs of devices (run waggle as root, in the network namespace of its agent)")]
    Device(#[from] AttachError),
    /// A pin or folder can't be listed or removed.
    #[error("remove {} (run waggle as root)", .path.display())]
    Remove {
        /// The pin or folder.
        path: PathBuf,
        /// The kernel's error.
        source: io::Error,
    },
}

/// The names of the pins that were removed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Removed {
    /// Links. Removing their pins detached the hooks.
    pub links: Vec<String>,
    /// Maps.
    pub maps: Vec<String>,
    /// Whether the instance's folder existed and was removed.
    pub folder: bool,
}

impl fmt::Display for Removed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.folder {
            return f.write_str("nothing to remove");
        }
        let list = |names: &[String]| if names.is_empty() { String::new() } else { format!(" ({})", names.join(", ")) };
        let (links, maps) = (self.links.len(), self.maps.len());
        write!(f, "removed {links} hooks{} and {maps} maps{}", list(&self.links), list(&self.maps))
    }
}

/// Removes an instance. It is no error if the instance does not exist, unless there is no BPF file system: then it may be hidden.
/// `force` removes it although its agent runs; the agent then serves nothing until it is restarted.
pub fn cleanup(instance: &str, force: bool) -> Result<Removed, CleanupError> {
    let removed = remove(&PinFolder::new(instance), instance, force)?;
    if !removed.folder {
        host::find_bpffs().map_err(|source| CleanupError::Host { instance: instance.to_owned(), source })?;
    }
    Ok(removed)
}

fn remove(folder: &PinFolder, instance: &str, force: bool) -> Result<Removed, CleanupError> {
    let path = folder.path();
    let lock = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Removed::default()),
        Err(source) => return Err(CleanupError::Lock { path: path.into(), source }),
    };
    // The lock is held until the end, so that no agent starts before.
    match lock.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) if force => {}
        Err(TryLockError::WouldBlock) => return Err(CleanupError::Running { instance: instance.into() }),
        Err(TryLockError::Error(source)) => return Err(CleanupError::Lock { path: path.into(), source }),
    }
    detach_devices(folder)?;
    let mut links = unpin(&folder.links(), translates)?;
    let others = folder.links().join("recvmsg4").exists();
    if others && !links.is_empty() {
        thread::sleep(ANSWERS);
    }
    links.append(&mut unpin_all(&folder.links())?);
    links.sort();
    remove_folder(&folder.links())?;
    // Left by an agent that died while it started.
    let next = folder.next();
    for folder in [next.programs(), next.old_links(), next.complete(), next.maps().to_owned()] {
        unpin_all(&folder)?;
        remove_folder(&folder)?;
    }
    let maps = unpin_all(path)?;
    remove_folder(path)?;
    Ok(Removed { links, maps, folder: true })
}

/// Detaches the programs of devices: clsact filters outlive their pins, and XDP must be off the devices for the next agent.
fn detach_devices(folder: &PinFolder) -> Result<(), CleanupError> {
    if !folder.links().exists() {
        return Ok(());
    }
    list(folder)?.iter().try_for_each(|hook| Ok(hook.detach(folder)?))
}

/// Unpins everything in a folder except its subfolders.
fn unpin_all(folder: &Path) -> Result<Vec<String>, CleanupError> {
    unpin(folder, |_| true)
}

/// Unpins everything in a folder, except subfolders, whose name `is_meant` accepts. Returns the sorted names.
fn unpin(folder: &Path, is_meant: impl Fn(&str) -> bool) -> Result<Vec<String>, CleanupError> {
    let error = |source| CleanupError::Remove { path: folder.into(), source };
    let entries = match fs::read_dir(folder) {
        Err(missing) if missing.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.map_err(error)?,
    };
    // Lists everything first: removing while listing may skip entries.
    let entries: Vec<fs::DirEntry> = entries.collect::<Result<_, _>>().map_err(error)?;
    let mut removed = Vec::new();
    for entry in entries {
        let name = entry.file_name().to_string_lossy().into_owned();
        if is_meant(&name) && !entry.file_type().map_err(error)?.is_dir() {
            absent(&entry.path(), fs::remove_file(entry.path()))?;
            removed.push(name);
        }
    }
    removed.sort();
    Ok(removed)
}

fn remove_folder(folder: &Path) -> Result<(), CleanupError> {
    absent(folder, fs::remove_dir(folder))
}

/// Turns the result of a removal into success if there was nothing to remove.
fn absent(path: &Path, result: io::Result<()>) -> Result<(), CleanupError> {
    match result {
        Err(source) if source.kind() != io::ErrorKind::NotFound => {
            Err(CleanupError::Remove { path: path.into(), source })
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An instance of ordinary files, removed on drop.
    struct Instance(PathBuf);

    impl Instance {
        fn new(name: &str) -> Self {
            let path = std::env::temp_dir().join(format!("waggle-cleanup-{name}-{}", std::process::id()));
            fs::create_dir_all(path.join("links")).unwrap();
            for pin in ["links/connect4", "links/connect6", "services", "abi"] {
                File::create(path.join(pin)).unwrap();
            }
            Self(path)
        }

        fn remove(&self, force: bool) -> Result<Removed, CleanupError> {
            // An absolute path replaces the root that it is joined to.
            remove(&PinFolder::new(&self.0.to_string_lossy()), "test", force)
        }
    }

    impl Drop for Instance {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn s31_removes_hooks_and_maps_and_says_which() {
        let instance = Instance::new("all");
        let removed = instance.remove(false).unwrap();
        assert_eq!(removed.to_string(), "removed 2 hooks (connect4, connect6) and 2 maps (abi, services)");
        assert!(!instance.0.exists());
    }

    #[test]
    fn s31_who_has_asked_is_answered() {
        let instance = Instance::new("answers");
        File::create(instance.0.join("links/recvmsg4")).unwrap();
        let links = instance.0.join("links");
        thread::scope(|scope| {
            let removed = scope.spawn(|| instance.remove(false).unwrap());
            while links.join("connect4").exists() {
                thread::yield_now();
            }
            assert!(links.join("recvmsg4").exists(), "replies are let through for a while");
            assert_eq!(removed.join().unwrap().links, ["connect4", "connect6", "recvmsg4"]);
        });
    }

    #[test]
    fn s31_removing_twice_is_no_error() {
        let instance = Instance::new("twice");
        instance.remove(false).unwrap();
        assert_eq!(instance.remove(false).unwrap().to_string(), "nothing to remove");
    }

    #[test]
    fn s31_a_half_removed_instance_is_removed() {
        let instance = Instance::new("half");
        fs::remove_dir_all(instance.0.join("links")).unwrap();
        let removed = instance.remove(false).unwrap();
        assert_eq!((removed.links.len(), removed.maps.len()), (0, 2));
        assert!(!instance.0.exists());
    }

    #[test]
    fn s31_a_running_agent_keeps_its_instance_unless_forced() {
        let instance = Instance::new("running");
        let lock = File::open(&instance.0).unwrap();
        lock.try_lock().unwrap();
        let refused = instance.remove(false);
        assert!(matches!(refused, Err(CleanupError::Running { .. })), "{refused:?}");
        assert!(instance.0.join("links/connect4").exists() && instance.0.join("abi").exists());
        assert_eq!(instance.remove(true).unwrap().links.len(), 2);
        assert!(!instance.0.exists());
    }
}
