//! Runs cargo in this workspace: for metadata, and to build binaries.

use std::{
    env,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context as _, Result, bail};
use serde_json::Value;

use crate::command;

/// The crate that is compiled for the eBPF target only.
pub(crate) const EBPF_PACKAGE: &str = "proxy-ebpf";
/// The package of the eBPF programs that the benchmark compares with, for the same target.
pub(crate) const BENCH_PACKAGE: &str = "bench-ebpf";

/// Returns the workspace's folder.
pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("xtask is a folder of the workspace")
}

/// Returns a command for the cargo that runs this program, in the workspace's folder. The variables that describe this package are
/// removed: ring's build script reads some of them, and with them a command that a developer types would compile ring and all that
/// depends on it again.
pub(crate) fn command() -> Command {
    let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(root());
    for (name, _) in env::vars_os().filter(|(name, _)| name.to_str().is_some_and(describes_package)) {
        command.env_remove(name);
    }
    command
}

/// True for a variable that `cargo run` sets for the program's package.
fn describes_package(name: &str) -> bool {
    ["CARGO_PKG_", "CARGO_MANIFEST_"].iter().any(|prefix| name.starts_with(prefix))
}

/// Returns the output of `cargo metadata` for the packages that are built on this host.
pub(crate) fn metadata() -> Result<Value> {
    metadata_for(&host()?)
}

/// Returns the output of `cargo metadata` for the packages that are built for a target.
pub(crate) fn metadata_for(target: &str) -> Result<Value> {
    let mut command = command();
    command.args(["metadata", "--format-version=1", "--filter-platform", target]);
    command::announce(&command);
    let output = command.stderr(Stdio::inherit()).output().context("start cargo metadata")?;
    if !output.status.success() {
        bail!("cargo metadata failed: {}", output.status);
    }
    serde_json::from_slice(&output.stdout).context("read the output of cargo metadata")
}

/// Returns the host's target triple.
pub(crate) fn host() -> Result<String> {
    let output = command::output(Command::new("rustc").arg("-vV"))?;
    String::from_utf8_lossy(&output.stdout)
        .lines()
        .find_map(|line| Some(line.strip_prefix("host: ")?.to_owned()))
        .context("`rustc -vV` names no host")
}

/// The profile that programs are compiled with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Profile {
    Dev,
    Release,
}

/// Returns a cargo command over all packages for this host. All commands name the same packages, and choose targets among
/// them: cargo unifies the features of the named packages, so a command that named fewer would recompile dependencies.
pub(crate) fn workspace(subcommand: &str) -> Command {
    let mut command = command();
    command.args([subcommand, "--workspace", "--exclude", EBPF_PACKAGE, "--exclude", BENCH_PACKAGE]);
    command
}

/// Builds binaries and returns their paths, in the same order.
pub(crate) fn build_binaries(profile: Profile, names: &[&str]) -> Result<Vec<PathBuf>> {
    let mut command = workspace("build");
    command.args(names.iter().flat_map(|name| ["--bin", name]));
    if profile == Profile::Release {
        command.arg("--release");
    }
    Ok(built(command, names)?.into_iter().map(|(_, path)| path).collect())
}

/// Builds test executables and returns their names and paths.
pub(crate) fn build_tests<'a>(targets: impl Iterator<Item = &'a str>) -> Result<Vec<(String, PathBuf)>> {
    let names: Vec<_> = targets.collect();
    let mut command = workspace("test");
    command.arg("--no-run");
    command.args(names.iter().flat_map(|name| ["--test", name]));
    built(command, &names)
}

/// Runs a cargo command that builds the executables `names`, and returns their names and paths. Prints the command unless
/// it has `--quiet`.
pub(crate) fn built(mut command: Command, names: &[&str]) -> Result<Vec<(String, PathBuf)>> {
    if !command.get_args().any(|argument| argument == "--quiet") {
        command::announce(&command);
    }
    // Cargo shows its progress on stderr.
    command.arg("--message-format=json-render-diagnostics").stderr(Stdio::inherit());
    let output = command.output().context("start cargo")?;
    if !output.status.success() {
        bail!("building {} failed: {}", names.join(", "), output.status);
    }
    let messages = String::from_utf8_lossy(&output.stdout);
    let find = |name: &&str| {
        let path = executable(&messages, name).with_context(|| format!("cargo built no executable named {name}"))?;
        Ok(((*name).to_owned(), path))
    };
    names.iter().map(find).collect()
}

/// Returns the path of the executable `name` in cargo's messages, which are one JSON object per line.
fn executable(messages: &str, name: &str) -> Option<PathBuf> {
    messages.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok()).find_map(|message| {
        let path = message["executable"].as_str()?;
        (message["target"]["name"] == name).then(|| path.into())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_executable_is_found_among_cargos_messages() {
        let messages = concat!(
            r#"{"reason":"compiler-artifact","target":{"name":"waggle"},"executable":null}"#,
            "\nnot json\n",
            r#"{"reason":"compiler-artifact","target":{"name":"other"},"executable":"/t/other"}"#,
            "\n",
            r#"{"reason":"compiler-artifact","target":{"name":"waggle"},"executable":"/t/waggle"}"#,
        );
        assert_eq!(executable(messages, "waggle"), Some("/t/waggle".into()));
        assert_eq!(executable(messages, "absent"), None);
    }
}
