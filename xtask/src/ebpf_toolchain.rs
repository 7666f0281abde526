//! Finds the toolchain for the eBPF programs. Only looks at files and installs nothing. Build scripts include this file,
//! too, so that they agree with xtask.

use std::{
    env, fs,
    path::{Path, PathBuf},
};

/// The name under which Debian's compiler in /usr is linked as a rustup toolchain.
pub(crate) const DEBIAN_LINK: &str = "waggle-ebpf";

/// A compiler that can build for `bpfel-unknown-none`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum EbpfToolchain {
    /// Debian's rustc-web with its ready-made `core`, linked as [`DEBIAN_LINK`].
    Debian,
    /// rustup's nightly, which builds `core` from the component rust-src.
    Nightly,
}

/// Returns the toolchain to use, if one is installed. Debian's is preferred because it needs no nightly compiler.
pub(crate) fn find() -> Option<EbpfToolchain> {
    let toolchains = rustup_home()?.join("toolchains");
    if debian_core_present() && toolchains.join(DEBIAN_LINK).join("bin/cargo").exists() {
        return Some(EbpfToolchain::Debian);
    }
    let nightly = fs::read_dir(toolchains).ok()?.flatten().any(|toolchain| {
        is_nightly(&toolchain.file_name().to_string_lossy())
            && toolchain.path().join("lib/rustlib/src/rust/library/core").exists()
    });
    nightly.then_some(EbpfToolchain::Nightly)
}

/// True if Debian's `core` for the eBPF target is installed.
fn debian_core_present() -> bool {
    Path::new("/usr/lib/rustlib/bpfel-unknown-none/lib").exists()
}

/// True for `nightly-x86_64-…`, but not for a dated nightly, which `rustup run nightly` doesn't use.
fn is_nightly(name: &str) -> bool {
    name.strip_prefix("nightly-").is_some_and(|host| !host.starts_with(|c: char| c.is_ascii_digit()))
}

/// Returns the folder where cargo installs programs. `PATH` may lack it although cargo runs.
pub(crate) fn cargo_bin() -> Option<PathBuf> {
    home("CARGO_HOME", ".cargo").map(|home| home.join("bin"))
}

/// Returns the path of the lock that is held while the toolchain is being installed. `root` is the workspace's folder.
pub(crate) fn setup_lock(root: &Path) -> PathBuf {
    root.join("target/setup.lock")
}

fn rustup_home() -> Option<PathBuf> {
    home("RUSTUP_HOME", ".rustup")
}

fn home(variable: &str, folder: &str) -> Option<PathBuf> {
    env::var_os(variable).map(PathBuf::from).or_else(|| Some(env::home_dir()?.join(folder)))
}

/// Finds a program in `PATH`, in cargo's folder, or in the system's folders for administrators.
pub(crate) fn find_program(name: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let others = cargo_bin().into_iter().chain(["/usr/sbin".into(), "/sbin".into()]);
    env::split_paths(&path).chain(others).map(|folder| folder.join(name)).find(|program| program.is_file())
}
