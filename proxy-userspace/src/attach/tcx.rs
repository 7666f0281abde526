//! TC hooks by links (TCX), for Linux 6.6 and later; [`clsact`](super::clsact) is for earlier kernels. Our programs are the first
//! of the chain: they hand packets of no Service to the next program, but other programs may end the chain.

use std::{os::fd::BorrowedFd, path::Path};

use aya::util::KernelVersion;

use super::{
    AttachError, Put,
    device::{DeviceHook, Hook},
    link::Attachment,
};

const BPF_TCX_INGRESS: u32 = 46;
const BPF_TCX_EGRESS: u32 = 47;
/// Without a reference program, it means the head of the chain.
const BPF_F_BEFORE: u32 = 1 << 3;

/// Whether this kernel has TCX.
pub fn has_links() -> bool {
    KernelVersion::current().is_ok_and(|version| version >= KernelVersion::new(6, 6, 0))
}

/// Attaches the program to the hook, or replaces the program of the pinned link.
pub(super) fn put(hook: &DeviceHook, program: BorrowedFd<'_>, pin: &Path) -> Result<Put, AttachError> {
    let attach_type = if hook.hook == Hook::TcxIngress { BPF_TCX_INGRESS } else { BPF_TCX_EGRESS };
    let shown = hook.shown();
    let name = hook.hook.program();
    let attachment =
        Attachment { name, program, target: hook.device, shown: &shown, attach_type, flags: BPF_F_BEFORE, pin };
    attachment.put(|link| link.device() == hook.device)
}
