//! Reads and removes kube-proxy's ipsets, over netlink (include/uapi/linux/netfilter/ipset/ip_set.h).

use std::io;

use rtnetlink::packet_core::DefaultNla;

use super::names::is_set;
use crate::node::netfilter::{NLM_F_ACK, NLM_F_DUMP, Request, ask_until, attribute, each, find};

/// NFNL_SUBSYS_IPSET with IPSET_CMD_DESTROY and IPSET_CMD_LIST.
const DESTROY: u16 = 6 << 8 | 3;
const LIST: u16 = 6 << 8 | 7;

const IPSET_ATTR_PROTOCOL: u16 = 1;
const IPSET_ATTR_SETNAME: u16 = 2;
const IPSET_ATTR_FLAGS: u16 = 6;
const IPSET_ATTR_ADT: u16 = 8;
const IPSET_ATTR_PORT: u16 = 4;
/// NFPROTO_IPV4.
const IPV4: u8 = 2;
/// The oldest protocol version that Linux 6.1 accepts.
const PROTOCOL: u8 = 6;
/// IPSET_FLAG_LIST_SETNAME.
const NAMES_ONLY: u32 = 1 << 1;

/// Returns the names of kube-proxy's sets; none if the kernel has no ipset.
pub(super) fn sets() -> io::Result<Vec<String>> {
    let mut names = Vec::new();
    let flags = DefaultNla::new(IPSET_ATTR_FLAGS | NETWORK_ORDER, NAMES_ONLY.to_be_bytes().to_vec());
    let outcome = request(LIST, NLM_F_DUMP, &[protocol(), flags], |attributes| {
        let name = find(attributes, IPSET_ATTR_SETNAME).unwrap_or_default();
        names.push(String::from_utf8_lossy(&name).trim_end_matches('\0').to_owned());
    });
    match outcome {
        // The kernel has no ipset.
        Err(error) if error.raw_os_error() == Some(libc::EINVAL) => return Ok(names),
        outcome => outcome?,
    }
    names.retain(|name| is_set(name));
    names.sort();
    names.dedup();
    Ok(names)
}

/// Returns the ports in a set.
pub(super) fn ports(set: &str) -> io::Result<Vec<u16>> {
    let mut found = Vec::new();
    request(LIST, NLM_F_DUMP, &[protocol(), attribute(IPSET_ATTR_SETNAME, set)], |attributes| {
        found.extend(members(attributes));
    })?;
    Ok(found)
}

/// Removes a set. The kernel refuses to while a rule uses it.
pub(super) fn destroy(set: &str) -> io::Result<()> {
    request(DESTROY, NLM_F_ACK, &[protocol(), attribute(IPSET_ATTR_SETNAME, set)], |_| ())
}

/// NLA_F_NET_BYTEORDER.
const NETWORK_ORDER: u16 = 1 << 14;

fn protocol() -> DefaultNla {
    DefaultNla::new(IPSET_ATTR_PROTOCOL, vec![PROTOCOL])
}

fn request(kind: u16, flags: u16, attributes: &[DefaultNla], mut found: impl FnMut(&[u8])) -> io::Result<()> {
    // The kernel demands an IP family, but uses it only for new sets.
    ask_until(Request { kind, flags, family: IPV4, attributes }, |_, _, attributes| {
        found(attributes);
        std::ops::ControlFlow::Continue(())
    })
}

/// Returns the ports of the members in one message of a set's listing.
pub(super) fn members(attributes: &[u8]) -> Vec<u16> {
    let list = find(attributes, IPSET_ATTR_ADT).unwrap_or_default();
    let ports = each(&list).filter_map(|member| find(member.value(), IPSET_ATTR_PORT));
    ports.filter_map(|port| port.try_into().ok().map(u16::from_be_bytes)).collect()
}
