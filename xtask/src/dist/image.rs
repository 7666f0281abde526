//! Makes the OCI image of a release, by the code that makes the images of `cargo xtask cluster`.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::Result;

use super::Release;
use crate::{cluster, command};

/// Writes the image with `program` as an archive in OCI's layout, and returns its path.
pub(super) fn write(release: &Release, program: &Path, archive: &Path) -> Result<PathBuf> {
    let mut image = Command::new(cluster::build()?);
    image.arg("image").arg(archive).env("WAGGLE_BIN", program).env("SOURCE_DATE_EPOCH", &release.epoch);
    command::run(&mut image)?;
    Ok(archive.to_owned())
}
