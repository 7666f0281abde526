//! Debian's package tools: finds out which packages are installed and available, and installs packages without questions.

use std::process::Command;

use anyhow::{Result, bail};

use super::packages::Package;
use crate::command;

/// Options to wait for another apt instead of failing, since fresh machines often run one at boot, and to retry downloads.
const OPTIONS: [&str; 4] = ["-o", "DPkg::Lock::Timeout=300", "-o", "Acquire::Retries=3"];

/// Fetches the lists of packages.
pub(crate) fn update() -> Result<()> {
    command::run(apt_get().arg("update"))
}

/// Installs `packages`. If the lists are missing or older than the mirror, fetches them and tries again.
pub(crate) fn install(packages: &[Package]) -> Result<()> {
    let mut command = apt_get();
    command.args(["install", "-y", "-q", "--no-install-recommends"]).args(packages.iter().map(|package| package.name));
    command::announce(&command);
    let output = command::output(&mut command)?;
    print!("{}", String::from_utf8_lossy(&output.stdout));
    if output.status.success() {
        return Ok(());
    }
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    eprint!("{errors}");
    if !lists_are_stale(&errors) {
        bail!("apt-get could not install the packages: {}", output.status);
    }
    update()?;
    command::run(&mut command)
}

fn apt_get() -> Command {
    let mut command = Command::new("apt-get");
    command.env("DEBIAN_FRONTEND", "noninteractive").args(OPTIONS);
    command
}

/// True if apt failed because its lists are stale: it does not know a package, or the mirror has replaced a file.
fn lists_are_stale(errors: &str) -> bool {
    ["Unable to locate package", "has no installation candidate", "404  Not Found", "Unable to fetch some archives"]
        .iter()
        .any(|sign| errors.contains(sign))
}

/// True if apt's lists have the package.
pub(crate) fn offers(package: &str) -> bool {
    command::output(Command::new("apt-cache").args(["policy", package]))
        .is_ok_and(|output| has_candidate(&String::from_utf8_lossy(&output.stdout)))
}

/// True if the output of `apt-cache policy` has a candidate. It is empty for an unknown name, and has `Candidate: (none)` for a
/// name that other packages only refer to.
fn has_candidate(policy: &str) -> bool {
    policy
        .lines()
        .filter_map(|line| line.trim().strip_prefix("Candidate:"))
        .any(|candidate| candidate.trim() != "(none)")
}

/// Returns the packages among `packages` that are not installed.
pub(crate) fn not_installed(packages: &[Package]) -> Result<Vec<Package>> {
    let mut command = Command::new("dpkg-query");
    command.args(["-W", "-f", "${Package} ${db:Status-Status}\n"]).args(packages.iter().map(|package| package.name));
    // dpkg-query's exit code is 1 if it does not know a name, which is no error here.
    let output = command::output(&mut command)?;
    Ok(missing(packages, &String::from_utf8_lossy(&output.stdout)))
}

fn missing(packages: &[Package], listing: &str) -> Vec<Package> {
    let installed = |name: &str| listing.lines().any(|line| line.split_once(' ') == Some((name, "installed")));
    packages.iter().copied().filter(|package| !installed(package.name)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::setup::packages::COMPILER;

    #[test]
    fn an_unknown_package_asks_for_fresh_lists() {
        assert!(lists_are_stale("E: Unable to locate package rustc-web\n"));
        assert!(lists_are_stale("E: Failed to fetch http://x/y.deb  404  Not Found [IP: ::1 80]"));
        assert!(!lists_are_stale("E: You don't have enough free space in /var/cache/apt/archives/."));
    }

    #[test]
    fn a_package_without_candidate_is_not_offered() {
        assert!(has_candidate("rustc-web:\n  Installed: (none)\n  Candidate: 1.96.0\n"));
        assert!(!has_candidate("rustc-web:\n  Installed: (none)\n  Candidate: (none)\n"));
        assert!(!has_candidate(""));
    }

    #[test]
    fn removed_packages_count_as_missing() {
        let listing = "rustc-web installed\ncargo-web config-files\n";
        let names: Vec<_> = missing(&COMPILER, listing).iter().map(|package| package.name).collect();
        assert_eq!(names, ["cargo-web", "libstd-rust-web-dev-bpf"]);
    }
}
