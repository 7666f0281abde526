//! Finds the devices that lead out of the node. A backend behind such a device replies to its clients past the node, even if its
//! endpoint is on this node: it has its own way out (macvlan, ipvlan, SR-IOV, a cloud's own interface).

use std::{collections::BTreeSet, net::IpAddr};

use crate::node::rtnetlink::{Link, Snapshot};

/// Kinds of software devices that lead to pods or nowhere. All others lead out, and so do network cards.
const INWARD: [&str; 7] = ["veth", "bridge", "tun", "netkit", "dummy", "ifb", "vrf"];

/// Returns the indexes of devices that lead out of the node. `primary` are the node's own addresses.
pub(super) fn outward(snapshot: &Snapshot, primary: &BTreeSet<IpAddr>) -> BTreeSet<u32> {
    let default = snapshot.routes.iter().map(|route| route.device);
    let own = snapshot.addresses.iter().filter(|address| primary.contains(&address.ip)).map(|address| address.device);
    let by_kind = snapshot.links.iter().filter(|link| leads_out(link)).map(|link| link.index);
    let gateways = snapshot.gateways.iter().copied();
    let mut found: BTreeSet<u32> = default.chain(own).chain(by_kind).chain(gateways).collect();
    // The loopback device may have the node's own address.
    found.retain(|index| !snapshot.links.iter().any(|link| link.loopback && link.index == *index));
    let masters = snapshot.links.iter().filter(|link| found.contains(&link.index)).filter_map(|link| link.master);
    let masters: Vec<u32> = masters.collect();
    found.extend(masters);
    found
}

/// Returns the names of the devices through which IPv4 clients outside are reached. `primary` are the node's own addresses.
pub(super) fn uplinks(snapshot: &Snapshot, primary: &BTreeSet<IpAddr>) -> BTreeSet<String> {
    let default = snapshot.routes.iter().filter(|route| !route.ipv6).map(|route| route.device);
    let is_own = |ip: &IpAddr| ip.is_ipv4() && primary.contains(ip);
    let own = snapshot.addresses.iter().filter(|address| is_own(&address.ip)).map(|address| address.device);
    let found: BTreeSet<u32> = default.chain(own).chain(snapshot.gateways.iter().copied()).collect();
    let links = snapshot.links.iter().filter(|link| !link.loopback && found.contains(&link.index));
    links.map(|link| link.name.clone()).collect()
}

fn leads_out(link: &Link) -> bool {
    // Taps of virtual machines are of kind tun, too, but carry Ethernet frames and lead to pods.
    !INWARD.contains(&link.kind.as_str()) || link.kind == "tun" && !link.ethernet
}

#[cfg(test)]
mod tests {
    use super::*;
    use rtnetlink::packet_route::address::AddressFlags;

    use crate::node::rtnetlink::{Address, DefaultRoute};

    fn link(index: u32, kind: &str, master: Option<u32>) -> Link {
        Link { index, name: index.to_string(), kind: kind.to_owned(), ethernet: true, master, ..Link::default() }
    }

    #[test]
    fn w09_cards_tunnels_and_the_nodes_own_uplink_lead_out_and_pods_do_not() {
        let links = vec![
            Link { loopback: true, ..link(1, "", None) },
            link(2, "", None),
            link(3, "veth", None),
            link(4, "veth", None),
            link(5, "bridge", None),
            link(6, "veth", Some(5)),
            link(7, "vxlan", None),
            link(8, "tun", None),
            Link { ethernet: false, ..link(9, "tun", None) },
            link(10, "macvlan", None),
            link(11, "bridge", None),
            link(12, "", Some(11)),
            link(13, "veth", None),
        ];
        let route = DefaultRoute { ipv6: false, metric: 0, device: 3, gateway: None, source: None };
        let own: IpAddr = "192.0.2.1".parse().unwrap();
        let address =
            |device, ip: IpAddr| Address { device, ip, network: None, global: true, flags: AddressFlags::empty() };
        let addresses = vec![address(1, own), address(13, own), address(5, "10.244.0.1".parse().unwrap())];
        let snapshot = Snapshot { links, addresses, routes: vec![route], ..Snapshot::default() };
        let found = outward(&snapshot, &[own].into());
        assert_eq!(found, [2, 3, 7, 9, 10, 11, 12, 13].into());
        assert_eq!(uplinks(&snapshot, &[own].into()), ["3".to_owned(), "13".to_owned()].into());
    }
}
