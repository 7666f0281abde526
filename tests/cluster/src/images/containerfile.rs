//! Waggle's image as users build it: from `deploy/Containerfile`, on base images of registries.

use std::{
    fs, io,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result, bail};

use crate::{command::output, folders};

/// Builds the image with buildah, which shows its progress, and returns the path of the archive.
pub fn build(name: &str, tag: &str) -> Result<PathBuf> {
    let (root, image) = (folders::source().join("../.."), format!("{name}:{tag}"));
    let mut build = Command::new("buildah");
    build.args(["build", "--file", "deploy/Containerfile", "--tag", &image, "."]).current_dir(&root);
    println!("$ buildah build --file deploy/Containerfile --tag {image} .");
    let status = match build.status() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            bail!("--containerfile needs buildah: `apt-get install buildah`")
        }
        status => status.context("start buildah")?,
    };
    if !status.success() {
        bail!(
            "buildah has not built deploy/Containerfile: its base images come from registries; without --containerfile the \
             image is made from files of this machine"
        );
    }
    export(&image, tag)
}

/// The image as an archive in OCI's layout.
fn export(image: &str, tag: &str) -> Result<PathBuf> {
    let folder = folders::cache().join("images");
    fs::create_dir_all(&folder).with_context(|| format!("create {}", folder.display()))?;
    let archive = folder.join("waggle-containerfile.tar");
    remove(&archive)?;
    output(Command::new("buildah").args(["push", image, &format!("oci-archive:{}:{tag}", archive.display())]))?;
    Ok(archive)
}

fn remove(path: &Path) -> Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("remove {}", path.display()))
        }
        _ => Ok(()),
    }
}
