//! `cargo xtask test`: runs every test that this machine can run, and ends with a line of counts.

use std::{
    fs,
    io::{BufRead as _, BufReader},
    process::{Command, ExitCode, Stdio},
};

use anyhow::{Context as _, Result};

use crate::{
    cargo, command,
    libtest::{self, Reader, Tally},
    machine,
    programs::Programs,
    setup::{self, Purpose},
};

/// The folders with test targets.
const FOLDERS: [&str; 2] = ["tests/tests", "tests/demo/tests"];

/// The test targets that need root: they create namespaces and load programs.
const NEED_ROOT: [&str; 3] = ["demo", "packet_tables", "scenarios"];

/// The number of labs that run at the same time: each has its own namespaces, but all share the CPUs.
const LAB_THREADS: &str = "4";

/// Runs the command.
pub(crate) fn command(filters: &[String]) -> Result<ExitCode> {
    let root = machine::is_root()?;
    let purposes: &[_] = if root { &[Purpose::Build, Purpose::Lab] } else { &[Purpose::Build] };
    let programs = setup::alongside(purposes, Programs::build_for_tests)?;
    if root {
        machine::mount_bpffs()?;
    }
    let (labs, plain) = targets()?;
    let mut tally =
        run(with_targets(cargo_test().args(["--lib", "--bins"]), &plain).arg("--").args(filters), &programs)?;
    tally += run(cargo_test().args(["--doc", "--"]).args(filters), &programs)?;
    tally += if root { run_labs(&labs, filters, &programs)? } else { skip_labs(&labs, filters)? };
    Ok(report(&tally, filters))
}

fn run_labs(labs: &[String], filters: &[String], programs: &Programs) -> Result<Tally> {
    let mut command = cargo_test();
    with_targets(&mut command, labs).args(["--", "--test-threads", LAB_THREADS]).args(filters);
    run(&mut command, programs)
}

/// Lists the tests that need root, and counts them as skipped.
fn skip_labs(labs: &[String], filters: &[String]) -> Result<Tally> {
    let mut command = cargo_test();
    with_targets(&mut command, labs).args(["--", "--list"]).args(filters);
    let output = command.stderr(Stdio::inherit()).output().context("list the tests that need root")?;
    let text = String::from_utf8_lossy(&output.stdout);
    let names = libtest::listed(&text);
    if !names.is_empty() {
        println!("skipped, because they need root (run `cargo xtask test` as root):");
        for name in &names {
            println!("    {name}");
        }
    }
    let listing = Reader::default().finish(output.status.success(), "listing the tests that need root");
    Ok(Tally { skipped: names.len(), ..listing })
}

fn cargo_test() -> Command {
    let mut command = cargo::workspace("test");
    command.arg("--no-fail-fast");
    command
}

fn with_targets<'a>(command: &'a mut Command, names: &[String]) -> &'a mut Command {
    names.iter().fold(command, |command, name| command.args(["--test", name]))
}

/// Returns the test targets that need root, and the others.
fn targets() -> Result<(Vec<String>, Vec<String>)> {
    let mut names = Vec::new();
    for folder in FOLDERS {
        let folder = cargo::root().join(folder);
        for entry in fs::read_dir(&folder).with_context(|| format!("read {}", folder.display()))? {
            let path = entry?.path();
            let is_target =
                path.extension().is_some_and(|extension| extension == "rs") || path.join("main.rs").exists();
            if is_target && let Some(name) = path.file_stem().and_then(|stem| stem.to_str()) {
                names.push(name.to_owned());
            }
        }
    }
    names.sort();
    Ok(names.into_iter().partition(|name| NEED_ROOT.contains(&name.as_str())))
}

/// Runs one `cargo test`, and prints its output line by line.
fn run(command: &mut Command, programs: &Programs) -> Result<Tally> {
    let what = command::shown(command);
    println!("$ {what}");
    programs.set_environment(command);
    let mut child = command.stdout(Stdio::piped()).spawn().with_context(|| format!("start `{what}`"))?;
    let stdout = child.stdout.take().expect("stdout is piped");
    let mut reader = Reader::default();
    for line in BufReader::new(stdout).split(b'\n') {
        let line = line.with_context(|| format!("read the output of `{what}`"))?;
        let line = String::from_utf8_lossy(&line);
        println!("{line}");
        reader.line(&line);
    }
    let status = child.wait().with_context(|| format!("wait for `{what}`"))?;
    Ok(reader.finish(status.success(), &what))
}

/// Prints the names of failed tests and, as the last line, the counts.
pub(crate) fn report(tally: &Tally, filters: &[String]) -> ExitCode {
    if !tally.failures.is_empty() {
        println!("\nfailed:");
        for name in &tally.failures {
            println!("    {name}");
        }
    }
    let nothing = tally.passed + tally.failed + tally.skipped == 0;
    if nothing && !filters.is_empty() {
        println!("\nno test's name contains {}", filters.join(" or "));
    }
    println!("\n{}", summary(tally));
    if tally.failed > 0 || nothing { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

fn summary(tally: &Tally) -> String {
    let Tally { passed, failed, skipped, .. } = tally;
    match skipped {
        0 => format!("{passed} passed, {failed} failed"),
        _ => format!("{passed} passed, {failed} failed, {skipped} skipped"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_line_names_skipped_tests_only_if_there_are_any() {
        let tally = Tally { passed: 3, failed: 1, ..Tally::default() };
        assert_eq!(summary(&tally), "3 passed, 1 failed");
        assert_eq!(summary(&Tally { skipped: 2, ..tally }), "3 passed, 1 failed, 2 skipped");
    }
}
