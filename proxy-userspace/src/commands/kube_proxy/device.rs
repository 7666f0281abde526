//! kube-proxy's device in IPVS mode, kube-ipvs0, which has the addresses of Services.

use std::{collections::BTreeSet, io, net::IpAddr};

use rtnetlink::packet_route::{
    RouteNetlinkMessage,
    address::{AddressAttribute, AddressMessage},
    link::{InfoKind, LinkAttribute, LinkInfo, LinkMessage},
};

use super::names::DEVICE;
use crate::node::netlink::{ACK, DUMP, request};

/// Returns the device's index and addresses. A device of this name that is not a dummy is not kube-proxy's.
pub(super) fn find() -> io::Result<Option<(u32, BTreeSet<IpAddr>)>> {
    let links = request(RouteNetlinkMessage::GetLink(LinkMessage::default()), DUMP)?;
    let index = links.iter().find_map(|answer| match answer {
        RouteNetlinkMessage::NewLink(link) if is_own(link) => Some(link.header.index),
        _ => None,
    });
    let Some(index) = index else { return Ok(None) };
    let addresses = request(RouteNetlinkMessage::GetAddress(AddressMessage::default()), DUMP)?;
    let addresses = addresses.iter().filter_map(|answer| match answer {
        RouteNetlinkMessage::NewAddress(message) if message.header.index == index => address(message),
        _ => None,
    });
    Ok(Some((index, addresses.collect())))
}

/// Reads a response of the kernel: for fuzz targets.
#[cfg(any(test, fuzzing))]
pub(super) fn read(answer: &[u8]) {
    match crate::node::netlink::read(answer) {
        Ok(Some(RouteNetlinkMessage::NewLink(link))) => drop(is_own(&link)),
        Ok(Some(RouteNetlinkMessage::NewAddress(message))) => drop(address(&message)),
        _ => {}
    }
}

/// Removes the device, and thereby its addresses.
pub(super) fn remove(index: u32) -> io::Result<()> {
    let mut link = LinkMessage::default();
    link.header.index = index;
    request(RouteNetlinkMessage::DelLink(link), ACK).map(drop)
}

fn is_own(link: &LinkMessage) -> bool {
    let is_named = |attribute: &LinkAttribute| matches!(attribute, LinkAttribute::IfName(name) if name == DEVICE);
    let dummy = LinkInfo::Kind(InfoKind::Dummy);
    let is_dummy =
        |attribute: &LinkAttribute| matches!(attribute, LinkAttribute::LinkInfo(parts) if parts.contains(&dummy));
    link.attributes.iter().any(is_named) && link.attributes.iter().any(is_dummy)
}

fn address(message: &AddressMessage) -> Option<IpAddr> {
    message.attributes.iter().find_map(|attribute| match attribute {
        AddressAttribute::Address(address) => Some(*address),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_dummy_device_of_the_name_is_kube_proxys() {
        let link = |name: &str, kind| {
            let mut link = LinkMessage::default();
            link.attributes =
                vec![LinkAttribute::IfName(name.into()), LinkAttribute::LinkInfo(vec![LinkInfo::Kind(kind)])];
            link
        };
        assert!(is_own(&link("kube-ipvs0", InfoKind::Dummy)));
        assert!(!is_own(&link("kube-ipvs0", InfoKind::Bridge)) && !is_own(&link("nodelocaldns", InfoKind::Dummy)));
        assert!(!is_own(&LinkMessage::default()));
    }
}
