//! What no object says: the addresses that this node really has, as its kernel tells them.

use std::{collections::BTreeSet, net::IpAddr};

use ipnet::IpNet;

/// The addresses that this node really has.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LocalAddresses {
    /// Every usable address of a device that is up: not link-local, not 127.0.0.0/8 or ::1, and no IPv6 address
    /// whose uniqueness is still unproven. Those of the loopback device and deprecated ones are here too.
    pub all: BTreeSet<IpAddr>,
    /// The networks that its devices are in, host prefixes left out.
    pub networks: BTreeSet<IpNet>,
    /// Addresses that a route of their own leads to, by a device: of pods here, as network plugins without a bridge have them.
    pub pods: BTreeSet<IpAddr>,
    /// The node's own address, at most one a family: what the default route prefers as source, else the first
    /// global address by device index. They stand in for the Node object's while there is none, or it has none.
    pub primary: BTreeSet<IpAddr>,
    /// Devices that lead out of the node: the replies of what is behind them bypass it.
    pub outward: BTreeSet<u32>,
    /// Rules of policy routing tell a backend's replies from what comes from its frontend's address.
    pub ruled: bool,
    /// The sources that such rules name.
    pub ruled_sources: BTreeSet<IpNet>,
    /// Names of the devices that IPv4 clients outside are behind, as far as can be told: those of the default routes, and
    /// those that have the node's own address.
    pub uplinks: BTreeSet<String>,
}
