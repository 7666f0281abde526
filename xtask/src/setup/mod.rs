//! `cargo xtask setup`: prepares a fresh machine to build, lint and test. Installs only what is missing, and prints what it
//! installs and why.

mod alongside;
pub(crate) mod apt;
mod facts;
mod packages;
mod plan;
mod steps;

use std::process::ExitCode;

pub(crate) use alongside::alongside;
use anyhow::{Result, bail};
use clap::ValueEnum;
use facts::Facts;
use plan::Plan;

/// What tools are needed for. Each command checks only the purposes that it needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Purpose {
    /// Compiling the agent and its eBPF programs
    Build,
    /// Formatting and lints
    Lint,
    /// Namespaces, captures and rule sets of the tests, the demo and the benchmark
    Lab,
    /// A browser for the tests of the agent's page
    Page,
    /// Fuzz targets
    Fuzz,
    /// Booting other kernels
    Vm,
    /// A real cluster on this machine
    Cluster,
    /// Making a release
    Dist,
}

/// The purposes that the command installs for by default: not [`Purpose::Page`], [`Purpose::Vm`], [`Purpose::Cluster`] and
/// [`Purpose::Dist`], which are large or rarely needed, and not [`Purpose::Fuzz`], whose command installs it.
const ALL: [Purpose; 3] = [Purpose::Build, Purpose::Lint, Purpose::Lab];

/// Runs the command: installs what `purposes` need, or the defaults if there are none. With `check`, only prints what is
/// missing.
pub(crate) fn command(check: bool, purposes: &[Purpose]) -> Result<ExitCode> {
    let purposes = if purposes.is_empty() { &ALL } else { purposes };
    let facts = Facts::gather(purposes)?;
    let plan = Plan::new(&facts);
    if plan.is_empty() {
        println!("setup: everything is installed");
        return Ok(ExitCode::SUCCESS);
    }
    if check {
        print!("{plan}");
        println!("setup: {}", plan.blocked().unwrap_or("something is missing: run `cargo xtask setup`"));
        return Ok(ExitCode::FAILURE);
    }
    install(purposes)?;
    println!("setup: done");
    Ok(ExitCode::SUCCESS)
}

/// Installs what `purposes` need. Prints nothing if nothing is missing.
pub(crate) fn ensure(purposes: &[Purpose]) -> Result<()> {
    if Plan::new(&Facts::gather(purposes)?).is_empty() { Ok(()) } else { install(purposes) }
}

fn install(purposes: &[Purpose]) -> Result<()> {
    let mut facts = Facts::gather(purposes)?;
    if facts.wants_fresh_lists() {
        apt::update()?;
        facts = Facts::gather(purposes)?;
    }
    let plan = Plan::new(&facts);
    print!("{plan}");
    if let Some(blocked) = plan.blocked() {
        bail!("{blocked}");
    }
    for step in plan.steps() {
        steps::perform(step)?;
    }
    let left = Plan::new(&Facts::gather(purposes)?);
    if !left.is_empty() {
        bail!("still missing after setup:\n{left}");
    }
    Ok(())
}
