//! `cargo xtask dist`: makes a release in `target/dist`: the program, an SBOM, an OCI image, a Debian package, the Helm chart, the
//! manifests, and their checksums. A commit always makes the same files, whatever the folder is.

mod again;
mod build;
mod check;
mod commit;
mod debian;
mod image;
mod packages;
mod page;
mod sbom;

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, ExitCode, Stdio},
};

use anyhow::{Context as _, Result, bail};
use clap::Args;
use commit::git;

use crate::{
    cargo, command,
    setup::{self, Purpose},
};

/// The most bytes that the image may have.
const IMAGE_LIMIT: u64 = 25 << 20;

/// The file with the checksums, as sha256sum(1) reads it.
const SUMS: &str = "SHA256SUMS";

/// How a release is checked.
#[derive(Args)]
pub(crate) struct Arguments {
    /// Install the Debian package in a clean Debian, and start the agent there
    #[arg(long)]
    check: bool,
    /// Build the commit once more in another folder, and compare the files
    #[arg(long)]
    again: bool,
    /// Take changes that are not committed, for a try: into target/dist-dirty, since that is no release
    #[arg(long, conflicts_with = "again")]
    dirty: bool,
}

/// Runs the command.
pub(crate) fn command(arguments: &Arguments) -> Result<ExitCode> {
    let folder = if arguments.dirty { "target/dist-dirty" } else { "target/dist" };
    if !arguments.dirty {
        commit::refuse_changes()?;
    }
    setup::ensure(&[Purpose::Build, Purpose::Dist])?;
    let release = Release::new(cargo::root().join(folder))?;
    release.make()?;
    if arguments.again {
        again::compare(&release)?;
    }
    if arguments.check {
        check::run(&release)?;
    }
    for warning in commit::warnings(&release.version, arguments.dirty)? {
        println!("warning: {warning}");
    }
    Ok(ExitCode::SUCCESS)
}

/// The release of a commit.
struct Release {
    /// The version of the workspace.
    version: String,
    /// The time of the commit in seconds since 1970, which all files of the release get (SOURCE_DATE_EPOCH).
    epoch: String,
    /// The folder of its files.
    folder: PathBuf,
}

impl Release {
    fn new(folder: PathBuf) -> Result<Self> {
        let version = env!("CARGO_PKG_VERSION").to_owned();
        Ok(Self { version, epoch: git(&["log", "-1", "--format=%ct"])?, folder })
    }

    /// Makes all files.
    fn make(&self) -> Result<()> {
        if self.folder.exists() {
            fs::remove_dir_all(&self.folder).with_context(|| format!("remove {}", self.folder.display()))?;
        }
        fs::create_dir_all(&self.folder).with_context(|| format!("create {}", self.folder.display()))?;
        let [chart, manifests] = packages::write(self)?;
        let program = build::program(self)?;
        let copy = self.file(&format!("waggle-{}-{}", self.version, build::TARGET));
        fs::copy(&program, &copy).with_context(|| format!("copy {}", program.display()))?;
        let image = self.file(&format!("waggle-{}.oci.tar", self.version));
        let files = [
            copy,
            sbom::write(self, &self.file(&format!("waggle-{}.cdx.json", self.version)))?,
            image::write(self, &program, &image)?,
            debian::write(self)?,
            chart,
            manifests,
        ];
        self.sum(&files)?;
        for file in &files {
            println!("{:>8.1} MiB  {}", mebibytes(size(file)?), name(file));
        }
        println!("in {}, with {SUMS}", self.folder.display());
        let bytes = size(&image)?;
        if bytes > IMAGE_LIMIT {
            bail!("the image has {:.1} MiB, more than {:.0}", mebibytes(bytes), mebibytes(IMAGE_LIMIT));
        }
        Ok(())
    }

    /// Returns the path of a file of the release.
    fn file(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// Writes the checksums.
    fn sum(&self, files: &[PathBuf]) -> Result<()> {
        let mut sums = Command::new("sha256sum");
        sums.current_dir(&self.folder).args(files.iter().map(|file| name(file)));
        command::announce(&sums);
        let output = sums.stderr(Stdio::inherit()).output().context("start sha256sum")?;
        if !output.status.success() {
            bail!("sha256sum failed: {}", output.status);
        }
        fs::write(self.file(SUMS), output.stdout).with_context(|| format!("write {SUMS}"))
    }
}

fn name(file: &Path) -> String {
    file.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

fn size(file: &Path) -> Result<u64> {
    Ok(fs::metadata(file).with_context(|| format!("look at {}", file.display()))?.len())
}

#[expect(clippy::cast_precision_loss, reason = "files of a release are small")]
fn mebibytes(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}
