//! `cargo xtask fuzz`: builds, then becomes the fuzzer of the packet programs or a fuzz target of the folder `fuzz`.

mod targets;

use std::process::{Command, ExitCode};

use anyhow::{Context as _, Result};

use crate::{
    cargo::{self, Profile},
    command, machine,
    setup::{self, Purpose},
};

/// Runs the command. Returns only if the fuzzer can't be started.
pub(crate) fn command(arguments: &[String]) -> Result<ExitCode> {
    if arguments.first().is_some_and(|first| !first.starts_with('-')) {
        return targets::command(arguments);
    }
    machine::check()?;
    let built =
        setup::alongside(&[Purpose::Build, Purpose::Lab], || cargo::build_binaries(Profile::Release, &["fuzz"]))?;
    let fuzz = built.first().context("cargo built no fuzzer")?;
    match command::exec(Command::new(fuzz).args(arguments))? {}
}
