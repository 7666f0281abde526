//! Builds the programs that labs start: the agent, and the program that dials and serves.

use std::{path::PathBuf, process::Command};

use anyhow::{Result, bail};

use crate::{
    cargo::{self, Profile},
    cluster,
    package_tools::PackageTools,
};

/// The names of the programs, and the environment variables by which a lab finds them.
const NAMES: [(&str, &str); 2] = [("waggle", "WAGGLE_BIN"), ("labproc", "LABPROC_BIN")];

/// The agent with another ABI, which only tests and the soak start, and the environment variable by which they find it.
const OTHER_ABI: (&str, &str) = ("waggle-other-abi", "WAGGLE_OTHER_ABI_BIN");

/// Builds the agent with another ABI. This takes a separate command, since cargo applies a feature to everything that one
/// command builds.
fn build_other_abi() -> Result<PathBuf> {
    let mut command = cargo::workspace("build");
    let (name, _) = OTHER_ABI;
    command.args(["--features", "proxy-userspace/other-abi", "--bin", name]);
    let mut built = cargo::built(command, &[name])?;
    let Some((_, path)) = built.pop() else { bail!("cargo built no {name}") };
    Ok(path)
}

/// The paths of the built programs.
pub(crate) struct Programs {
    paths: Vec<PathBuf>,
    other_abi: Option<PathBuf>,
    kube_proxy: Option<PathBuf>,
    package_tools: Option<PackageTools>,
}

impl Programs {
    /// Builds the programs.
    pub(crate) fn build(profile: Profile) -> Result<Self> {
        Ok(Self {
            paths: cargo::build_binaries(profile, &NAMES.map(|(name, _)| name))?,
            other_abi: None,
            kube_proxy: None,
            package_tools: None,
        })
    }

    /// Builds the programs, the agent with another ABI, Helm and kustomize; looks for kube-proxy, which some tests start.
    pub(crate) fn build_for_tests() -> Result<Self> {
        let own = Self::build(Profile::Dev)?.with_other_abi()?;
        Ok(Self { kube_proxy: cluster::kube_proxy()?, package_tools: PackageTools::build()?, ..own })
    }

    /// Also builds the agent with another ABI.
    pub(crate) fn with_other_abi(self) -> Result<Self> {
        Ok(Self { other_abi: Some(build_other_abi()?), ..self })
    }

    /// Builds the programs together with the binary `name`, which makes labs, and returns that binary's path, too.
    pub(crate) fn build_with(profile: Profile, name: &str) -> Result<(Self, PathBuf)> {
        let names: Vec<_> = NAMES.iter().map(|(name, _)| *name).chain([name]).collect();
        let mut paths = cargo::build_binaries(profile, &names)?;
        let Some(binary) = paths.pop() else { bail!("cargo built no {name}") };
        Ok((Self { paths, other_abi: None, kube_proxy: None, package_tools: None }, binary))
    }

    /// Sets the programs' paths in the environment of `command`.
    pub(crate) fn set_environment<'a>(&self, command: &'a mut Command) -> &'a mut Command {
        command.envs(NAMES.iter().map(|(_, variable)| *variable).zip(&self.paths));
        if let Some(tools) = &self.package_tools {
            tools.set_environment(command);
        }
        command.envs(self.other_abi.iter().map(|path| (OTHER_ABI.1, path)));
        command.envs(self.kube_proxy.iter().map(|path| ("KUBE_PROXY_BIN", path)))
    }

    /// Returns the programs' names and paths, without the agent with another ABI.
    pub(crate) fn into_paths(self) -> impl Iterator<Item = (String, PathBuf)> {
        NAMES.into_iter().map(|(name, _)| name.to_owned()).zip(self.paths)
    }
}
