//! `cargo xtask fuzz`: builds for speed, then becomes the fuzzer.

use std::process::ExitCode;

use anyhow::Result;

use crate::{
    cargo, command, machine,
    setup::{self, Purpose},
};

/// The command. Returns only if the fuzzer can't be started.
pub(crate) fn command(arguments: &[String]) -> Result<ExitCode> {
    machine::check()?;
    setup::ensure(&[Purpose::Build, Purpose::Lab])?;
    let mut fuzz = cargo::command();
    fuzz.args(["run", "--quiet", "--release", "--package", "tests", "--bin", "fuzz", "--"]).args(arguments);
    match command::exec(&mut fuzz)? {}
}
