//! The order in which values are tried: from a position that depends only on the name, in the upper band first, since users
//! choose fixed values from the lower band (KEP-3070, KEP-3668).

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    ops::RangeInclusive,
};

use ipnet::IpNet;

/// Returns the addresses of a network that Services may have, as numbers: all but the first, and in an IPv4 network the last.
pub fn usable(cidr: &IpNet) -> RangeInclusive<u128> {
    match cidr {
        IpNet::V4(network) => {
            let (first, last) = (u32::from(network.network()), u32::from(network.broadcast()));
            u128::from(first) + 1..=u128::from(last).saturating_sub(1)
        }
        IpNet::V6(network) => u128::from(network.network()).saturating_add(1)..=u128::from(network.broadcast()),
    }
}

/// Returns an address as a number.
pub fn number(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => u32::from(address).into(),
        IpAddr::V6(address) => address.into(),
    }
}

/// Returns the first address that `free` accepts.
pub fn address(cidr: &IpNet, name: &str, free: impl Fn(IpAddr) -> bool) -> Option<IpAddr> {
    let make = |number: u128| match cidr {
        IpNet::V4(_) => Ipv4Addr::from(u32::try_from(number).expect("it is inside an IPv4 network")).into(),
        IpNet::V6(_) => IpAddr::from(Ipv6Addr::from(number)),
    };
    let band = |size: u128| (size / 16).clamp(16, 256);
    search(usable(cidr), band, name, |number| free(make(number))).map(make)
}

/// Returns the first node port that `free` accepts.
pub fn node_port(range: &RangeInclusive<u16>, name: &str, free: impl Fn(u16) -> bool) -> Option<u16> {
    let range = u128::from(*range.start())..=u128::from(*range.end());
    let make = |number: u128| u16::try_from(number).expect("it is inside a range of ports");
    let band = |size: u128| (size / 32).clamp(16, 128);
    search(range, band, name, |number| free(make(number))).map(make)
}

fn search(
    range: RangeInclusive<u128>,
    band: fn(u128) -> u128,
    name: &str,
    free: impl Fn(u128) -> bool,
) -> Option<u128> {
    let (first, last) = range.into_inner();
    let size = last.checked_sub(first)?.checked_add(1)?;
    let lower = if size <= 16 { 0 } else { band(size) };
    let upper = first + lower..=last;
    let start = first + lower + u128::from(fnv1a(name)) % (size - lower);
    (start..=last).chain(*upper.start()..start).chain(first..*upper.start()).find(|number| free(*number))
}

/// Returns the FNV-1a hash. Unlike the standard library's, it is the same on every machine and in every version.
pub fn fnv1a(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3))
}
