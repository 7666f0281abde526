//! `cargo xtask fuzz TARGET`: builds a fuzz target as cargo-fuzz does, but with the stable compiler, and becomes it. The stable
//! compiler can instrument code for libFuzzer's coverage. Sanitizers would need a nightly compiler, but safe Rust rules out most of
//! what they find.

use std::{
    fs, iter,
    path::{Path, PathBuf},
    process::{Command, ExitCode},
};

use anyhow::{Context as _, Result, bail};
use clap::Parser;

use crate::{
    cargo, command,
    setup::{self, Purpose},
};

/// The package of the targets, and its folder.
const PACKAGE: &str = "waggle-fuzz";
const FOLDER: &str = "fuzz";

/// The profile, which is in Cargo.toml.
const PROFILE: &str = "fuzz";

/// Flags that add what libFuzzer needs: counters of the branches taken, and the compared values.
const FLAGS: [&str; 7] = [
    "--cfg fuzzing",
    "-Cpasses=sancov-module",
    "-Cllvm-args=-sanitizer-coverage-level=4",
    "-Cllvm-args=-sanitizer-coverage-inline-8bit-counters",
    "-Cllvm-args=-sanitizer-coverage-pc-table",
    "-Cllvm-args=-sanitizer-coverage-trace-compares",
    "-Ccodegen-units=1",
];

/// An input that takes longer than this many seconds is written to a file. One that takes ten times as long ends the run.
const SLOW: u32 = 1;

/// Send random input through the agent's readers
#[derive(Parser)]
#[command(bin_name = "cargo xtask fuzz")]
struct Arguments {
    /// The target: a file of fuzz/fuzz_targets, without its extension
    target: String,
    /// How long to run
    #[arg(long, value_name = "N", default_value_t = 10)]
    minutes: u32,
}

/// Runs the command. Returns only if the target can't be started.
pub(super) fn command(arguments: &[String]) -> Result<ExitCode> {
    let Arguments { target, minutes } =
        Arguments::parse_from(iter::once("fuzz").chain(arguments.iter().map(String::as_str)));
    let names = names(&cargo::root().join(FOLDER))?;
    if !names.contains(&target) {
        bail!("no fuzz target is named {target:?}; there are {}", names.join(", "));
    }
    setup::ensure(&[Purpose::Build, Purpose::Fuzz])?;
    let program = build(&target)?;
    let folder = |kind: &str| cargo::root().join(FOLDER).join(kind).join(&target);
    let (found, crashes) = (folder("corpus"), folder("artifacts"));
    for folder in [&found, &crashes] {
        fs::create_dir_all(folder).with_context(|| format!("make the folder {}", folder.display()))?;
    }
    let mut run = Command::new(program);
    run.arg(format!("-max_total_time={}", 60 * minutes));
    run.arg(format!("-report_slow_units={SLOW}")).arg(format!("-timeout={}", 10 * SLOW)).arg("-print_final_stats=1");
    run.arg(format!("-artifact_prefix={}/", crashes.display()));
    // libFuzzer adds new inputs to the first folder.
    match command::exec(run.args([found, folder("seeds")]))? {}
}

/// Returns the names of all targets.
fn names(folder: &Path) -> Result<Vec<String>> {
    let folder = folder.join("fuzz_targets");
    let files = fs::read_dir(&folder).with_context(|| format!("read {}", folder.display()))?;
    let mut names = Vec::new();
    for file in files {
        names.extend(file?.path().file_stem().map(|name| name.to_string_lossy().into_owned()));
    }
    names.sort();
    Ok(names)
}

fn build(target: &str) -> Result<PathBuf> {
    let mut command = cargo::command();
    // With `--target`, build scripts and macros are compiled without the flags. In a separate folder, other builds stay valid.
    command.args(["build", "--package", PACKAGE, "--bin", target, "--profile", PROFILE, "--target", &cargo::host()?]);
    command.args(["--target-dir", "target/fuzz"]);
    command.env_remove("CARGO_ENCODED_RUSTFLAGS").env("RUSTFLAGS", FLAGS.join(" "));
    let (_, program) = cargo::built(command, &[target])?.pop().context("cargo built no fuzz target")?;
    Ok(program)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_target_has_seeds() {
        let folder = cargo::root().join(FOLDER);
        let names = names(&folder).unwrap();
        assert!(names.contains(&"netlink".to_owned()), "{names:?}");
        for name in names {
            let seeds = fs::read_dir(folder.join("seeds").join(&name));
            assert!(seeds.is_ok_and(|mut seeds| seeds.next().is_some()), "{name}");
        }
    }

    #[test]
    fn a_target_runs_for_ten_minutes_by_default() {
        let read = |words: &[&str]| Arguments::try_parse_from([&["fuzz"], words].concat()).ok();
        assert_eq!(read(&["netlink"]).map(|found| found.minutes), Some(10));
        assert_eq!(read(&["netlink", "--minutes", "3"]).map(|found| found.minutes), Some(3));
        assert!(read(&[]).is_none() && read(&["netlink", "--packets", "3"]).is_none());
    }
}
