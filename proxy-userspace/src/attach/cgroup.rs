//! The socket hooks: nine programs on one cgroup, each with a pinned link.

use std::{
    fs::{self, File},
    os::{fd::AsFd as _, unix::fs::MetadataExt as _},
    path::Path,
};

use aya::Ebpf;
use tracing::{debug, info};

use super::{AttachError, link::Place, program};
use crate::{maps::PinFolder, node::bpf};

/// The programs by their names in the eBPF object, and the kernel's numbers of their hooks (`bpf_attach_type`), in the
/// order in which they are attached and replaced: what removes a socket's entry, and what lets replies through, is there
/// before what makes entries and asks.
const PROGRAMS: [(&str, u32); 9] = [
    ("sock_release", 34),
    ("recvmsg4", 19),
    ("recvmsg6", 20),
    ("getpeername4", 29),
    ("getpeername6", 30),
    ("connect4", 10),
    ("connect6", 11),
    ("sendmsg4", 14),
    ("sendmsg6", 15),
];

/// Whether a program translates what a client asks. The others serve those that have asked.
pub fn translates(name: &str) -> bool {
    name.starts_with("connect") || name.starts_with("sendmsg")
}

/// The names of the programs.
pub(super) fn names() -> impl Iterator<Item = &'static str> {
    PROGRAMS.into_iter().map(|(name, _)| name)
}

/// Puts every program, loaded before, on the hooks of `cgroup`; they stay there after the agent has gone.
pub fn attach(ebpf: &Ebpf, folder: &PinFolder, cgroup: &Path) -> Result<(), AttachError> {
    let error = |source| AttachError::Cgroup { path: cgroup.into(), source };
    let file = File::open(cgroup).map_err(error)?;
    let target = bpf::raw_fd(&file).map_err(error)?;
    let inode = fs::metadata(cgroup).map_err(error)?.ino();
    let shown = format!("cgroup {}", cgroup.display());
    for (name, attach_type) in PROGRAMS {
        let pin = folder.links().join(name);
        let (flags, program) = (0, program(ebpf, name)?.as_fd());
        let place = Place { name, program, target, shown: &shown, attach_type, flags, pin: &pin };
        let put = place.put(|link| link.cgroup() == inode)?;
        debug!(name, ?put, "socket hook");
    }
    info!(cgroup = %cgroup.display(), "socket hooks in place");
    Ok(())
}
