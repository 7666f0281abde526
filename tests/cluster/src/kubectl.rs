//! kubectl, as the cluster's administrator, in the control plane's namespace.

use std::{
    os::unix::process::CommandExt as _,
    process::{Command, ExitCode},
};

use anyhow::{Context as _, Result};

use crate::{certificates, command, members::Members, network, programs::Programs};

/// kubectl with arguments.
pub fn command(programs: &Programs, arguments: &[&str]) -> Command {
    let mut command = kubectl(programs);
    command.args(arguments);
    command
}

fn kubectl(programs: &Programs) -> Command {
    let mut command = network::within("control", &programs.path("kubectl").to_string_lossy());
    command.arg("--kubeconfig").arg(certificates::kubeconfig("super-admin"));
    command
}

/// Runs kubectl silently and returns what it printed.
pub fn output(programs: &Programs, arguments: &[&str]) -> Result<String> {
    command::output(&mut command(programs, arguments))
}

/// Applies manifests.
pub fn apply(programs: &Programs, text: &str) -> Result<()> {
    command::feed(kubectl(programs).args(["apply", "-f", "-"]), text)
}

/// `cargo xtask cluster kubectl`: becomes kubectl.
pub fn run(arguments: &[String]) -> Result<ExitCode> {
    Members::read()?;
    let error = kubectl(&Programs::find()?).args(arguments).exec();
    Err(error).context("start kubectl")
}
