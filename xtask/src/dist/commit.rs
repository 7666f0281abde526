//! The commit that is released: whether the working tree is that commit, and what is left to do before it is published.

use std::{fs, process::Command};

use anyhow::{Context as _, Result, bail};

use crate::{cargo, command};

/// Fails if the working tree differs from the commit, and names the files.
pub(super) fn refuse_changes() -> Result<()> {
    let changes = git(&["status", "--porcelain"])?;
    if !changes.is_empty() {
        bail!(
            "make a release of the commit: there are changes that are not committed (commit them, or try them with --dirty):\n\
             {changes}"
        );
    }
    Ok(())
}

/// What keeps the files from being published.
pub(super) fn warnings(version: &str, is_dirty: bool) -> Result<Vec<String>> {
    let changelog = fs::read_to_string(cargo::root().join("CHANGELOG.md")).context("read CHANGELOG.md")?;
    let dirty = "these files are of the working tree, so they are no release".to_owned();
    let undated =
        format!("CHANGELOG.md has no date for {version}: write one, and commit it, before you publish these files");
    let warnings = [(is_dirty, dirty), (!is_dated(&changelog, version), undated)];
    Ok(warnings.into_iter().filter(|(is_so, _)| *is_so).map(|(_, warning)| warning).collect())
}

/// True if the changelog's heading of a version ends with a date.
fn is_dated(changelog: &str, version: &str) -> bool {
    let heading = format!("## [{version}] - ");
    let mut dates = changelog.lines().filter_map(|line| line.strip_prefix(&heading));
    dates.any(|date| date.starts_with(|letter: char| letter.is_ascii_digit()))
}

/// Runs git in the workspace, and returns what it prints. Times are in UTC.
pub(super) fn git(arguments: &[&str]) -> Result<String> {
    let output = command::output(Command::new("git").current_dir(cargo::root()).env("TZ", "UTC").args(arguments))?;
    if !output.status.success() {
        bail!("`git {}` failed: {}", arguments.join(" "), String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(String::from_utf8_lossy(&output.stdout).trim_end().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_without_a_date_is_noticed() {
        let changelog = "# Changelog\n\n## [0.2.0] - unreleased\n\n## [0.1.0] - 2026-01-01\n";
        assert!(is_dated(changelog, "0.1.0"));
        assert!(!is_dated(changelog, "0.2.0"));
        assert!(!is_dated(changelog, "0.3.0"));
    }
}
