//! The addresses that this node really has, as its kernel reports them.

use std::{collections::BTreeSet, net::IpAddr};

use ipnet::IpNet;

/// The addresses that this node really has.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LocalAddresses {
    /// Every usable address of a device that is up. Not among them: link-local addresses, 127.0.0.0/8, ::1, and IPv6
    /// addresses that duplicate address detection has not confirmed. Other addresses of the loopback device and
    /// deprecated ones are included.
    pub all: BTreeSet<IpAddr>,
    /// The networks of its devices, without host prefixes.
    pub networks: BTreeSet<IpNet>,
    /// Addresses with a host route to a device: pods on this node, where network plugins use no bridge.
    pub pods: BTreeSet<IpAddr>,
    /// The node's own address, at most one for each family: the default route's preferred source, else the first global
    /// address by device index. They are used while no Node object exists, or it has no address.
    pub primary: BTreeSet<IpAddr>,
    /// Indices of devices that lead out of the node: replies of backends behind them bypass the node.
    pub outward: BTreeSet<u32>,
    /// Whether rules of policy routing may route a backend's replies differently from packets with the frontend's address
    /// as source.
    pub has_source_rules: bool,
    /// The source prefixes in such rules.
    pub rule_sources: BTreeSet<IpNet>,
    /// Names of the devices through which IPv4 clients outside are reached, as far as known: those of the default
    /// routes, and those with the node's own address.
    pub uplinks: BTreeSet<String>,
}
