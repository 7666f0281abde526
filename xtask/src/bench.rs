//! `cargo xtask bench`: builds in release mode, then becomes the benchmark.

use std::process::{Command, ExitCode};

use anyhow::Result;

use crate::{
    cargo::Profile,
    command, machine,
    programs::Programs,
    setup::{self, Purpose},
};

/// Runs the command. Returns only if the benchmark can't be started.
pub(crate) fn command(arguments: &[String]) -> Result<ExitCode> {
    machine::check()?;
    let (programs, bench) =
        setup::alongside(&[Purpose::Build, Purpose::Lab], || Programs::build_with(Profile::Release, "bench"))?;
    match command::exec(programs.set_environment(Command::new(bench).args(arguments)))? {}
}
