//! Selects the devices that get programs, from a snapshot of the kernel's state. Pure.

use std::collections::{BTreeMap, BTreeSet};

use proxy_common::Device;

use super::unreliable_xdp::unreliable;
use crate::{
    attach::{Group, Variant, device::Hook},
    config::devices::{DeviceChoice, DeviceConfig, DeviceMode, Pattern},
    node::rtnetlink::{Address, Link, Snapshot},
};

/// The clients whose packets a device carries, as far as they are served there. In the order in which devices get room.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Role {
    /// All clients.
    Outside,
    /// A pod on this node whose sockets are not this kernel's, such as a virtual machine.
    Pod,
    /// A pod on this node, only for SCTP. The socket hooks serve its other protocols, but the kernel has no such hook for SCTP.
    Sctp,
}

impl Role {
    /// Returns the flags of [`Device`] for this role.
    pub(super) const fn flags(self) -> u32 {
        match self {
            Self::Outside => 0,
            Self::Pod => Device::POD,
            Self::Sctp => Device::POD | Device::SCTP,
        }
    }
}

/// A device to serve.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Target {
    pub link: Link,
    pub role: Role,
    /// Why native XDP is not reliable on the device; see [`unreliable`].
    pub unreliable: Option<String>,
}

impl Target {
    /// Returns the XDP hook that the device gets, if any.
    pub(super) const fn xdp(&self, mode: DeviceMode) -> Option<Hook> {
        match (self.role, mode) {
            // XDP needs Ethernet frames.
            _ if self.link.bare => None,
            (Role::Outside, DeviceMode::Auto) if self.unreliable.is_none() => Some(Hook::XdpNative),
            (Role::Outside, DeviceMode::Xdp) => Some(Hook::XdpNative),
            (Role::Outside, DeviceMode::XdpGeneric) => Some(Hook::XdpGeneric),
            _ => None,
        }
    }

    /// Returns the groups of programs that the device needs in addition to [`Group::Tc`].
    pub(super) fn groups(&self, mode: DeviceMode) -> impl Iterator<Item = Group> {
        let bare = self.link.bare.then_some(Group::Bare);
        self.xdp(mode).map(|_| Group::Xdp).into_iter().chain(bare)
    }

    /// Returns the variant of the device's TC programs.
    pub(super) const fn variant(&self) -> Variant {
        match self.role {
            Role::Sctp => Variant::Sctp,
            _ if self.link.bare => Variant::Bare,
            _ => Variant::Frames,
        }
    }
}

/// The selected devices.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Selection {
    /// The devices to serve, by index.
    pub devices: BTreeMap<u32, Target>,
    /// Names of devices that should be served but can't be: they carry neither Ethernet frames nor bare IP packets.
    pub unsuited: BTreeSet<String>,
    /// Names in `--devices` that no device has.
    pub missing: BTreeSet<String>,
}

/// Selects the devices. With `auto`, a device in `served` stays selected as long as it exists: an expired lease or a pulled cable
/// must not detach programs, because drivers reset the hardware when XDP is attached or detached. `sctp` says whether there are
/// SCTP Services.
pub(super) fn select(config: &DeviceConfig, snapshot: &Snapshot, served: &BTreeSet<u32>, sctp: bool) -> Selection {
    let mut selection = Selection::default();
    if config.mode == DeviceMode::Off {
        return selection;
    }
    let chosen = |link: &Link| match &config.choice {
        DeviceChoice::Auto => !link.loopback && (served.contains(&link.index) || is_the_nodes(link, snapshot)),
        DeviceChoice::Named(names) => is_named(names, link),
    };
    for link in &snapshot.links {
        let role = if is_named(&config.pod_interfaces, link) {
            Role::Pod
        } else if chosen(link) {
            Role::Outside
        } else if sctp && is_of_a_pod(link) {
            Role::Sctp
        } else {
            continue;
        };
        if link.ethernet || link.bare {
            let target = Target { link: link.clone(), role, unreliable: unreliable(link, &snapshot.links) };
            selection.devices.insert(link.index, target);
        } else {
            selection.unsuited.insert(link.name.clone());
        }
    }
    if let DeviceChoice::Named(names) = &config.choice {
        let absent = |name: &&str| !snapshot.links.iter().any(|link| link.name == *name);
        selection.missing = names.iter().filter_map(Pattern::name).filter(absent).map(str::to_owned).collect();
    }
    selection
}

fn is_named(names: &[Pattern], link: &Link) -> bool {
    names.iter().any(|name| name.matches(&link.name))
}

/// Whether a device is the host end of a veth or netkit pair whose other end is in another network namespace. Network plugins give
/// such devices to pods, with a route or as a port of a bridge. Devices of other containers on this machine look alike, and are
/// served, too, as by kube-proxy.
fn is_of_a_pod(link: &Link) -> bool {
    let is_pair = link.kind == "veth" || link.kind == "netkit";
    is_pair && link.ethernet && link.peer.is_some_and(|peer| peer.netns.is_some())
}

/// Whether a device has an address of the node, a default route, or a router behind it. Nodes that speak BGP over link-local
/// addresses have uplinks without any other address, and perhaps without a default route.
fn is_the_nodes(link: &Link, snapshot: &Snapshot) -> bool {
    let counts = |address: &Address| is_of_a_network(address) || address.global && (link.bare || is_tunnel(link));
    let has_address = || snapshot.addresses.iter().any(|address| address.device == link.index && counts(address));
    let leads_on = || snapshot.routes.iter().any(|route| route.device == link.index);
    leads_on() || snapshot.gateways.contains(&link.index) || has_address()
}

/// Whether a device is an overlay between nodes. Such a device often has an address without a network around it.
fn is_tunnel(link: &Link) -> bool {
    ["vxlan", "geneve", "gretap", "ip6gretap"].contains(&link.kind.as_str())
}

/// Whether the address is in a network. Network plugins give host ends of pods a gateway's address as a host prefix.
fn is_of_a_network(address: &Address) -> bool {
    address.global && address.network.is_some_and(|network| network.prefix_len() < network.max_prefix_len())
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;
    use ipnet::IpNet;
    use rtnetlink::packet_route::address::AddressFlags;

    use super::*;
    use crate::{
        commands::cli::DeviceArgs,
        node::rtnetlink::{DefaultRoute, LinkPeer},
    };

    #[derive(clap::Parser)]
    struct Line {
        #[command(flatten)]
        args: DeviceArgs,
    }

    fn snapshot() -> Snapshot {
        let ethernet =
            |index, name: &str| Link { index, name: name.to_owned(), ethernet: true, up: true, ..Link::default() };
        let address = |device, prefix: &str, global| {
            let network: IpNet = prefix.parse().unwrap();
            Address { device, ip: network.addr(), network: Some(network), global, flags: AddressFlags::empty() }
        };
        let links = vec![
            Link { index: 1, name: "lo".to_owned(), loopback: true, up: true, ..Link::default() },
            ethernet(2, "eth0"),
            ethernet(3, "eth1"),
            ethernet(4, "pod-a"),
            ethernet(5, "pod-b"),
            Link { index: 6, name: "can0".to_owned(), up: true, ..Link::default() },
            ethernet(7, "uplink"),
            Link { index: 8, name: "wg0".to_owned(), bare: true, up: true, ..Link::default() },
            Link { index: 9, name: "wg1".to_owned(), bare: true, up: true, ..Link::default() },
            Link { kind: "vxlan".to_owned(), ..ethernet(10, "flannel.1") },
        ];
        let addresses = vec![
            address(1, "127.0.0.1/8", false),
            address(1, "10.9.9.9/32", true),
            address(2, "192.0.2.2/24", true),
            address(2, "fe80::2/64", false),
            address(3, "fe80::3/64", false),
            address(4, "169.254.1.1/32", false),
            address(4, "fe80::1/64", false),
            address(5, "10.244.0.1/32", true),
            address(6, "10.8.0.1/24", true),
            address(8, "10.9.0.1/32", true),
            address(9, "fe80::9/64", false),
            address(10, "10.244.0.0/32", true),
        ];
        let route = DefaultRoute { ipv6: false, metric: 0, device: 7, gateway: None, source: None };
        Snapshot { links, addresses, routes: vec![route], ..Snapshot::default() }
    }

    fn choose(line: &str, served: &[u32], snapshot: &Snapshot) -> Selection {
        let args = Line::try_parse_from(["test"].into_iter().chain(line.split_whitespace())).unwrap().args;
        select(&args.into(), snapshot, &served.iter().copied().collect(), false)
    }

    fn names(selection: &Selection, role: Role) -> Vec<&str> {
        let of_role = selection.devices.values().filter(|device| device.role == role);
        of_role.map(|device| device.link.name.as_str()).collect()
    }

    #[test]
    fn auto_takes_addresses_in_networks_and_default_routes() {
        let found = choose("", &[], &snapshot());
        assert_eq!(names(&found, Role::Outside), ["eth0", "uplink", "wg0", "flannel.1"], "W8, W11: tunnels, too");
        assert_eq!(names(&found, Role::Pod), <[&str; 0]>::default());
        assert_eq!(
            found.unsuited,
            ["can0".to_owned()].into(),
            "carries no Ethernet frames; loopback is not worth a word"
        );
        assert!(found.missing.is_empty());
    }

    #[test]
    fn auto_takes_devices_that_a_gateway_is_behind() {
        let snapshot = Snapshot { gateways: [3].into(), ..snapshot() };
        assert_eq!(names(&choose("", &[], &snapshot), Role::Outside), ["eth0", "eth1", "uplink", "wg0", "flannel.1"]);
    }

    #[test]
    fn auto_keeps_a_served_device_that_loses_its_address() {
        let mut snapshot = snapshot();
        snapshot.addresses.retain(|address| address.device != 2);
        snapshot.links.retain(|link| link.index < 8);
        assert_eq!(names(&choose("", &[2], &snapshot), Role::Outside), ["eth0", "uplink"]);
        assert_eq!(names(&choose("", &[], &snapshot), Role::Outside), ["uplink"]);
        snapshot.links.retain(|link| link.index != 2);
        assert_eq!(names(&choose("", &[2], &snapshot), Role::Outside), ["uplink"]);
    }

    #[test]
    fn named_devices_need_no_address_and_are_missed() {
        let found = choose("--devices eth*,eth7,lo", &[7], &snapshot());
        assert_eq!(names(&found, Role::Outside), ["eth0", "eth1"]);
        assert_eq!(found.missing, ["eth7".to_owned()].into());
        assert_eq!(found.unsuited, ["lo".to_owned()].into());
    }

    #[test]
    fn pod_interfaces_are_pods_whatever_else_they_are() {
        let found = choose("--pod-interfaces pod-*,up?ink --device-mode tc", &[], &snapshot());
        assert_eq!(names(&found, Role::Outside), ["eth0", "wg0", "flannel.1"]);
        assert_eq!(names(&found, Role::Pod), ["pod-a", "pod-b", "uplink"]);
    }

    #[test]
    fn w13_pods_are_served_where_there_are_sctp_services() {
        let mut snapshot = snapshot();
        let veth = |index, name: &str, netns, master| Link {
            kind: "veth".to_owned(),
            peer: Some(LinkPeer { index: 2, netns }),
            master,
            ..Link { index, name: name.to_owned(), ethernet: true, up: true, ..Link::default() }
        };
        snapshot.links.extend([
            veth(11, "cali1", Some(1), None),
            veth(12, "veth2", Some(2), Some(14)),
            veth(13, "tool", None, None),
            Link { kind: "bridge".to_owned(), index: 14, name: "cni0".to_owned(), ethernet: true, ..Link::default() },
        ]);
        // A node that runs in a container has such an uplink.
        snapshot.links[1] = veth(2, "eth0", Some(0), None);
        let with = |line: &str, sctp| {
            let args = Line::try_parse_from(["test"].into_iter().chain(line.split_whitespace())).unwrap().args;
            select(&args.into(), &snapshot, &BTreeSet::new(), sctp)
        };
        let found = with("--pod-interfaces pod-a", true);
        assert_eq!(names(&found, Role::Sctp), ["cali1", "veth2"]);
        assert_eq!(names(&found, Role::Pod), ["pod-a"]);
        assert_eq!(names(&found, Role::Outside), ["eth0", "uplink", "wg0", "flannel.1"]);
        assert_eq!(names(&with("", false), Role::Sctp), <[&str; 0]>::default());
        assert_eq!(with("--device-mode off", true), Selection::default());
    }

    #[test]
    fn off_wants_nothing() {
        assert_eq!(
            choose("--device-mode off --pod-interfaces pod-* --devices eth9", &[2], &snapshot()),
            Selection::default()
        );
    }
}
