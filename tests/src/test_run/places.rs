//! The address plan of the bench node: its hosts, and how the node reaches them.

use std::net::IpAddr;

use crate::{
    packet::{Mac, Place},
    scene::Family,
};

/// The node: its primary address, on `eth0`.
pub const NODE: Place = Place::new([192, 0, 2, 1], [0x2001, 0xdb8, 2, 0, 0, 0, 0, 1]);
/// Another address of the node, which serves no node ports.
pub const NODE_OTHER: Place = Place::new([192, 0, 2, 2], [0x2001, 0xdb8, 2, 0, 0, 0, 0, 2]);
/// The router on the link of `eth0`.
pub const ROUTER: Place = Place::new([192, 0, 2, 254], [0x2001, 0xdb8, 2, 0, 0, 0, 0, 0xfe]);
/// A client behind the router.
pub const CLIENT: Place = Place::new([198, 51, 100, 10], [0x2001, 0xdb8, 0x51, 0, 0, 0, 0, 0x10]);
/// Another client behind the router.
pub const CLIENT_OTHER: Place = Place::new([198, 51, 100, 20], [0x2001, 0xdb8, 0x51, 0, 0, 0, 0, 0x20]);
/// A client in another network behind the router, for source ranges.
pub const CLIENT_ELSEWHERE: Place = Place::new([172, 30, 0, 9], [0x2001, 0xdb8, 0x172, 0, 0, 0, 0, 9]);
/// A backend on another node, on the link of `eth0`.
pub const REMOTE: Place = Place::new([192, 0, 2, 50], [0x2001, 0xdb8, 2, 0, 0, 0, 0, 0x50]);
/// Another backend on another node, on the link of `eth0`.
pub const REMOTE_OTHER: Place = Place::new([192, 0, 2, 51], [0x2001, 0xdb8, 2, 0, 0, 0, 0, 0x51]);
/// A backend on another node, on the link of `eth1`, over which packets of [`JUMBO_MTU`] fit.
pub const FAR: Place = Place::new([10, 1, 0, 20], [0xfd00, 1, 0, 0, 0, 0, 0, 0x20]);
/// The MTU of `eth1`.
pub const JUMBO_MTU: u16 = 9100;
/// A backend behind `eth2`, over which packets of [`NARROW_MTU`] fit.
pub const NARROW: Place = Place::new([10, 2, 0, 20], [0xfd00, 2, 0, 0, 0, 0, 0, 0x20]);
/// The MTU of `eth2`.
pub const NARROW_MTU: u16 = 1300;
/// A backend on the link of `eth0` whose neighbour entry is missing.
pub const SILENT: Place = Place::new([192, 0, 2, 77], [0x2001, 0xdb8, 2, 0, 0, 0, 0, 0x77]);
/// A backend that the routing table sends into a black hole.
pub const LOST: Place = Place::new([10, 99, 0, 5], [0xfd00, 0x99, 0, 0, 0, 0, 0, 5]);
/// A backend on this node: a pod behind `pod0`.
pub const POD: Place = Place::new([10, 244, 1, 5], [0xfd00, 0x244, 1, 0, 0, 0, 0, 5]);
/// Another pod of this node.
pub const POD_OTHER: Place = Place::new([10, 244, 1, 6], [0xfd00, 0x244, 1, 0, 0, 0, 0, 6]);

/// The second bench node, on the link of `eth0`.
pub const NODE_SECOND: Place = Place::new([192, 0, 2, 3], [0x2001, 0xdb8, 2, 0, 0, 0, 0, 3]);
/// A pod on the second bench node.
pub const POD_SECOND: Place = Place::new([10, 244, 2, 5], [0xfd00, 0x244, 2, 0, 0, 0, 0, 5]);

/// A cluster IP.
pub const CLUSTER_IP: Place = Place::new([10, 96, 0, 10], [0xfd00, 0x96, 0, 0, 0, 0, 0, 0x10]);
/// Another cluster IP.
pub const CLUSTER_IP_OTHER: Place = Place::new([10, 96, 0, 11], [0xfd00, 0x96, 0, 0, 0, 0, 0, 0x11]);
/// An address in the ServiceCIDR that no Service owns.
pub const UNOWNED: Place = Place::new([10, 96, 7, 7], [0xfd00, 0x96, 0, 0, 0, 0, 0, 0x7707]);
/// An externalIP.
pub const EXTERNAL: Place = Place::new([203, 0, 113, 10], [0x2001, 0xdb8, 0x113, 0, 0, 0, 0, 0x10]);
/// A load balancer's address.
pub const BALANCER: Place = Place::new([203, 0, 113, 20], [0x2001, 0xdb8, 0x113, 0, 0, 0, 0, 0x20]);
/// An address of that network that no Service has.
pub const BESIDE: Place = Place::new([203, 0, 113, 99], [0x2001, 0xdb8, 0x113, 0, 0, 0, 0, 0x99]);
/// The ServiceCIDRs.
pub const SERVICE_CIDRS: [&str; 2] = ["10.96.0.0/16", "fd00:96::/112"];

/// The bench node's devices.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Device {
    /// `eth0`, the uplink.
    Uplink,
    /// `eth1`.
    Second,
    /// `eth2`, with a small MTU.
    Narrow,
    /// `pod0`, the host end of the pods' devices: packets from it come from clients on this node.
    Pod,
}

impl Device {
    /// The devices that lead out of the node, in the order of their numbers.
    pub const OUTSIDE: [Self; 3] = [Self::Uplink, Self::Second, Self::Narrow];
    /// All devices.
    pub const ALL: [Self; 4] = [Self::Uplink, Self::Second, Self::Narrow, Self::Pod];

    /// The device's name.
    pub fn name(self) -> String {
        if self == Self::Pod { "pod0".into() } else { format!("eth{}", self as u8) }
    }

    /// The device's own link address.
    pub const fn mac(self) -> Mac {
        [2, 0, 0, 0, 0, self as u8 + 1]
    }
}

/// The router's link address.
pub const ROUTER_MAC: Mac = [2, 0, 0, 0, 1, 0xfe];

/// The neighbours on each link: address and link address.
pub const NEIGHBOURS: [(Device, Place, Mac); 6] = [
    (Device::Uplink, ROUTER, ROUTER_MAC),
    (Device::Uplink, REMOTE, [2, 0, 0, 0, 1, 0x50]),
    (Device::Uplink, REMOTE_OTHER, [2, 0, 0, 0, 1, 0x51]),
    (Device::Second, FAR, [2, 0, 0, 0, 2, 0x20]),
    (Device::Narrow, NARROW, [2, 0, 0, 0, 3, 0x20]),
    (Device::Pod, POD, [2, 0, 0, 0, 4, 5]),
];

/// One of two nodes that know each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Member {
    /// [`NODE`].
    First,
    /// [`NODE_SECOND`].
    Second,
}

impl Member {
    /// The other node.
    #[must_use]
    pub const fn other(self) -> Self {
        match self {
            Self::First => Self::Second,
            Self::Second => Self::First,
        }
    }

    /// The node's address.
    pub const fn node(self) -> Place {
        match self {
            Self::First => NODE,
            Self::Second => NODE_SECOND,
        }
    }

    /// The link address of one of its devices.
    pub const fn mac(self, device: Device) -> Mac {
        let [a, b, c, d, _, f] = device.mac();
        match self {
            Self::First => device.mac(),
            Self::Second => [a, b, c, d, 9, f],
        }
    }

    /// The network of its pods.
    pub const fn pods(self, family: Family) -> &'static str {
        match (self, family) {
            (Self::First, Family::Ipv4) => "10.244.1.0/24",
            (Self::First, Family::Ipv6) => "fd00:244:1::/64",
            (Self::Second, Family::Ipv4) => "10.244.2.0/24",
            (Self::Second, Family::Ipv6) => "fd00:244:2::/64",
        }
    }
}

/// Whether the node has no neighbour entry for this destination on its own links.
pub fn is_silent(destination: IpAddr) -> bool {
    [Family::Ipv4, Family::Ipv6].iter().any(|family| SILENT.address(*family) == destination)
}

/// The device and the neighbour through which the node sends to `destination`.
pub fn next_hop(destination: IpAddr) -> (Device, Mac) {
    let family = if destination.is_ipv4() { Family::Ipv4 } else { Family::Ipv6 };
    let neighbour = NEIGHBOURS.iter().find(|(_, place, _)| place.address(family) == destination);
    let (device, _, mac) = neighbour.unwrap_or(&NEIGHBOURS[0]);
    (*device, *mac)
}
