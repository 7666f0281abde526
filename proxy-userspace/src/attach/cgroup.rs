//! Attaches the socket hooks: nine programs on one cgroup, each with a pinned link.

use std::{
    fs::File,
    io,
    os::{fd::AsFd as _, unix::fs::MetadataExt as _},
    path::Path,
};

use aya::Ebpf;
use tracing::{debug, warn};

use super::{AttachError, link::Attachment, old_programs, program};
use crate::{
    logging::errors::Report,
    maps::PinFolder,
    node::bpf::{self, LinkInfo},
};

/// The names of the programs in the eBPF object, and the `bpf_attach_type` of each hook, in the order in which they are attached
/// and replaced. The programs that remove entries and translate replies come first, so that they are attached before the first
/// entry is made.
pub(super) const PROGRAMS: [(&str, u32); 9] = [
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

/// Returns the names of the programs.
pub(super) fn names() -> impl Iterator<Item = &'static str> {
    PROGRAMS.into_iter().map(|(name, _)| name)
}

/// A cgroup whose hooks get programs.
pub(super) struct Cgroup {
    target: u32,
    inode: u64,
    /// Keeps `target`, its descriptor, open.
    _folder: File,
}

impl Cgroup {
    /// Opens the cgroup that is at the path now.
    pub(super) fn open(path: &Path) -> Result<Self, AttachError> {
        let open = || -> io::Result<Self> {
            let folder = File::open(path)?;
            Ok(Self { target: bpf::raw_fd(&folder)?, inode: folder.metadata()?.ino(), _folder: folder })
        };
        open().map_err(|source| AttachError::Cgroup { path: path.into(), source })
    }

    /// Returns the descriptor of the cgroup, to which links are attached.
    pub(super) fn target(&self) -> u32 {
        self.target
    }

    /// Whether a link is attached to this cgroup, not to an earlier one of the same path.
    pub(super) fn has(&self, link: &LinkInfo) -> bool {
        link.cgroup() == self.inode
    }
}

/// Attaches every socket program of the set in `new`, which must be loaded, to the cgroup at `path`. The programs stay attached
/// when the agent ends. Until `new` is put in place, the replaced programs that serve already translated sockets stay, too (see
/// `old_programs.rs`).
pub fn attach(ebpf: &Ebpf, new: &PinFolder, path: &Path) -> Result<(), AttachError> {
    let cgroup = Cgroup::open(path)?;
    let shown = format!("cgroup {}", path.display());
    for (name, attach_type) in PROGRAMS {
        let pin = new.links().join(name);
        let (flags, program) = (0, program(ebpf, name)?.as_fd());
        let target = cgroup.target();
        let attachment = Attachment { name, program, target, shown: &shown, attach_type, flags, pin: &pin };
        if !translates(name) {
            old_programs::keep_attached(new, name, attach_type, &cgroup);
        }
        let put = attachment.put(|link| cgroup.has(link))?;
        debug!(name, ?put, "socket hook");
    }
    Ok(())
}

/// Gives every hook its pinned program of the set in `new`, which an earlier start has completed. Logs failures.
pub(super) fn renew(new: &PinFolder, path: &Path) {
    let cgroup = Cgroup::open(path).inspect_err(|error| warn!(error = %Report(error), "can't keep earlier programs"));
    for (name, attach_type) in PROGRAMS {
        let pin = new.links().join(name);
        if !pin.exists() {
            continue;
        }
        if let Ok(cgroup) = &cgroup
            && !translates(name)
        {
            old_programs::keep_attached(new, name, attach_type, cgroup);
        }
        let renewed =
            bpf::open_pin(&pin).and_then(|link| bpf::update_link(link, bpf::open_pin(&new.programs().join(name))?));
        if let Err(error) = renewed {
            warn!(hook = name, error = %Report(&error), "a hook keeps an earlier program for now");
        }
    }
}
