//! Where files are. Files that can be built again are in the user's cache; those of the running cluster are in one
//! folder, which is removed with it.

use std::{
    env,
    fs::{self, File, TryLockError},
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, bail};

/// The running cluster's folder.
pub const STATE: &str = "/var/lib/waggle-cluster";

/// The prefix of the cluster's network namespaces, and the name of its control groups.
pub const NAME: &str = "waggle-cluster";

/// A file or folder of the running cluster.
pub fn state(name: impl AsRef<Path>) -> PathBuf {
    Path::new(STATE).join(name)
}

/// The log of a process's output.
pub fn log(name: &str) -> PathBuf {
    state("logs").join(format!("{name}.log"))
}

/// The folder that stays from one cluster to the next: in `XDG_CACHE_HOME`, else in `.cache` of the home folder.
pub fn cache() -> PathBuf {
    let home = || Path::new(&env::var_os("HOME").unwrap_or_else(|| "/root".into())).join(".cache");
    env::var_os("XDG_CACHE_HOME").map_or_else(home, PathBuf::from).join("waggle").join("cluster")
}

/// This crate's folder, with Go's list of modules and the manifests.
pub fn source() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Keeps two commands from making and removing the cluster at the same time. Released when dropped.
pub fn lock() -> Result<File> {
    fs::create_dir_all(cache()).with_context(|| format!("create {}", cache().display()))?;
    let path = cache().join("lock");
    let file = File::create(&path).with_context(|| format!("create {}", path.display()))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => {
            bail!("another `cargo xtask cluster` is making or removing the cluster")
        }
        Err(TryLockError::Error(error)) => Err(error).with_context(|| format!("lock {}", path.display())),
    }
}
