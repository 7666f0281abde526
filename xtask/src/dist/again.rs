//! Builds a release once more from the commit, in another folder, and compares the files.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result, bail};

use super::{Release, SUMS};
use crate::{cargo, command};

/// Fails if a file differs.
pub(super) fn compare(release: &Release) -> Result<()> {
    let again = WorkingTree::new()?;
    command::run(cargo::command().current_dir(&again.0).args(["xtask", "dist"]))?;
    let read = |folder: &Path| {
        let path = folder.join(SUMS);
        fs::read_to_string(&path).with_context(|| format!("read {}", path.display()))
    };
    let (first, second) = (read(&release.folder)?, read(&again.0.join("target/dist"))?);
    let differing: Vec<_> = first.lines().filter(|line| !second.lines().any(|other| other == *line)).collect();
    if !differing.is_empty() {
        bail!("these files differ when they are built in another folder:\n  {}", differing.join("\n  "));
    }
    println!("built again in {}: all files are equal", again.0.display());
    Ok(())
}

/// A working tree of the commit, removed when dropped.
struct WorkingTree(PathBuf);

impl WorkingTree {
    fn new() -> Result<Self> {
        let folder = env::temp_dir().join(format!("waggle-dist-{}", std::process::id()));
        let mut add = Command::new("git");
        add.current_dir(cargo::root()).args(["worktree", "add", "--detach"]).arg(&folder).arg("HEAD");
        let tree = Self(folder);
        command::run(&mut add)?;
        Ok(tree)
    }
}

impl Drop for WorkingTree {
    fn drop(&mut self) {
        let mut remove = Command::new("git");
        remove.current_dir(cargo::root()).args(["worktree", "remove", "--force"]).arg(&self.0);
        // There is no caller to report an error to; git names the folder in its list of working trees.
        let _ = command::run(&mut remove);
    }
}
