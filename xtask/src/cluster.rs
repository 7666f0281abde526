//! `cargo xtask cluster`: builds what is needed, then becomes the program that runs clusters.

use std::{
    path::{Path, PathBuf},
    process::{Command, ExitCode},
};

use anyhow::{Context as _, Result};

use crate::{
    cargo::{self, Profile},
    command, machine,
    package_tools::PackageTools,
    setup::{self, Purpose},
};

/// Runs the command. Returns only if the program can't be started.
pub(crate) fn command(arguments: &[String]) -> Result<ExitCode> {
    let mut command = Command::new(build()?);
    command.args(arguments);
    if arguments.first().is_some_and(|task| task == "test")
        && let Some(tools) = PackageTools::build()?
    {
        tools.set_environment(&mut command);
    }
    if arguments.first().is_some_and(|task| task == "up") {
        machine::check()?;
        setup::ensure(&[Purpose::Build, Purpose::Cluster])?;
        // With `--containerfile`, waggle is built in a container.
        if !arguments.iter().any(|argument| argument == "--containerfile") {
            let waggle =
                cargo::build_binaries(Profile::Release, &["waggle"])?.pop().context("cargo built no waggle")?;
            command.env("WAGGLE_BIN", waggle);
        }
    }
    match command::exec_silently(&mut command)? {}
}

/// Builds the program that runs clusters, and returns its path.
pub(crate) fn build() -> Result<PathBuf> {
    let mut build = cargo::workspace("build");
    // Silent, since a program may read what kubectl prints.
    build.args(["--quiet", "--bin", "cluster"]);
    let (_, cluster) = cargo::built(build, &["cluster"])?.pop().context("cargo built no cluster")?;
    Ok(cluster)
}

/// kube-proxy, if Kubernetes' programs have been built.
pub(crate) fn kube_proxy() -> Result<Option<PathBuf>> {
    let output = Command::new(build()?).arg("programs").output().context("look for Kubernetes' programs")?;
    let folder = String::from_utf8_lossy(&output.stdout);
    Ok(output.status.success().then(|| Path::new(folder.trim_end()).join("kube-proxy")))
}
