//! mdbook: the one of the machine, or one that is compiled into `target/mdbook`.

use std::path::PathBuf;

use anyhow::{Context as _, Result};

use crate::{cargo, command, ebpf_toolchain::find_program};

/// The version on crates.io that is compiled if there is none.
const VERSION: &str = "0.5.4";

/// Returns mdbook's path, if it is there.
pub(super) fn find() -> Option<PathBuf> {
    find_program("mdbook").or_else(|| Some(own()).filter(|program| program.is_file()))
}

/// Returns mdbook's path, and compiles it before if there is none.
pub(super) fn ensure() -> Result<PathBuf> {
    if let Some(found) = find() {
        return Ok(found);
    }
    let mut install = cargo::command();
    // Without optimisations, since making this book takes a moment, and compiling takes minutes. Without a server and a search.
    install.args(["install", "mdbook", "--version", VERSION, "--locked", "--debug", "--no-default-features", "--root"]);
    install.arg(folder());
    // Cargo passes this project's RUSTC_BOOTSTRAP to xtask; it must not apply to other projects.
    command::run(install.env_remove("RUSTC_BOOTSTRAP")).with_context(|| format!("install mdbook {VERSION}"))?;
    Ok(own())
}

fn folder() -> PathBuf {
    cargo::root().join("target/mdbook")
}

fn own() -> PathBuf {
    folder().join("bin/mdbook")
}
