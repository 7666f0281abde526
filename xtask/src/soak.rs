//! `cargo xtask soak`: builds, then becomes the soak.

use std::process::{Command, ExitCode};

use anyhow::Result;

use crate::{
    cargo::Profile,
    command, machine,
    programs::Programs,
    setup::{self, Purpose},
};

/// Runs the command. Returns only if the soak can't be started.
pub(crate) fn command(arguments: &[String]) -> Result<ExitCode> {
    machine::check()?;
    let (programs, soak) = setup::alongside(&[Purpose::Build, Purpose::Lab], || {
        let (programs, soak) = Programs::build_with(Profile::Dev, "soak")?;
        Ok((programs.with_other_abi()?, soak))
    })?;
    machine::mount_bpffs()?;
    match command::exec(programs.set_environment(Command::new(soak).args(arguments)))? {}
}
