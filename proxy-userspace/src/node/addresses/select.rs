//! Selects the node's addresses from a snapshot of the kernel's state. Pure.

use std::{cmp::Reverse, collections::BTreeSet, net::IpAddr};

use ipnet::IpNet;
use rtnetlink::packet_route::address::AddressFlags;

use super::{
    LocalAddresses,
    outward::{outward, uplinks},
    rules::depend_on_source,
};
use crate::node::rtnetlink::{Address, DefaultRoute, Link, Snapshot};

/// The index of the loopback device in every network namespace.
const LOOPBACK_DEVICE: u32 = 1;

/// Devices to which other service proxies (kube-proxy with IPVS, kube-router) add the addresses of all Services, and which they
/// leave behind. The node has no listeners at these addresses.
const HOLDERS_OF_SERVICES: [&str; 2] = ["kube-ipvs0", "kube-dummy-if"];

/// Returns the node's addresses.
pub(crate) fn local_addresses(snapshot: &Snapshot) -> LocalAddresses {
    let up = snapshot.up();
    let services = |link: &&Link| HOLDERS_OF_SERVICES.contains(&link.name.as_str());
    let services: BTreeSet<_> = snapshot.links.iter().filter(services).map(|link| link.index).collect();
    let own = snapshot.addresses.iter().filter(|address| !services.contains(&address.device));
    let usable: Vec<_> = own.filter(|address| is_usable(address, &up)).collect();
    let primary: BTreeSet<IpAddr> =
        [false, true].into_iter().filter_map(|ipv6| primary(&usable, &snapshot.routes, ipv6)).collect();
    let networks = usable.iter().filter_map(|address| address.network).map(|net| net.trunc());
    LocalAddresses {
        networks: networks.filter(|net| net.prefix_len() < net.max_prefix_len()).collect(),
        all: usable.iter().map(|address| address.ip).collect(),
        pods: snapshot.hosts.clone(),
        outward: outward(snapshot, &primary),
        has_source_rules: depend_on_source(&snapshot.rules),
        rule_sources: snapshot.rules.iter().filter_map(|rule| rule.source).collect(),
        uplinks: uplinks(snapshot, &primary),
        primary,
    }
}

fn is_usable(address: &Address, up: &BTreeSet<u32>) -> bool {
    let ip = address.ip;
    let link_local = match ip {
        IpAddr::V4(ip) => ip.is_link_local(),
        IpAddr::V6(ip) => ip.is_unicast_link_local(),
    };
    up.contains(&address.device)
        && !address.flags.intersects(AddressFlags::Tentative | AddressFlags::Dadfailed)
        && !(link_local || ip.is_loopback() || ip.is_multicast() || ip.is_unspecified())
}

/// Returns the node's own address of one family.
fn primary(usable: &[&Address], routes: &[DefaultRoute], ipv6: bool) -> Option<IpAddr> {
    let global = || usable.iter().copied().filter(|address| address.ip.is_ipv6() == ipv6 && address.global);
    // `min_by_key` takes the first of several equal routes, as the kernel does.
    let route = routes.iter().filter(|route| route.ipv6 == ipv6).min_by_key(|route| route.metric);
    let preferred = route.and_then(|route| {
        let named = route.source.filter(|source| usable.iter().any(|address| address.ip == *source));
        named.or_else(|| best(global().filter(|address| address.device == route.device), route.gateway))
    });
    preferred.or_else(|| {
        // If the default route's device has no address, the node's address is on the loopback device. Without a default
        // route, addresses on the loopback device belong to Services.
        let rank = |address: &Address| {
            let deprecated = address.flags.contains(AddressFlags::Deprecated);
            (deprecated, route.is_none() && address.device == LOOPBACK_DEVICE, address.device)
        };
        let first = global().map(rank).min()?;
        best(global().filter(|address| rank(address) == first), None)
    })
}

/// Returns the address that the kernel would choose among `addresses` of one device.
fn best<'a>(addresses: impl Iterator<Item = &'a Address>, gateway: Option<IpAddr>) -> Option<IpAddr> {
    let reaches = |network: Option<IpNet>| gateway.zip(network).is_some_and(|(ip, network)| network.contains(&ip));
    let rank = |(order, address): &(usize, &Address)| {
        // The kernel lists the oldest IPv4 address and the newest IPv6 address first. The oldest one is chosen, so that
        // new addresses do not change the choice.
        let age = if address.ip.is_ipv6() { Err(Reverse(*order)) } else { Ok(*order) };
        (
            address.flags.contains(AddressFlags::Deprecated),
            !reaches(address.network),
            address.flags.contains(AddressFlags::Secondary),
            age,
        )
    };
    addresses.enumerate().min_by_key(rank).map(|(_, address)| address.ip)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(device: u32, prefix: &str) -> Address {
        let network: IpNet = prefix.parse().unwrap();
        Address { device, ip: network.addr(), network: Some(network), global: true, flags: AddressFlags::empty() }
    }

    fn flagged(device: u32, prefix: &str, flags: AddressFlags) -> Address {
        Address { flags, ..address(device, prefix) }
    }

    fn route(device: u32, metric: u32, gateway: &str, source: Option<&str>) -> DefaultRoute {
        let gateway: IpAddr = gateway.parse().unwrap();
        let source = source.map(|source| source.parse().unwrap());
        DefaultRoute { ipv6: gateway.is_ipv6(), metric, device, gateway: Some(gateway), source }
    }

    fn found(addresses: Vec<Address>, routes: Vec<DefaultRoute>) -> LocalAddresses {
        let links = [1, 2, 3].map(|index| Link { index, up: true, ..Link::default() }).into();
        local_addresses(&Snapshot { links, addresses, routes, ..Snapshot::default() })
    }

    fn set(addresses: &[&str]) -> BTreeSet<IpAddr> {
        addresses.iter().map(|address| address.parse().unwrap()).collect()
    }

    #[test]
    fn s19_unusable_addresses_are_left_out() {
        let found = found(
            vec![
                address(1, "127.0.0.1/8"),
                address(1, "::1/128"),
                address(1, "10.9.9.9/32"),
                address(2, "169.254.1.1/16"),
                address(2, "fe80::1/64"),
                flagged(2, "fd00::1/64", AddressFlags::Tentative),
                flagged(2, "fd00::2/64", AddressFlags::Dadfailed | AddressFlags::Permanent),
                flagged(2, "fd00::3/64", AddressFlags::Deprecated),
                address(4, "192.0.2.4/24"),
            ],
            vec![],
        );
        assert_eq!(found.all, set(&["10.9.9.9", "fd00::3"]));
    }

    #[test]
    fn field_s01_addresses_that_another_proxy_keeps_for_services_are_not_the_nodes() {
        let link = |index, name: &str| Link { index, up: true, name: name.into(), ..Link::default() };
        let links = vec![link(2, "eth0"), link(3, "kube-ipvs0"), link(4, "kube-dummy-if"), link(5, "nodelocaldns")];
        let addresses = vec![
            address(2, "192.0.2.2/24"),
            address(3, "10.96.0.1/32"),
            address(4, "10.96.0.2/32"),
            address(5, "10.96.0.10/32"),
            address(5, "fd00::5/64"),
        ];
        let found = local_addresses(&Snapshot { links, addresses, ..Snapshot::default() });
        assert_eq!(found.all, set(&["192.0.2.2", "10.96.0.10", "fd00::5"]));
        assert_eq!(found.networks, ["192.0.2.0/24", "fd00::/64"].map(|net| net.parse().unwrap()).into());
    }

    #[test]
    fn s19_primary_is_the_source_of_the_cheapest_default_route() {
        let addresses = vec![
            address(2, "192.0.2.2/24"),
            address(3, "198.51.100.3/24"),
            address(3, "198.51.100.4/24"),
            address(3, "fd00::3/64"),
        ];
        let routes = vec![
            route(2, 100, "192.0.2.1", None),
            route(3, 50, "198.51.100.1", Some("198.51.100.4")),
            route(3, 1024, "fe80::1", None),
        ];
        assert_eq!(found(addresses.clone(), routes).primary, set(&["198.51.100.4", "fd00::3"]));
        let gone = vec![route(3, 50, "198.51.100.1", Some("203.0.113.1"))];
        assert_eq!(found(addresses, gone).primary, set(&["198.51.100.3", "fd00::3"]));
    }

    #[test]
    fn s19_primary_is_in_the_gateways_network() {
        let addresses = vec![address(2, "10.0.0.2/24"), address(2, "192.0.2.2/24")];
        assert_eq!(found(addresses, vec![route(2, 0, "192.0.2.1", None)]).primary, set(&["192.0.2.2"]));
    }

    #[test]
    fn s19_primary_is_neither_temporary_nor_deprecated_nor_newer_than_needed() {
        let addresses = vec![
            address(2, "fd00::4/64"),
            address(2, "fd00::3/64"),
            flagged(2, "fd00::2/64", AddressFlags::Secondary),
            flagged(2, "fd00::1/64", AddressFlags::Deprecated),
        ];
        assert_eq!(found(addresses, vec![route(2, 1024, "fe80::1", None)]).primary, set(&["fd00::3"]));
    }

    #[test]
    fn s19_primary_without_a_default_route_is_the_first_devices() {
        let addresses = vec![address(1, "10.9.9.9/32"), address(3, "192.0.2.3/24"), address(2, "192.0.2.2/24")];
        assert_eq!(found(addresses, vec![]).primary, set(&["192.0.2.2"]));
        let deprecated = vec![flagged(2, "192.0.2.2/24", AddressFlags::Deprecated), address(3, "192.0.2.3/24")];
        assert_eq!(found(deprecated, vec![]).primary, set(&["192.0.2.3"]));
        let only = found(vec![address(1, "10.9.9.9/32")], vec![]);
        assert_eq!(only.primary, set(&["10.9.9.9"]));
    }

    #[test]
    fn s19_primary_of_an_unnumbered_uplink_is_on_the_loopback_device() {
        let addresses = vec![address(1, "10.9.9.9/32"), address(3, "192.0.2.3/24")];
        assert_eq!(found(addresses, vec![route(2, 0, "169.254.0.1", None)]).primary, set(&["10.9.9.9"]));
    }
}
