//! Parses addresses and networks like the API server: leniently (S6), but refuses addresses that can't be endpoints (S7).
//! [`objects::address`](crate::objects::address) is the agent's own, more lenient parser.

use std::net::{IpAddr, Ipv4Addr};

use ipnet::IpNet;

use super::Fault;
use crate::{desired::Family, objects::ServiceCidr};

/// Parses an address; surrounding spaces and leading zeros in IPv4 octets are allowed (S6).
pub fn parse_address(text: &str) -> Option<IpAddr> {
    let text = text.trim();
    if text.contains(':') {
        return text.parse().ok();
    }
    let mut octets = [0u8; 4];
    let mut parts = text.split('.');
    for octet in &mut octets {
        let part = parts.next().filter(|part| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit()))?;
        let digits = part.trim_start_matches('0');
        *octet = if digits.is_empty() { 0 } else { digits.parse().ok()? };
    }
    parts.next().is_none().then(|| Ipv4Addr::from(octets).into())
}

/// Parses a network; surrounding spaces, leading zeros and host bits are allowed (S6). Host bits are cleared.
pub fn parse_network(text: &str) -> Option<IpNet> {
    let (address, length) = text.trim().split_once('/')?;
    let length = length.bytes().all(|byte| byte.is_ascii_digit()).then(|| length.parse().ok())??;
    IpNet::new(parse_address(address)?, length).ok().map(|network| network.trunc())
}

/// Parses an address, or adds a fault.
pub(super) fn address(field: &str, text: &str, faults: &mut Vec<Fault>) -> Option<IpAddr> {
    let address = parse_address(text);
    if address.is_none() {
        let reason = "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)";
        faults.push(Fault::invalid_text(field, text, reason));
    }
    address
}

/// Parses a network, or adds a fault.
pub(super) fn network(field: &str, text: &str, faults: &mut Vec<Fault>) -> Option<IpNet> {
    let network = parse_network(text);
    if network.is_none() {
        let reason = "must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)";
        faults.push(Fault::invalid_text(field, text, reason));
    }
    network
}

/// Parses an address that traffic may be sent to (S7), or adds a fault.
pub(super) fn ordinary(field: &str, text: &str, faults: &mut Vec<Fault>) -> Option<IpAddr> {
    let address = address(field, text, faults)?;
    let canonical = address.to_canonical();
    let link_local = match canonical {
        IpAddr::V4(address) => address.is_link_local(),
        IpAddr::V6(address) => address.is_unicast_link_local(),
    };
    let reason = if canonical.is_unspecified() {
        "may not be unspecified (0.0.0.0 or ::)"
    } else if canonical.is_loopback() {
        "may not be in the loopback range (127.0.0.0/8, ::1/128)"
    } else if link_local {
        "may not be in the link-local range (169.254.0.0/16, fe80::/10)"
    } else if canonical.is_multicast() {
        "may not be in the multicast range (224.0.0.0/4, ff00::/8)"
    } else {
        return Some(address);
    };
    faults.push(Fault::invalid_text(field, text, reason));
    None
}

/// True if there is at most one of each family.
pub(super) fn one_per_family<T>(families: &[(Family, T)]) -> bool {
    families.len() < 2 || (families.len() == 2 && families[0].0 != families[1].0)
}

pub(super) fn service_cidr(object: &ServiceCidr, faults: &mut Vec<Fault>) {
    let cidrs = object.spec.cidrs.as_deref().unwrap_or_default();
    if cidrs.is_empty() {
        faults.push(Fault::required("spec.cidrs", "at least one CIDR required"));
    }
    let mut families = Vec::new();
    for (index, text) in cidrs.iter().enumerate() {
        let network = network(&format!("spec.cidrs[{index}]"), text, faults);
        families.extend(network.map(|network| (Family::of(network.addr()), ())));
    }
    if cidrs.len() > 2 || !one_per_family(&families) {
        let reason = "may specify no more than one IP for each IP family, i.e 192.168.0.0/24 and 2001:db8::/64";
        faults.push(Fault::invalid("spec.cidrs", format_args!("{cidrs:?}"), reason));
    }
}
