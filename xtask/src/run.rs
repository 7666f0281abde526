//! `cargo xtask run`: checks the machine, then becomes the demo or the agent.

use std::process::{Command, ExitCode};

use anyhow::Result;

use crate::{
    cargo::{self, Profile},
    command, machine,
    setup::{self, Purpose},
};

/// The command. Returns only if the program can't be started: from there on, signals and exit code are its own.
pub(crate) fn command(once: bool, agent: &[String]) -> Result<ExitCode> {
    machine::check()?;
    setup::ensure(&[Purpose::Build, Purpose::Lab])?;
    let waggle = cargo::build_waggle(Profile::Release)?;
    let started = if agent.is_empty() {
        let arguments = if once { vec!["--once".to_owned()] } else { Vec::new() };
        command::exec(&mut cargo::run_harness("demo", &waggle, &arguments))?
    } else {
        command::exec(Command::new(&waggle).arg("run").args(agent))?
    };
    match started {}
}
