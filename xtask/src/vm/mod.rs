//! `cargo xtask vm`: boots Debian's kernels in an emulated machine and runs on each the tests that depend on the
//! kernel. Nothing is installed but the emulator; the kernels are unpacked below `target/vm`.

mod emulator;
mod initramfs;
mod kernel;
mod modules;
mod selection;
mod transcript;

use std::{path::PathBuf, process::ExitCode, time::Instant};

use anyhow::Result;
use clap::Args;

use self::{
    kernel::{Kernel, SERIES, Series},
    selection::{Selection, TESTS},
};
use crate::{
    cargo::{self, Profile},
    libtest::Tally,
    setup::{self, Purpose},
    test,
};

/// What to boot, and what to run there.
#[derive(Args)]
pub(crate) struct Arguments {
    /// The kernel's series
    #[arg(default_value = "all", value_parser = ["6.1", "6.12", "all"])]
    kernel: String,
    /// Run these test executables instead of the usual ones
    #[arg(long, value_name = "NAME")]
    test: Vec<String>,
    /// With --test: options for each of them, such as a filter
    #[arg(last = true, requires = "test")]
    options: Vec<String>,
}

/// The command.
pub(crate) fn command(arguments: &Arguments) -> Result<ExitCode> {
    setup::ensure(&[Purpose::Build, Purpose::Lab, Purpose::Vm])?;
    let selections: Vec<_> = if arguments.test.is_empty() {
        TESTS.iter().map(Selection::from).collect()
    } else {
        arguments.test.iter().map(|name| Selection::new(name, &arguments.options)).collect()
    };
    let programs = build(&selections)?;
    let mut tally = Tally::default();
    for series in SERIES.iter().filter(|series| ["all", series.name].contains(&arguments.kernel.as_str())) {
        tally += run(series, &selections, &programs)?;
    }
    Ok(test::report(&tally, &[]))
}

/// Builds the tests and what they start; gives a name in the machine and a path for each.
fn build(selections: &[Selection]) -> Result<Vec<(String, PathBuf)>> {
    let waggle = cargo::build_waggle(Profile::Dev)?;
    let mut programs = cargo::build_tests(selections.iter().map(|selection| selection.target.as_str()))?;
    programs.push(("waggle".into(), waggle));
    Ok(programs)
}

/// Boots one kernel and counts what its tests did.
fn run(series: &Series, selections: &[Selection], programs: &[(String, PathBuf)]) -> Result<Tally> {
    let folder = cargo::root().join("target/vm").join(series.name);
    let kernel = Kernel::prepare(series, &folder)?;
    let initramfs = initramfs::build(&folder, &kernel, selections, programs)?;
    let start = Instant::now();
    println!("{}: boots", kernel.release);
    let tally = emulator::run(&folder, &kernel, &initramfs, selections)?;
    let seconds = start.elapsed().as_secs();
    println!("{}: {} passed, {} failed in {seconds} s", kernel.release, tally.passed, tally.failed);
    Ok(tally)
}
