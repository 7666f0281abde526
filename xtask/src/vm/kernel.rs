//! Downloads Debian's kernels and unpacks them below `target/vm`. The host's own kernel and boot menu are not changed.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result, bail};

use crate::{command, ebpf_toolchain::find_program, setup::apt};

/// A kernel series, and the Debian package that always depends on its newest kernel.
pub(super) struct Series {
    pub(super) name: &'static str,
    package: &'static str,
}

/// The oldest supported kernel series, and one between it and the current one.
pub(super) const SERIES: [Series; 2] =
    [Series { name: "6.1", package: "linux-image-amd64" }, Series { name: "6.12", package: "linux-image-6.12-amd64" }];

/// An unpacked kernel.
pub(super) struct Kernel {
    /// The release, as in `uname -r`.
    pub(super) release: String,
    /// The file that is booted.
    pub(super) image: PathBuf,
    /// The folder with its `modules.dep`.
    pub(super) modules: PathBuf,
}

impl Kernel {
    /// Returns the kernel that an earlier run unpacked in `folder`; otherwise downloads and unpacks Debian's newest of the series.
    pub(super) fn prepare(series: &Series, folder: &Path) -> Result<Self> {
        let root = folder.join("kernel");
        if !root.exists() {
            fs::create_dir_all(folder).with_context(|| format!("create {}", folder.display()))?;
            unpack(&download(series, folder)?, &root)?;
        }
        let entries = fs::read_dir(root.join("lib/modules")).context("read the unpacked kernel's modules")?;
        let folders = entries.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>>>()?;
        let [modules] = folders.try_into().ok().context("find one kernel release below lib/modules")?;
        let release = modules.file_name().unwrap_or_default().to_string_lossy().into_owned();
        Ok(Self { image: root.join("boot").join(format!("vmlinuz-{release}")), modules, release })
    }
}

/// Downloads the package of a series and returns the path of the file.
fn download(series: &Series, folder: &Path) -> Result<PathBuf> {
    if env::consts::ARCH != "x86_64" || find_program("apt-get").is_none() {
        bail!("get kernel {}: Debian's packages for x86_64 are used; run this there", series.name);
    }
    try_download(series, folder).or_else(|error| {
        println!("{error:#}; trying again with apt's newest lists");
        apt::update()?;
        try_download(series, folder)
    })
}

fn try_download(series: &Series, folder: &Path) -> Result<PathBuf> {
    let output = command::output(Command::new("apt-cache").args(["depends", series.package]))?;
    let package = image_package(&String::from_utf8_lossy(&output.stdout), series.name).with_context(|| {
        format!("find kernel {}: apt's package {} does not lead to one (Debian 12's does)", series.name, series.package)
    })?;
    command::run(Command::new("apt-get").current_dir(folder).args(["download", "-q", &package]))?;
    let files = fs::read_dir(folder)?.flatten().map(|entry| entry.path());
    let beginning = format!("{package}_");
    let file = files.filter(|path| path.extension().is_some_and(|extension| extension == "deb"));
    let name = |path: &PathBuf| path.file_name().unwrap_or_default().to_string_lossy().starts_with(&beginning);
    file.into_iter().find(name).with_context(|| format!("find the downloaded {package}"))
}

/// Returns the kernel package in the output of `apt-cache depends`.
fn image_package(depends: &str, series: &str) -> Option<String> {
    let packages = depends.lines().filter_map(|line| line.trim().strip_prefix("Depends: "));
    let mut images = packages.filter(|package| package.starts_with(&format!("linux-image-{series}.")));
    images.next().map(str::to_owned)
}

/// Unpacks a package into `root`, which appears only when it is complete.
fn unpack(package: &Path, root: &Path) -> Result<()> {
    let unfinished = root.with_extension("unfinished");
    if unfinished.exists() {
        fs::remove_dir_all(&unfinished).with_context(|| format!("remove {}", unfinished.display()))?;
    }
    command::run(Command::new("dpkg-deb").arg("-x").args([package, &unfinished]))?;
    let releases = fs::read_dir(unfinished.join("lib/modules")).context("find the kernel's modules in its package")?;
    for release in releases {
        let depmod = find_program("depmod").context("depmod is not installed: run `cargo xtask vm` as root")?;
        command::run(Command::new(depmod).arg("-b").arg(&unfinished).arg(release?.file_name()))?;
    }
    fs::remove_file(package).with_context(|| format!("remove {}", package.display()))?;
    fs::rename(&unfinished, root).with_context(|| format!("rename {}", unfinished.display()))
}

#[cfg(test)]
mod tests {
    use super::image_package;

    #[test]
    fn the_series_package_leads_to_the_newest_kernel() {
        let depends = "linux-image-amd64\n  Depends: linux-image-6.1.0-56-amd64\n    x\n";
        assert_eq!(image_package(depends, "6.1"), Some("linux-image-6.1.0-56-amd64".into()));
        assert_eq!(image_package(depends, "6.12"), None);
        let depends = "linux-image-6.12-amd64\n  Depends: linux-image-6.12.117+deb12-amd64\n";
        assert_eq!(image_package(depends, "6.1"), None, "a series is not the beginning of another");
    }
}
