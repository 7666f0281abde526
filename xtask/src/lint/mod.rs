//! `cargo xtask lint`: all checks that do not run the program. A failed check does not stop the others, so that one run
//! reports everything that is wrong.

mod allowed;
mod causes;
mod commands;
mod conflicts;
mod cycles;
mod dependencies;
mod links;
mod repeated;
mod rules;
mod security;
mod sources;
mod widths;

use std::process::{Command, ExitCode};

use anyhow::{Context as _, Result, bail};

pub(crate) use self::{links::SUMMARY, sources::visit};
use crate::{
    cargo::{self, BENCH_PACKAGE, EBPF_PACKAGE},
    command,
    ebpf_toolchain::{self, DEBIAN_LINK, EbpfToolchain, find_program},
    setup::{self, Purpose},
};

/// A check. It prints what it checks, and fails with what is wrong.
type Check = fn() -> Result<()>;

/// Runs the command.
pub(crate) fn command() -> Result<ExitCode> {
    setup::ensure(&[Purpose::Build, Purpose::Lint])?;
    let checks: [(&str, Check); 13] = [
        ("formatting", format),
        ("source rules", sources::check),
        ("conflicts", conflicts::check),
        ("rules", rules::check),
        ("security", security::check),
        ("cycles", cycles::check),
        ("links", links::check),
        ("widths", widths::check),
        ("commands", commands::check),
        ("dependencies", dependencies::check),
        ("clippy", clippy),
        ("clippy of the eBPF programs", clippy_ebpf),
        ("docs", docs),
    ];
    let mut failed = Vec::new();
    for (name, check) in checks {
        if let Err(error) = check() {
            eprintln!("lint: {name}: {error:#}");
            failed.push(name);
        }
    }
    if failed.is_empty() {
        println!("lint: all {} checks passed", checks.len());
        return Ok(ExitCode::SUCCESS);
    }
    println!("lint: failed: {}", failed.join(", "));
    Ok(ExitCode::FAILURE)
}

fn format() -> Result<()> {
    command::run(cargo::command().args(["fmt", "--all", "--check"])).context("type `cargo fmt --all`")
}

fn clippy() -> Result<()> {
    let mut command = cargo::command();
    command.args(["clippy", "--workspace", "--exclude", EBPF_PACKAGE, "--exclude", BENCH_PACKAGE]);
    command.args(["--all-targets", "--", "-D", "warnings"]);
    command::run(&mut command)
}

/// Lints the eBPF programs with the toolchain that compiles them, for their target.
fn clippy_ebpf() -> Result<()> {
    let rustup = find_program("rustup").context("rustup is not installed: run `cargo xtask setup`")?;
    let Some(toolchain) = ebpf_toolchain::find() else {
        bail!("no toolchain for the eBPF programs: run `cargo xtask setup`");
    };
    let (name, core): (_, &[&str]) = match toolchain {
        EbpfToolchain::Debian => (DEBIAN_LINK, &[]),
        EbpfToolchain::Nightly => ("nightly", &["-Z", "build-std=core"]),
    };
    let mut command = Command::new(rustup);
    command.current_dir(cargo::root());
    command.args(["run", name, "cargo", "clippy", "--package", EBPF_PACKAGE, "--package", BENCH_PACKAGE, "--release"]);
    command.args(core);
    command.args(["--target", "bpfel-unknown-none", "--", "-D", "warnings"]);
    // cargo sets these variables for the processes that it starts. They would combine one toolchain's cargo with another's
    // compiler.
    command.env_remove("RUSTC").env_remove("RUSTDOC").env_remove("CARGO");
    command::run(&mut command)
}

fn docs() -> Result<()> {
    let mut command = cargo::command();
    command.args(["doc", "--workspace", "--exclude", EBPF_PACKAGE, "--exclude", BENCH_PACKAGE]);
    command.args(["--no-deps", "--document-private-items"]);
    command::run(command.env("RUSTDOCFLAGS", "-D warnings"))
}
