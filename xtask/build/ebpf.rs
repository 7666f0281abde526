//! For build scripts: compiles a package of eBPF programs into `OUT_DIR`. Installs nothing; if a tool is missing, the error
//! names the command that installs it.

use std::{
    env,
    fs::File,
    path::Path,
    process::{Command, exit},
};

use anyhow::{Context as _, Result, bail};
use aya_build::{Package, Toolchain};

#[path = "../src/ebpf_toolchain.rs"]
mod ebpf_toolchain;

use ebpf_toolchain::EbpfToolchain;

/// The inputs of an object besides its package, which aya-build watches: the shared types, and the versions and
/// profiles of the workspace.
const INPUTS: [&str; 5] =
    ["proxy-common/src", "proxy-common/Cargo.toml", "Cargo.toml", "Cargo.lock", ".cargo/config.toml"];

/// Compiles the package `name` in `folder` of the workspace, whose own folder is `root`. On an error, ends the build script: a
/// returned error would be buried below a backtrace if `RUST_BACKTRACE` is set.
pub(crate) fn build(root: &str, name: &str, folder: &str, features: &[&str]) {
    if let Err(error) = try_build(root, name, folder, features) {
        eprintln!("error: {error:#}");
        exit(1);
    }
}

fn try_build(root: &str, name: &str, folder: &str, features: &[&str]) -> Result<()> {
    wait_for_setup(Path::new(root))?;
    let Some(toolchain) = ebpf_toolchain::find() else {
        bail!("no toolchain for the eBPF programs: run `cargo xtask setup`");
    };
    for program in ["rustup", "bpf-linker"] {
        if ebpf_toolchain::find_program(program).is_none() {
            bail!("{program} is not installed: run `cargo xtask setup`");
        }
    }
    restart_with_prepared_environment()?;
    for input in INPUTS {
        println!("cargo:rerun-if-changed={root}/{input}");
    }
    let package = Package { name, root_dir: &format!("{root}/{folder}"), features, ..Package::default() };
    let toolchain = match toolchain {
        EbpfToolchain::Debian => Toolchain::Custom(ebpf_toolchain::DEBIAN_LINK),
        EbpfToolchain::Nightly => Toolchain::Nightly,
    };
    aya_build::build_ebpf([package], toolchain)
}

/// Waits until the toolchain is installed: `cargo xtask` installs it while cargo compiles crates that need no eBPF programs.
fn wait_for_setup(root: &Path) -> Result<()> {
    match File::open(ebpf_toolchain::setup_lock(root)) {
        Ok(lock) => lock.lock_shared().context("wait for the installation of the eBPF toolchain"),
        // No lock file: `cargo xtask` has never installed anything from this workspace.
        Err(_) => Ok(()),
    }
}

/// Restarts the build script with a changed environment, unless that has been done: a process can't change its own environment
/// safely. aya-build finds rustup, and rustc finds bpf-linker, only in `PATH`, which may lack cargo's folder; and aya-build shows
/// each progress line of the inner cargo as a warning, unless cargo is quiet.
fn restart_with_prepared_environment() -> Result<()> {
    const QUIET: &str = "CARGO_TERM_QUIET";
    let path = env::var_os("PATH").unwrap_or_default();
    let mut folders: Vec<_> = env::split_paths(&path).collect();
    let missing = ebpf_toolchain::cargo_bin().filter(|cargo_bin| !folders.contains(cargo_bin));
    if missing.is_none() && env::var_os(QUIET).is_some_and(|quiet| quiet == "true") {
        return Ok(());
    }
    folders.extend(missing);
    let path = env::join_paths(folders).context("extend PATH")?;
    let this = env::current_exe().context("find the build script")?;
    let status =
        Command::new(this).env("PATH", path).env(QUIET, "true").status().context("restart the build script")?;
    exit(status.code().unwrap_or(1));
}
