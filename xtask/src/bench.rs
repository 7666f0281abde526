//! `cargo xtask bench`: builds for speed, then becomes the benchmark.

use std::process::ExitCode;

use anyhow::Result;

use crate::{
    cargo::{self, Profile},
    command, machine,
    setup::{self, Purpose},
};

/// The command. Returns only if the benchmark can't be started.
pub(crate) fn command(arguments: &[String]) -> Result<ExitCode> {
    machine::check()?;
    setup::ensure(&[Purpose::Build, Purpose::Lab])?;
    let waggle = cargo::build_waggle(Profile::Release)?;
    match command::exec(&mut cargo::run_harness("bench", &waggle, arguments))? {}
}
