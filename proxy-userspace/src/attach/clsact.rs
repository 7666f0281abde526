//! TC hooks by filters of a clsact qdisc, for kernels without TCX. A filter has a fixed priority and handle, so that a new
//! program replaces the old one atomically, and the instance's name, so that no other tool's filter is touched. A filter has no
//! link, so its program is pinned instead.

use std::{fs, io, os::fd::BorrowedFd};

use rtnetlink::{
    packet_core::{NLM_F_CREATE, NLM_F_EXCL, Nla as _},
    packet_route::{
        RouteNetlinkMessage,
        tc::{TcAttribute, TcBpfFlags, TcFilterBpf, TcFilterBpfOption, TcHandle, TcMessage, TcOption},
    },
};

use super::{
    AttachError, Put,
    device::{DeviceHook, Hook},
};
use crate::{
    maps::PinFolder,
    node::{bpf, netlink},
};

/// The priority of our filters. They run after filters with lower numbers, and before filters that were added without a priority.
const PRIORITY: u16 = 5;
/// The handle of our filters: "WG" in ASCII.
const HANDLE: u32 = 0x5747;
/// ETH_P_ALL in network byte order.
const EVERY_PROTOCOL: u16 = 0x0003_u16.to_be();
const CLSACT: &str = "clsact";
// The attributes of a qdisc that shares its filters with other devices.
const TCA_INGRESS_BLOCK: u16 = 13;
const TCA_EGRESS_BLOCK: u16 = 14;

/// Attaches the program to the hook, or replaces our own filter's program atomically.
pub(super) fn put(hook: &DeviceHook, program: BorrowedFd<'_>, folder: &PinFolder) -> Result<Put, AttachError> {
    let error = |source| AttachError::Attach { name: hook.hook.program(), target: hook.shown(), source };
    add_clsact(hook.device).map_err(error)?;
    let found = owner(hook).map_err(error)?;
    if let Some(other) = found.as_ref().filter(|owner| **owner != name(folder)) {
        let occupant = format!("filter {other:?} with priority {PRIORITY} and handle {HANDLE:#x}");
        let advice = "remove it with `tc filter del`, or serve the device by one instance only".to_owned();
        return Err(AttachError::Occupied { name: hook.hook.program(), target: hook.shown(), found: occupant, advice });
    }
    // The program is pinned first: a filter without a pin could not be found again.
    let (pin, new) = (hook.pin(folder), folder.links().join("new"));
    let pinned = discard(&new).and_then(|()| bpf::pin(program, &new)).and_then(|()| fs::rename(&new, &pin));
    pinned.map_err(|source| AttachError::Pin { path: pin.clone(), source })?;
    let added = add(hook, program, folder);
    if added.is_err() && found.is_none() {
        let _ = fs::remove_file(&pin);
    }
    added.map_err(error)?;
    Ok(if found.is_some() { Put::Replaced } else { Put::Attached })
}

/// Removes our filter from the hook, and the qdisc if it has no filter left. Does nothing if there is no such filter or device.
pub(super) fn remove(hook: &DeviceHook, folder: &PinFolder) -> io::Result<()> {
    if is_ours(hook, folder)? {
        netlink::request(RouteNetlinkMessage::DelTrafficFilter(place(hook)), netlink::ACK)?;
        // On failure the qdisc stays. An empty one does no harm.
        if is_idle(hook.device).unwrap_or(false) {
            netlink::request(RouteNetlinkMessage::DelQueueDiscipline(clsact(hook.device)), netlink::ACK)?;
        }
    }
    Ok(())
}

/// Whether a filter of this instance is on the hook.
pub(super) fn is_ours(hook: &DeviceHook, folder: &PinFolder) -> io::Result<bool> {
    Ok(owner(hook)?.is_some_and(|owner| owner == name(folder)))
}

/// Returns the ids of the BPF programs of all filters on the hook, whoever has added them.
pub(super) fn programs(hook: &DeviceHook) -> Vec<u32> {
    // An error means that there is no such qdisc.
    let answers = netlink::request(every_filter(hook), netlink::DUMP).unwrap_or_default();
    let filters = answers.iter().filter_map(|answer| match answer {
        RouteNetlinkMessage::NewTrafficFilter(filter) => Some(filter),
        _ => None,
    });
    let id = |option: &TcFilterBpfOption| if let TcFilterBpfOption::ProgId(id) = option { Some(*id) } else { None };
    filters.flat_map(|filter| bpf_options(filter).filter_map(id)).collect()
}

/// Parses a netlink answer about a filter or a qdisc, for fuzz targets.
#[cfg(any(test, fuzzing))]
pub(crate) fn read(answer: &[u8]) {
    match netlink::read(answer) {
        Ok(Some(RouteNetlinkMessage::NewTrafficFilter(filter))) => drop(filter_name(&filter)),
        Ok(Some(RouteNetlinkMessage::NewQueueDiscipline(qdisc))) => drop(is_plain_clsact(&qdisc)),
        _ => {}
    }
}

fn discard(path: &std::path::Path) -> io::Result<()> {
    fs::remove_file(path).or_else(absent(&[libc::ENOENT]))
}

/// Returns the name of an instance's filters.
fn name(folder: &PinFolder) -> String {
    let instance = folder.path().file_name().unwrap_or_default();
    format!("waggle/{}", instance.to_string_lossy())
}

/// Returns the message that identifies our filter on a hook.
fn place(hook: &DeviceHook) -> TcMessage {
    let minor = if hook.hook == Hook::ClsactIngress { TcHandle::MIN_INGRESS } else { TcHandle::MIN_EGRESS };
    let mut message = TcMessage::with_index(hook.device.cast_signed());
    message.header.parent = TcHandle { major: TcHandle::CLSACT.major, minor };
    message.header.handle = HANDLE.into();
    message.header.info = TcHandle { major: PRIORITY, minor: EVERY_PROTOCOL }.into();
    message
}

/// Returns the request for all filters on a hook.
fn every_filter(hook: &DeviceHook) -> RouteNetlinkMessage {
    let mut message = place(hook);
    message.header.handle = TcHandle::UNSPEC;
    message.header.info = 0;
    RouteNetlinkMessage::GetTrafficFilter(message)
}

fn add(hook: &DeviceHook, program: BorrowedFd<'_>, folder: &PinFolder) -> io::Result<()> {
    let options = [
        TcFilterBpfOption::ProgFd(bpf::raw_fd(&program)?),
        TcFilterBpfOption::ProgName(name(folder)),
        TcFilterBpfOption::Flags(TcBpfFlags::DirectAction),
    ];
    let mut message = place(hook);
    message.attributes =
        vec![TcAttribute::Kind(TcFilterBpf::KIND.to_owned()), TcAttribute::Options(options.map(TcOption::Bpf).into())];
    netlink::request(RouteNetlinkMessage::NewTrafficFilter(message), netlink::ACK | NLM_F_CREATE).map(drop)
}

/// Returns the name of the filter with our priority and handle, empty if it has no name; `None` if there is no such filter.
fn owner(hook: &DeviceHook) -> io::Result<Option<String>> {
    // There is no such filter, qdisc or device.
    let none = [libc::ENOENT, libc::EINVAL, libc::ENODEV];
    let request = RouteNetlinkMessage::GetTrafficFilter(place(hook));
    let answers = netlink::request(request, netlink::ACK).or_else(absent(&none))?;
    Ok(answers.iter().find_map(|answer| match answer {
        RouteNetlinkMessage::NewTrafficFilter(filter) => Some(filter_name(filter)),
        _ => None,
    }))
}

fn filter_name(filter: &TcMessage) -> String {
    let name = bpf_options(filter).find_map(|option| match option {
        TcFilterBpfOption::ProgName(name) => Some(name.clone()),
        _ => None,
    });
    name.unwrap_or_default()
}

fn bpf_options(filter: &TcMessage) -> impl Iterator<Item = &TcFilterBpfOption> {
    let options = filter.attributes.iter().filter_map(|attribute| match attribute {
        TcAttribute::Options(options) => Some(options),
        _ => None,
    });
    options.flatten().filter_map(|option| if let TcOption::Bpf(option) = option { Some(option) } else { None })
}

fn clsact(device: u32) -> TcMessage {
    let mut message = TcMessage::with_index(device.cast_signed());
    message.header.parent = TcHandle::CLSACT;
    message.header.handle = TcHandle { major: TcHandle::CLSACT.major, minor: 0 };
    message
}

fn add_clsact(device: u32) -> io::Result<()> {
    let mut message = clsact(device);
    message.attributes = vec![TcAttribute::Kind(CLSACT.to_owned())];
    let flags = netlink::ACK | NLM_F_CREATE | NLM_F_EXCL;
    netlink::request(RouteNetlinkMessage::NewQueueDiscipline(message), flags).or_else(absent(&[libc::EEXIST])).map(drop)
}

/// Whether the device has a clsact qdisc of its own without filters.
fn is_idle(device: u32) -> io::Result<bool> {
    // Only a dump of the qdiscs of all devices has it; a request for this device's returns nothing.
    let qdiscs = netlink::request(RouteNetlinkMessage::GetQueueDiscipline(clsact(device)), netlink::DUMP)?;
    let is_plain = qdiscs.iter().any(|answer| match answer {
        RouteNetlinkMessage::NewQueueDiscipline(qdisc) => {
            qdisc.header.index == device.cast_signed() && is_plain_clsact(qdisc)
        }
        _ => false,
    });
    for hook in [Hook::ClsactIngress, Hook::ClsactEgress] {
        if !netlink::request(every_filter(&DeviceHook { hook, device, name: String::new() }), netlink::DUMP)?.is_empty()
        {
            return Ok(false);
        }
    }
    Ok(is_plain)
}

fn is_plain_clsact(qdisc: &TcMessage) -> bool {
    let is_shared = |attribute: &TcAttribute| match attribute {
        TcAttribute::Other(other) => matches!(other.kind(), TCA_INGRESS_BLOCK | TCA_EGRESS_BLOCK),
        _ => false,
    };
    qdisc.attributes.contains(&TcAttribute::Kind(CLSACT.to_owned())) && !qdisc.attributes.iter().any(is_shared)
}

/// Treats these errors as an empty reply.
fn absent<T: Default>(codes: &[i32]) -> impl Fn(io::Error) -> io::Result<T> {
    move |error| {
        if error.raw_os_error().is_some_and(|code| codes.contains(&code)) { Ok(T::default()) } else { Err(error) }
    }
}
