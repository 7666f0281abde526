//! XDP hooks by links. The mode is always given by a flag, so that the kernel never chooses it.

use std::{io, os::fd::BorrowedFd, path::Path};

use aya::programs::loaded_programs;
use rtnetlink::packet_route::{
    RouteNetlinkMessage,
    link::{LinkAttribute, LinkMessage, LinkXdp},
};

use super::{
    AttachError, Put,
    device::{DeviceHook, Hook},
    link::Attachment,
};
use crate::node::{capabilities, netlink};

const BPF_XDP: u32 = 37;
const XDP_FLAGS_SKB_MODE: u32 = 1 << 1;
const XDP_FLAGS_DRV_MODE: u32 = 1 << 2;

/// Attaches the program to the hook, or replaces the program of the pinned link.
pub(super) fn put(hook: &DeviceHook, program: BorrowedFd<'_>, pin: &Path) -> Result<Put, AttachError> {
    let flags = if hook.hook == Hook::XdpNative { XDP_FLAGS_DRV_MODE } else { XDP_FLAGS_SKB_MODE };
    let shown = hook.shown();
    let name = hook.hook.program();
    let attachment = Attachment { name, program, target: hook.device, shown: &shown, attach_type: BPF_XDP, flags, pin };
    match attachment.put(|link| link.device() == hook.device) {
        Err(AttachError::Attach { name, target, source })
            if matches!(source.raw_os_error(), Some(libc::EBUSY | libc::EEXIST)) =>
        {
            let found = occupant(hook.device).unwrap_or_else(|| "another XDP program".to_owned());
            let advice =
                format!("stop the program that attached it, or detach it with `ip link set dev {} xdp off`", hook.name);
            Err(AttachError::Occupied { name, target, found, advice })
        }
        result => result,
    }
}

/// Returns the XDP program that is attached to a device, in words.
fn occupant(device: u32) -> Option<String> {
    let id = find(device, None, |part| if let LinkXdp::ProgId(id) = part { Some(id) } else { None }).ok()??;
    let all = || loaded_programs().flatten().find(|program| program.id() == id);
    let program = capabilities::with_all_programs_visible(all)?;
    Some(format!("XDP program {id} ({})", program.name_as_str().unwrap_or("without a name")))
}

/// Returns the id of the native XDP program on a device, if it has one. `netns` is the id that the device's network namespace has
/// in the calling thread's namespace; `None` for that namespace itself.
pub fn program_on(device: u32, netns: Option<i32>) -> io::Result<Option<u32>> {
    find(device, netns, |part| if let LinkXdp::DrvProgId(id) = part { Some(id) } else { None })
}

/// Returns the first result of `wanted` for the attributes of a device's XDP programs.
pub(super) fn find<T>(device: u32, netns: Option<i32>, wanted: impl Fn(LinkXdp) -> Option<T>) -> io::Result<Option<T>> {
    let mut message = LinkMessage::default();
    message.header.index = device;
    message.attributes = netns.map(LinkAttribute::IfNetnsId).into_iter().collect();
    let answers = netlink::request(RouteNetlinkMessage::GetLink(message), netlink::ACK)?;
    let attributes = answers.into_iter().filter_map(|answer| match answer {
        RouteNetlinkMessage::NewLink(link) => Some(link.attributes),
        _ => None,
    });
    Ok(attributes.flatten().find_map(|attribute| match attribute {
        LinkAttribute::Xdp(parts) => parts.into_iter().find_map(&wanted),
        _ => None,
    }))
}
