//! Reads links, addresses and rules from dumps.

use std::io;

use futures::{Stream, TryStreamExt};
use ipnet::IpNet;
use rtnetlink::{
    Error, Handle, IpVersion,
    packet_route::{
        AddressFamily,
        address::{AddressAttribute, AddressFlags, AddressMessage, AddressScope},
        link::{LinkAttribute, LinkExtentMask, LinkFlags, LinkInfo, LinkLayerType, LinkMessage},
        rule::{RuleAttribute, RuleMessage},
    },
};

use super::{Address, KernelError, Link, Rule};

/// Reads all devices.
pub(super) async fn links(handle: &Handle) -> Result<Vec<Link>, KernelError> {
    let links = handle.link().get();
    let links = links.set_filter_mask(AddressFamily::Unspec, vec![LinkExtentMask::SkipStats]).execute();
    Ok(collect("links", links).await?.iter().map(link).collect())
}

/// Reads all addresses, in the kernel's order.
pub(super) async fn addresses(handle: &Handle) -> Result<Vec<Address>, KernelError> {
    Ok(collect("addresses", handle.address().get().execute()).await?.iter().filter_map(address).collect())
}

/// Reads all rules of policy routing, in the kernel's order.
pub(super) async fn rules(handle: &Handle) -> Result<Vec<Rule>, KernelError> {
    let mut rules = Vec::new();
    for family in [IpVersion::V4, IpVersion::V6] {
        rules.extend(collect("rules", handle.rule().get(family).execute()).await?.iter().map(rule));
    }
    Ok(rules)
}

async fn collect<T>(what: &'static str, dump: impl Stream<Item = Result<T, Error>>) -> Result<Vec<T>, KernelError> {
    match dump.try_collect().await {
        // A table or family that has never been used does not exist.
        Err(Error::NetlinkError(error)) if error.to_io().kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        result => result.map_err(|error| KernelError::Dump(what, error)),
    }
}

pub(super) fn link(message: &LinkMessage) -> Link {
    let header = &message.header;
    let mut link = Link {
        index: header.index,
        up: header.flags.contains(LinkFlags::Up),
        loopback: header.flags.contains(LinkFlags::Loopback),
        ethernet: header.link_layer_type == LinkLayerType::Ether,
        bare: matches!(
            header.link_layer_type,
            LinkLayerType::None
                | LinkLayerType::Tunnel
                | LinkLayerType::Tunnel6
                | LinkLayerType::Sit
                | LinkLayerType::Ppp
                | LinkLayerType::Rawip
        ),
        ..Link::default()
    };
    for attribute in &message.attributes {
        match attribute {
            LinkAttribute::IfName(name) => link.name.clone_from(name),
            LinkAttribute::Mtu(mtu) => link.mtu = *mtu,
            LinkAttribute::Address(mac) => link.mac.clone_from(mac),
            LinkAttribute::Controller(master) => link.master = Some(*master).filter(|index| *index != 0),
            LinkAttribute::LinkInfo(parts) => link.kind = kind(parts),
            LinkAttribute::ParentDevBusName(bus) => link.bus.clone_from(bus),
            LinkAttribute::Link(index) => link.peer.get_or_insert_default().index = *index,
            LinkAttribute::LinkNetNsId(netns) => link.peer.get_or_insert_default().netns = Some(*netns),
            _ => {}
        }
    }
    link
}

fn kind(parts: &[LinkInfo]) -> String {
    let kind = parts.iter().find_map(|part| match part {
        LinkInfo::Kind(kind) => Some(kind.to_string()),
        _ => None,
    });
    kind.unwrap_or_default()
}

pub(super) fn rule(message: &RuleMessage) -> Rule {
    let mut rule = Rule::default();
    for attribute in &message.attributes {
        match attribute {
            RuleAttribute::Source(address) => rule.source = IpNet::new(*address, message.header.src_len).ok(),
            RuleAttribute::Iifname(name) => rule.device = Some(name.clone()),
            RuleAttribute::SourcePortRange(_) | RuleAttribute::DestinationPortRange(_) => rule.ports = true,
            _ => {}
        }
    }
    rule
}

pub(super) fn address(message: &AddressMessage) -> Option<Address> {
    let mut flags = AddressFlags::from_bits_retain(message.header.flags.bits().into());
    let (mut local, mut remote) = (None, None);
    for attribute in &message.attributes {
        match attribute {
            AddressAttribute::Local(address) => local = Some(*address),
            // On a point-to-point device this is the other end, otherwise it equals `Local`.
            AddressAttribute::Address(address) => remote = Some(*address),
            AddressAttribute::Flags(all) => flags = *all,
            _ => {}
        }
    }
    Some(Address {
        device: message.header.index,
        ip: local.or(remote)?,
        network: IpNet::new(remote.or(local)?, message.header.prefix_len).ok(),
        global: matches!(message.header.scope, AddressScope::Universe | AddressScope::Site | AddressScope::Other(_)),
        flags,
    })
}
