//! This node as the cluster and the kernel know it: its name, its object and its own addresses.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::{Model, ServiceState};
use crate::desired::Family;

impl Model {
    /// This node's own addresses, one for each family: the source addresses of what it forwards.
    pub fn own_addresses(&self) -> (Option<Ipv4Addr>, Option<Ipv6Addr>) {
        let own = |family| self.node.own_address(family, &self.local);
        let ipv4 = own(Family::Ipv4).and_then(|address| if let IpAddr::V4(ipv4) = address { Some(ipv4) } else { None });
        let ipv6 = own(Family::Ipv6).and_then(|address| if let IpAddr::V6(ipv6) = address { Some(ipv6) } else { None });
        (ipv4, ipv6)
    }

    /// This node's name.
    pub fn node_name(&self) -> &str {
        &self.config.node_name
    }

    /// Whether this node's object exists.
    pub fn has_node(&self) -> bool {
        self.has_node
    }

    /// Whether this node probably has another name: no Node object has it, and none of the endpoints is on this node.
    pub fn is_nowhere(&self) -> bool {
        let mut endpoints = self.services.values().flat_map(ServiceState::endpoints).peekable();
        self.is_listed() && !self.has_node && endpoints.peek().is_some() && endpoints.all(|endpoint| !endpoint.local)
    }
}
