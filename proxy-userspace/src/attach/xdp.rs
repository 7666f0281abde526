//! XDP hooks, by links: the kernel must never choose the mode, so each has its flag.

use std::{io, os::fd::BorrowedFd, path::Path};

use aya::programs::loaded_programs;
use rtnetlink::packet_route::{
    RouteNetlinkMessage,
    link::{LinkAttribute, LinkMessage, LinkXdp},
};

use super::{
    AttachError, Put,
    device::{DeviceHook, Hook},
    link::Place,
};
use crate::node::netlink;

const BPF_XDP: u32 = 37;
const XDP_FLAGS_SKB_MODE: u32 = 1 << 1;
const XDP_FLAGS_DRV_MODE: u32 = 1 << 2;

/// Puts the program on the hook, or into the place of the one on the pinned link.
pub(super) fn put(hook: &DeviceHook, program: BorrowedFd<'_>, pin: &Path) -> Result<Put, AttachError> {
    let flags = if hook.hook == Hook::XdpNative { XDP_FLAGS_DRV_MODE } else { XDP_FLAGS_SKB_MODE };
    let shown = hook.shown();
    let name = hook.hook.program();
    let place = Place { name, program, target: hook.device, shown: &shown, attach_type: BPF_XDP, flags, pin };
    match place.put(|link| link.device() == hook.device) {
        Err(AttachError::Attach { name, target, source })
            if matches!(source.raw_os_error(), Some(libc::EBUSY | libc::EEXIST)) =>
        {
            let found = occupant(hook.device).unwrap_or_else(|| "another XDP program".to_owned());
            let advice = format!(
                "end the program that put it there, or take it away with `ip link set dev {} xdp off`",
                hook.name
            );
            Err(AttachError::Occupied { name, target, found, advice })
        }
        result => result,
    }
}

/// The XDP program that is on a device, in words.
fn occupant(device: u32) -> Option<String> {
    let id = find(device, None, |part| if let LinkXdp::ProgId(id) = part { Some(id) } else { None }).ok()??;
    let program = loaded_programs().flatten().find(|program| program.id() == id)?;
    Some(format!("XDP program {id} ({})", program.name_as_str().unwrap_or("without a name")))
}

/// The id of the native XDP program on a device, of the network namespace that has this number in the calling thread's.
pub fn program_on(device: u32, netns: Option<i32>) -> io::Result<Option<u32>> {
    find(device, netns, |part| if let LinkXdp::DrvProgId(id) = part { Some(id) } else { None })
}

/// What the kernel says of a device's XDP programs.
fn find<T>(device: u32, netns: Option<i32>, wanted: impl Fn(LinkXdp) -> Option<T>) -> io::Result<Option<T>> {
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
