//! TC hooks by links (TCX), for Linux 6.6 and later; [`clsact`](super::clsact) is for earlier kernels. Our programs are the first
//! of the chain: they hand packets of no Service to the next program, but other programs may end the chain.

use std::{io, os::fd::BorrowedFd, path::Path};

use aya::util::KernelVersion;

use super::{
    AttachError, Put,
    device::{DeviceHook, Hook},
    link::Attachment,
};
use crate::node::bpf;

const BPF_TCX_INGRESS: u32 = 46;
const BPF_TCX_EGRESS: u32 = 47;
/// Without a reference program, it means the head of the chain.
const BPF_F_BEFORE: u32 = 1 << 3;

/// Whether this kernel has TCX.
pub fn has_links() -> bool {
    KernelVersion::current().is_ok_and(|version| version >= KernelVersion::new(6, 6, 0))
}

/// Asks the kernel whether it has TCX, by its programs on loopback. Takes CAP_NET_ADMIN.
pub fn is_known() -> io::Result<bool> {
    /// The index of loopback in every network namespace.
    const LOOPBACK: u32 = 1;
    match bpf::programs_at(LOOPBACK, BPF_TCX_INGRESS) {
        Err(error) if error.raw_os_error() == Some(libc::EINVAL) => Ok(false),
        // Nothing has been attached yet.
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(true),
        found => found.map(|_| true),
    }
}

/// Returns the ids of the programs on a TCX hook; none if the kernel has no TCX.
pub(super) fn programs(device: u32, hook: Hook) -> io::Result<Vec<u32>> {
    match bpf::programs_at(device, attach_type(hook)) {
        Err(error) if matches!(error.raw_os_error(), Some(libc::EINVAL | libc::ENOENT)) => Ok(Vec::new()),
        found => found.map(|programs| programs.ids),
    }
}

const fn attach_type(hook: Hook) -> u32 {
    if matches!(hook, Hook::TcxIngress) { BPF_TCX_INGRESS } else { BPF_TCX_EGRESS }
}

/// Attaches the program to the hook, or replaces the program of the pinned link.
pub(super) fn put(hook: &DeviceHook, program: BorrowedFd<'_>, pin: &Path) -> Result<Put, AttachError> {
    let attach_type = attach_type(hook.hook);
    let shown = hook.shown();
    let name = hook.hook.program();
    let attachment =
        Attachment { name, program, target: hook.device, shown: &shown, attach_type, flags: BPF_F_BEFORE, pin };
    attachment.put(|link| link.device() == hook.device)
}
