//! Carries out the steps of a plan.

use std::process::Command;

use anyhow::{Context as _, Result};

use super::{
    apt,
    packages::{LINKER_VERSION, LLVM_PREFIX},
    plan::Step,
};
use crate::{
    cargo, command,
    ebpf_toolchain::{DEBIAN_LINK, EbpfToolchain, find_program},
};

/// Carries out a step.
pub(crate) fn perform(step: &Step) -> Result<()> {
    match step {
        Step::Packages(packages) => apt::install(packages),
        Step::LinkDebian => command::run(rustup()?.args(["toolchain", "link", DEBIAN_LINK, "/usr"])),
        Step::Nightly => {
            let components = ["--component", "rust-src", "--component", "clippy"];
            command::run(rustup()?.args(["toolchain", "install", "nightly", "--profile", "minimal"]).args(components))
                .context(
                    "install nightly Rust (where it can't be downloaded: Debian 12 packages its own eBPF compiler)",
                )
        }
        Step::Linker(toolchain) => install_linker(*toolchain),
        Step::Components(components) => command::run(rustup()?.args(["component", "add"]).args(components))
            .context("add components to the Rust toolchain (they must be downloaded; is the network up?)"),
    }
}

fn rustup() -> Result<Command> {
    find_program("rustup").map(Command::new).context("rustup is not installed (https://rustup.rs)")
}

fn install_linker(toolchain: EbpfToolchain) -> Result<()> {
    let mut command = cargo::command();
    command.args(["install", "bpf-linker", "--version", LINKER_VERSION, "--locked", "--force"]);
    if toolchain == EbpfToolchain::Debian {
        // LLVM_PREFIX is bpf-linker's own variable. Without it, an older LLVM whose llvm-config comes first in PATH may be
        // linked, which can't read rustc's bitcode.
        command
            .args(["--no-default-features", "--features", "llvm-22"])
            .env("LLVM_PREFIX", LLVM_PREFIX)
            .env("LLVM_SYS_221_PREFIX", LLVM_PREFIX);
    }
    // Cargo passes this project's RUSTC_BOOTSTRAP to xtask; it must not apply to other projects.
    command::run(command.env_remove("RUSTC_BOOTSTRAP")).with_context(|| {
        format!(
            "install bpf-linker {LINKER_VERSION} (compiling it needs LLVM's development files; its project also \
             releases binaries, https://github.com/aya-rs/bpf-linker/releases: one in PATH will do)"
        )
    })
}
