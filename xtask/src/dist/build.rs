//! Compiles the program of a release: linked statically, without symbols, and without paths of this machine.

use std::{
    env, fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result};

use super::Release;
use crate::{cargo, command};

/// The target: musl's C library, so that the program needs nothing but a kernel.
pub(super) const TARGET: &str = "x86_64-unknown-linux-musl";

/// Builds the program, and returns its path.
pub(super) fn program(release: &Release) -> Result<PathBuf> {
    add_target()?;
    let mut build = cargo::command();
    build.args(["build", "--release", "--locked", "--package", "proxy-userspace", "--bin", "waggle"]);
    build.args(["--target", TARGET, "--config", "profile.release.strip='symbols'"]);
    build.env("SOURCE_DATE_EPOCH", &release.epoch).env("CARGO_INCREMENTAL", "0");
    // The inner cargo, which compiles the eBPF programs, takes no flags from outside, but a wrapper.
    build.env("RUSTC_WRAPPER", wrapper()?);
    let (_, path) = cargo::built(build, &["waggle"])?.pop().context("cargo built no waggle")?;
    Ok(path)
}

/// Adds the target's standard library to the toolchain.
fn add_target() -> Result<()> {
    let installed = command::output(Command::new("rustup").args(["target", "list", "--installed"]))?;
    if String::from_utf8_lossy(&installed.stdout).lines().any(|line| line == TARGET) {
        return Ok(());
    }
    command::run(Command::new("rustup").args(["target", "add", TARGET]))
}

/// Writes a program that calls rustc with names for the folders of this machine, and returns its path.
fn wrapper() -> Result<PathBuf> {
    let path = cargo::root().join("target/dist-rustc");
    let script = script(&folders(env::home_dir().as_deref()));
    fs::write(&path, script).with_context(|| format!("write {}", path.display()))?;
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755))
        .with_context(|| format!("make {} executable", path.display()))?;
    Ok(path)
}

/// The folders whose paths rustc writes into programs, and the names that they get. Of two that fit, the later one counts.
fn folders(home: Option<&Path>) -> Vec<(PathBuf, &'static str)> {
    let of =
        |variable: &str, folder: &str| env::var_os(variable).map(PathBuf::from).or_else(|| Some(home?.join(folder)));
    let rustup = of("RUSTUP_HOME", ".rustup").map(|folder| (folder, "/rustup"));
    let cargo = of("CARGO_HOME", ".cargo").map(|folder| (folder, "/cargo"));
    rustup.into_iter().chain(cargo).chain([(cargo::root().to_owned(), "/waggle")]).collect()
}

fn script(folders: &[(PathBuf, &str)]) -> String {
    let quoted = |folder: &Path| folder.display().to_string().replace('\'', r"'\''");
    let remap = |(folder, name): &(PathBuf, &str)| format!(" --remap-path-prefix='{}={name}'", quoted(folder));
    format!("#!/bin/sh\nexec \"$@\"{}\n", folders.iter().map(remap).collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wrapper_names_each_folder() {
        let folders = [("/a b/it's".into(), "/x"), ("/c".into(), "/y")];
        let wanted = "#!/bin/sh\nexec \"$@\" --remap-path-prefix='/a b/it'\\''s=/x' --remap-path-prefix='/c=/y'\n";
        assert_eq!(script(&folders), wanted);
    }
}
