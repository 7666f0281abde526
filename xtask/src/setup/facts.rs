//! Finds out what the machine has. Changes nothing.

use std::{path::PathBuf, process::Command};

use anyhow::Result;

use super::{
    Purpose, apt,
    packages::{CLIPPY, COMPILER, LINKER, PROGRAMS, Package, Program},
};
use crate::{
    command,
    ebpf_toolchain::{self, EbpfToolchain, find_program},
    machine,
};

/// The findings, as far as the purposes need them.
#[derive(Clone, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is one independent observation")]
pub(crate) struct Facts {
    /// Whether the user is root and may install packages.
    pub(crate) root: bool,
    /// Whether apt-get and dpkg-query are installed.
    pub(crate) apt: bool,
    /// Whether apt's lists have all of Debian's compiler and LLVM packages.
    pub(crate) offered: bool,
    pub(crate) rustup: bool,
    pub(crate) toolchain: Option<EbpfToolchain>,
    /// Whether bpf-linker is installed and starts.
    pub(crate) linker: bool,
    /// Debian's compiler packages that are not installed.
    pub(crate) compiler_packages: Vec<Package>,
    /// Debian's LLVM packages that are not installed.
    pub(crate) linker_packages: Vec<Package>,
    /// Whether clippy for the eBPF programs is installed, or not needed.
    pub(crate) ebpf_clippy: bool,
    /// Programs that are not installed.
    pub(crate) programs: Vec<Program>,
    /// Components that the toolchain in use lacks.
    pub(crate) components: Vec<&'static str>,
}

impl Facts {
    /// Gathers the facts that `purposes` need.
    pub(crate) fn gather(purposes: &[Purpose]) -> Result<Self> {
        let lint = purposes.contains(&Purpose::Lint);
        let apt = find_program("apt-get").is_some() && find_program("dpkg-query").is_some();
        let toolchain = ebpf_toolchain::find();
        let linker =
            find_program("bpf-linker").is_some_and(|path| command::succeeds(Command::new(path).arg("--version")));
        // Querying apt takes a moment, so it is only done if the result matters.
        let ask = apt && (toolchain.is_none() || !linker);
        let wanted = |program: &Program| purposes.contains(&program.purpose) && find_program(program.name).is_none();
        Ok(Self {
            root: machine::is_root()?,
            apt,
            offered: ask && COMPILER.iter().chain(&LINKER).all(|package| apt::offers(package.name)),
            rustup: find_program("rustup").is_some(),
            toolchain,
            linker,
            compiler_packages: if ask { apt::not_installed(&COMPILER)? } else { Vec::new() },
            linker_packages: if ask { apt::not_installed(&LINKER)? } else { Vec::new() },
            ebpf_clippy: !lint || has_ebpf_clippy(toolchain),
            programs: PROGRAMS.into_iter().filter(wanted).collect(),
            components: if lint { missing_components() } else { Vec::new() },
        })
    }

    /// True if apt's lists should be fetched: something is missing that they do not have.
    pub(crate) fn wants_fresh_lists(&self) -> bool {
        let packages = self.toolchain.is_none() || !self.programs.is_empty() || !self.ebpf_clippy;
        let known = (self.toolchain.is_some() || self.offered)
            && self.programs.iter().all(|program| apt::offers(program.package.name))
            && (self.ebpf_clippy || apt::offers(CLIPPY.name));
        self.root && self.apt && packages && !known
    }
}

fn has_ebpf_clippy(toolchain: Option<EbpfToolchain>) -> bool {
    match toolchain {
        // Without a toolchain, only Debian's clippy may have to be installed: nightly includes one.
        Some(EbpfToolchain::Debian) | None => PathBuf::from("/usr/bin/clippy-driver").is_file(),
        Some(EbpfToolchain::Nightly) => {
            command::succeeds(Command::new("rustup").args(["run", "nightly", "clippy-driver", "--version"]))
        }
    }
}

/// Returns the components that the toolchain in use lacks: it may have fewer than rustup's default profile.
fn missing_components() -> Vec<&'static str> {
    let present = |program: &str| command::succeeds(Command::new(program).arg("--version"));
    let components = [("clippy", "cargo-clippy"), ("rustfmt", "cargo-fmt")];
    components.into_iter().filter(|(_, program)| !present(program)).map(|(component, _)| component).collect()
}
