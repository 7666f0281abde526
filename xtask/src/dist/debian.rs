//! Makes the Debian package of a release: the program, the systemd unit, completions, and the examples.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result};

use super::{
    Release,
    build::TARGET,
    page::{self, Place},
};
use crate::{cargo, command, markdown::Page};

/// Files of the repository, and their places in the package.
const FILES: [Place; 2] = [
    ("deploy/systemd/waggle.service", "usr/lib/systemd/system/waggle.service"),
    ("xtask/src/dist/package/copyright", "usr/share/doc/waggle/copyright"),
];

/// The page about machines without a cluster, and its place in the package, which the unit names.
const PAGE: Place = ("docs/standalone.md", "usr/share/doc/waggle/standalone.md");

/// The scripts that dpkg runs.
const SCRIPTS: [&str; 3] = ["postinst", "prerm", "postrm"];

/// The folder with the examples, and its place in the package.
const EXAMPLES: Place = ("deploy/standalone", "usr/share/doc/waggle/examples");

/// Shells, and the places where they look for completions.
const COMPLETIONS: [(&str, &str); 3] = [
    ("bash", "usr/share/bash-completion/completions/waggle"),
    ("zsh", "usr/share/zsh/vendor-completions/_waggle"),
    ("fish", "usr/share/fish/vendor_completions.d/waggle.fish"),
];

/// Makes the package and returns its path.
pub(super) fn write(release: &Release) -> Result<PathBuf> {
    let root = cargo::root().join("target/dist-debian");
    if root.exists() {
        fs::remove_dir_all(&root).with_context(|| format!("remove {}", root.display()))?;
    }
    let program = release.file(&format!("waggle-{}-{TARGET}", release.version));
    put(&program, &root.join("usr/bin/waggle"), 0o755)?;
    for (from, to) in FILES {
        put(&cargo::root().join(from), &root.join(to), 0o644)?;
    }
    for script in SCRIPTS {
        put(&cargo::root().join("xtask/src/dist/package").join(script), &root.join("DEBIAN").join(script), 0o755)?;
    }
    write_file(&root.join(PAGE.1), page()?.as_bytes())?;
    put_folder(&cargo::root().join(EXAMPLES.0), &root.join(EXAMPLES.1))?;
    for (shell, to) in COMPLETIONS {
        let output = command::output(Command::new(&program).args(["completion", shell]))?;
        write_file(&root.join(to), &output.stdout)?;
    }
    write_file(&root.join("DEBIAN/control"), control(&release.version).as_bytes())?;
    let package = release.file(&format!("waggle_{}_amd64.deb", release.version));
    let mut build = Command::new("dpkg-deb");
    // With several threads, the compressed file would depend on their number.
    build.args(["--build", "--root-owner-group", "-Zxz", "--threads-max=1"]).args([&root, &package]);
    command::run(build.env("SOURCE_DATE_EPOCH", &release.epoch))?;
    Ok(package)
}

/// The text of [`PAGE`].
fn page() -> Result<String> {
    let path = cargo::root().join(PAGE.0);
    let text = fs::read_to_string(&path).with_context(|| format!("read {}", path.display()))?;
    Ok(page::of_package(&Page { path: PAGE.0.to_owned(), text }, EXAMPLES, &FILES))
}

fn control(version: &str) -> String {
    format!(
        "Package: waggle\nVersion: {version}\nArchitecture: amd64\nMaintainer: The Waggle authors\nSection: net\n\
         Priority: optional\nDescription: service proxy in eBPF\n \
         Connects whatever dials a Service to one of its backends, from a folder of\n \
         Kubernetes manifests or from an API server. It needs Linux 6.1 or later.\n"
    )
}

fn put(from: &Path, to: &Path, mode: u32) -> Result<()> {
    let content = fs::read(from).with_context(|| format!("read {}", from.display()))?;
    write_file(to, &content)?;
    fs::set_permissions(to, fs::Permissions::from_mode(mode))
        .with_context(|| format!("set the mode of {}", to.display()))
}

fn put_folder(from: &Path, to: &Path) -> Result<()> {
    for entry in fs::read_dir(from).with_context(|| format!("read {}", from.display()))? {
        let entry = entry?;
        let (from, to) = (entry.path(), to.join(entry.file_name()));
        if from.is_dir() { put_folder(&from, &to)? } else { put(&from, &to, 0o644)? }
    }
    Ok(())
}

/// Writes a file, and makes the folders above it.
fn write_file(path: &Path, content: &[u8]) -> Result<()> {
    let folder = path.parent().context("a file has a folder")?;
    fs::create_dir_all(folder).with_context(|| format!("create {}", folder.display()))?;
    fs::write(path, content).with_context(|| format!("write {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_link_of_the_shipped_page_leads_into_the_package() {
        let page = Page { path: PAGE.0.to_owned(), text: page().unwrap() };
        for link in page.links() {
            let example = link.target.strip_prefix("examples");
            let is_there = example.is_some_and(|rest| cargo::root().join(format!("{}{rest}", EXAMPLES.0)).exists());
            assert!(is_there || link.target.starts_with('#'), "{link:?}");
        }
        assert!(!page.text.contains(EXAMPLES.0), "{}", page.text);
        let unit = fs::read_to_string(cargo::root().join(FILES[0].0)).unwrap();
        assert!(unit.lines().any(|line| line == format!("Documentation=file:///{}", PAGE.1)), "{unit}");
    }
}
