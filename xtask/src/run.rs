//! `cargo xtask run`: checks the machine, then becomes the demo or the agent.

use std::process::{Command, ExitCode};

use anyhow::{Context as _, Result};

use crate::{
    cargo::{self, Profile},
    command, machine,
    programs::Programs,
    setup::{self, Purpose},
};

/// Runs the command. Returns only if the program can't be started; otherwise the program gets signals and determines the exit code.
pub(crate) fn command(once: bool, profile: Profile, agent: &[String]) -> Result<ExitCode> {
    machine::check()?;
    if agent.is_empty() { demo(once, profile) } else { run_agent(profile, agent) }
}

fn demo(once: bool, profile: Profile) -> Result<ExitCode> {
    say_what_is_built("the agent, the demo and the processes that it starts", profile);
    let (programs, demo) = setup::alongside(&[Purpose::Build, Purpose::Lab], || Programs::build_with(profile, "demo"))?;
    let arguments: &[_] = if once { &["--once"] } else { &[] };
    match command::exec(programs.set_environment(Command::new(demo).args(arguments)))? {}
}

fn run_agent(profile: Profile, arguments: &[String]) -> Result<ExitCode> {
    say_what_is_built("the agent", profile);
    let built = setup::alongside(&[Purpose::Build], || cargo::build_binaries(profile, &["waggle"]))?;
    let waggle = built.first().context("cargo built no waggle")?;
    match command::exec(Command::new(waggle).arg("run").args(arguments))? {}
}

/// Prints what will be built and how long that takes, unless there has been a build before.
fn say_what_is_built(what: &str, profile: Profile) {
    let (folder, minutes) = match profile {
        Profile::Dev => ("debug", 5),
        Profile::Release => ("release", 8),
    };
    if !cargo::root().join("target").join(folder).join("waggle").exists() {
        println!("building {what}: about {minutes} minutes on two processors, later a second or two");
    }
}
