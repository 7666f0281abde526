//! This node as the cluster and the kernel know it: its name, its Node object and its own addresses.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::{Model, ServiceState, endpoints::EndpointNode};
use crate::desired::Family;

impl Model {
    /// Returns this node's own addresses, one for each family: the default source addresses of what it forwards.
    pub fn own_addresses(&self) -> (Option<Ipv4Addr>, Option<Ipv6Addr>) {
        let own = |family| self.node.own_address(family, &self.local);
        let ipv4 = own(Family::Ipv4).and_then(|address| if let IpAddr::V4(ipv4) = address { Some(ipv4) } else { None });
        let ipv6 = own(Family::Ipv6).and_then(|address| if let IpAddr::V6(ipv6) = address { Some(ipv6) } else { None });
        (ipv4, ipv6)
    }

    /// Returns this node's name.
    pub fn node_name(&self) -> &str {
        &self.config.node_name
    }

    /// Whether a Node object with this node's name exists.
    pub fn has_node(&self) -> bool {
        self.has_node
    }

    /// Whether this node probably has another name in the cluster: there is no Node object with its name, and of the endpoints that
    /// name a node, none is on this node.
    pub fn is_unknown_node(&self) -> bool {
        let endpoints = self.services.values().flat_map(ServiceState::endpoints);
        let mut named =
            endpoints.map(|endpoint| endpoint.node).filter(|node| *node != EndpointNode::Unnamed).peekable();
        self.is_listed() && !self.has_node && named.peek().is_some() && named.all(|node| node == EndpointNode::Other)
    }
}
