//! The programs that labs start: the agent, and the processes that dial and answer. Whatever makes labs builds them first.

use std::{path::PathBuf, process::Command};

use anyhow::{Result, bail};

use crate::cargo::{self, Profile};

/// The programs' names, and the environment variables by which a lab finds them.
const NAMES: [(&str, &str); 2] = [("waggle", "WAGGLE_BIN"), ("labproc", "LABPROC_BIN")];

/// Paths of the programs, built.
pub(crate) struct Programs {
    paths: Vec<PathBuf>,
}

impl Programs {
    /// Builds them.
    pub(crate) fn build(profile: Profile) -> Result<Self> {
        Ok(Self { paths: cargo::build_binaries(profile, &NAMES.map(|(name, _)| name))? })
    }

    /// Builds them together with the binary `name`, which makes labs; gives its path.
    pub(crate) fn build_with(profile: Profile, name: &str) -> Result<(Self, PathBuf)> {
        let names: Vec<_> = NAMES.iter().map(|(name, _)| *name).chain([name]).collect();
        let mut paths = cargo::build_binaries(profile, &names)?;
        let Some(binary) = paths.pop() else { bail!("cargo built no {name}") };
        Ok((Self { paths }, binary))
    }

    /// Tells `command` where they are.
    pub(crate) fn name_to<'a>(&self, command: &'a mut Command) -> &'a mut Command {
        command.envs(NAMES.iter().map(|(_, variable)| *variable).zip(&self.paths))
    }

    /// Names and paths.
    pub(crate) fn into_paths(self) -> impl Iterator<Item = (String, PathBuf)> {
        NAMES.into_iter().map(|(name, _)| name.to_owned()).zip(self.paths)
    }
}
