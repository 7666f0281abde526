//! Attaches the socket hooks: nine programs on one cgroup, each with a pinned link.

use std::{
    fs::{self, File},
    os::{fd::AsFd as _, unix::fs::MetadataExt as _},
    path::Path,
};

use aya::Ebpf;
use tracing::debug;

use super::{AttachError, beside::Beside, link::Attachment, program};
use crate::{maps::PinFolder, node::bpf};

/// The programs by their names in the eBPF object with the kernel's `bpf_attach_type` of their hooks, in the order in
/// which they are attached and replaced. The programs that remove entries and translate replies come first, so that
/// they are there before the first entry is made.
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

/// Whether a program translates what a client asks for. The other programs serve sockets that were translated before.
pub fn translates(name: &str) -> bool {
    name.starts_with("connect") || name.starts_with("sendmsg")
}

/// The names of the programs.
pub(super) fn names() -> impl Iterator<Item = &'static str> {
    PROGRAMS.into_iter().map(|(name, _)| name)
}

/// Attaches every program, which must be loaded, to the hooks of `cgroup`. The programs stay there when the agent ends.
/// Those that they replace stay, too, as long as what is returned, where they serve sockets that were translated before.
pub fn attach(ebpf: &Ebpf, folder: &PinFolder, cgroup: &Path) -> Result<Beside, AttachError> {
    let error = |source| AttachError::Cgroup { path: cgroup.into(), source };
    let file = File::open(cgroup).map_err(error)?;
    let target = bpf::raw_fd(&file).map_err(error)?;
    let inode = fs::metadata(cgroup).map_err(error)?.ino();
    let shown = format!("cgroup {}", cgroup.display());
    let mut beside = Beside::default();
    for (name, attach_type) in PROGRAMS {
        let pin = folder.links().join(name);
        let (flags, program) = (0, program(ebpf, name)?.as_fd());
        let attachment = Attachment { name, program, target, shown: &shown, attach_type, flags, pin: &pin };
        if !translates(name) {
            beside.keep(&pin, (target, attach_type), |link| link.cgroup() == inode);
        }
        let put = attachment.put(|link| link.cgroup() == inode)?;
        debug!(name, ?put, "socket hook");
    }
    Ok(beside)
}
