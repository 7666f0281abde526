//! `cargo xtask vm`: boots Debian's kernels in emulated machines, and runs the tests that depend on the kernel. Only the
//! emulator and its tools are installed; the kernels are unpacked below `target/vm`.

mod emulator;
mod initramfs;
mod kernel;
mod modules;
mod selection;
mod transcript;

use std::{collections::BTreeSet, panic::resume_unwind, path::PathBuf, process::ExitCode, thread, time::Instant};

use anyhow::Result;
use clap::Args;

use self::{
    kernel::{Kernel, SERIES, Series},
    selection::Selection,
};
use crate::{
    cargo::{self, Profile},
    libtest::Tally,
    programs::Programs,
    setup::{self, Purpose},
    test,
};

/// The kernels to boot, and the tests to run on them.
#[derive(Args)]
pub(crate) struct Arguments {
    /// The kernel series
    #[arg(default_value = "all", value_parser = ["6.1", "6.12", "all"])]
    kernel: String,
    /// Run these test executables instead of the usual ones
    #[arg(long, value_name = "NAME")]
    test: Vec<String>,
    /// With --test: options for each of these executables, such as a filter
    #[arg(last = true, requires = "test")]
    options: Vec<String>,
}

impl Arguments {
    /// The tests that run on a kernel.
    fn selections(&self, series: &Series) -> Vec<Selection> {
        if self.test.is_empty() {
            return Selection::usual(series);
        }
        self.test.iter().map(|name| Selection::new(name, &self.options)).collect()
    }
}

/// Runs the command.
pub(crate) fn command(arguments: &Arguments) -> Result<ExitCode> {
    setup::ensure(&[Purpose::Build, Purpose::Lab, Purpose::Vm])?;
    let wanted = SERIES.iter().filter(|series| ["all", series.name].contains(&arguments.kernel.as_str()));
    let selected: Vec<_> = wanted.map(|series| (series, arguments.selections(series))).collect();
    let programs = build(selected.iter().flat_map(|(_, selections)| selections))?;
    let machines: Vec<_> = selected
        .into_iter()
        .map(|(series, selections)| Machine::prepare(series, selections, &programs))
        .collect::<Result<_>>()?;
    // Each machine keeps one CPU of this host busy.
    let tallies: Vec<Result<Tally>> = thread::scope(|scope| {
        let started: Vec<_> = machines.iter().map(|machine| scope.spawn(|| machine.run())).collect();
        started.into_iter().map(|run| run.join().unwrap_or_else(|panic| resume_unwind(panic))).collect()
    });
    let mut tally = Tally::default();
    for each in tallies {
        tally += each?;
    }
    Ok(test::report(&tally, &[]))
}

/// Builds the tests and the programs that they start. Returns their names in the machine and their paths.
fn build<'a>(selections: impl Iterator<Item = &'a Selection>) -> Result<Vec<(String, PathBuf)>> {
    let targets: BTreeSet<_> = selections.map(|selection| selection.target.as_str()).collect();
    let mut programs = cargo::build_tests(targets.into_iter())?;
    programs.extend(Programs::build(Profile::Dev)?.into_paths());
    Ok(programs)
}

/// The files that a machine is booted from.
struct Machine {
    folder: PathBuf,
    kernel: Kernel,
    initramfs: PathBuf,
    selections: Vec<Selection>,
}

impl Machine {
    fn prepare(series: &Series, selections: Vec<Selection>, programs: &[(String, PathBuf)]) -> Result<Self> {
        let folder = cargo::root().join("target/vm").join(series.name);
        let kernel = Kernel::prepare(series, &folder)?;
        let initramfs = initramfs::build(&folder, &kernel, &selections, programs)?;
        Ok(Self { folder, kernel, initramfs, selections })
    }

    /// Boots the machine and counts the results of its tests.
    fn run(&self) -> Result<Tally> {
        let start = Instant::now();
        let release = &self.kernel.release;
        println!("{release}: boots");
        let tally = emulator::run(&self.folder, &self.kernel, &self.initramfs, &self.selections)?;
        let seconds = start.elapsed().as_secs();
        println!("{release}: {} passed, {} failed in {seconds} s", tally.passed, tally.failed);
        Ok(tally)
    }
}
