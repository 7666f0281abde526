//! Nodes and ServiceCIDRs.

use std::net::IpAddr;

use serde_json::{Value, json};

use super::{append, object};
use crate::Node;

/// A Node under construction.
#[derive(Clone, Debug)]
pub struct NodeBuilder {
    object: Value,
}

/// A Node without addresses.
pub fn node(name: &str) -> NodeBuilder {
    NodeBuilder { object: object("v1", "Node", "", name) }
}

/// The Node object of a lab's node, with both addresses.
pub fn lab_node(host: &Node) -> NodeBuilder {
    host.addresses().into_iter().fold(node(host.name()), NodeBuilder::address)
}

/// A ServiceCIDR object.
pub fn service_cidr(name: &str, ranges: &[&str]) -> Value {
    let mut object = object("networking.k8s.io/v1", "ServiceCIDR", "", name);
    object["spec"] = json!({"cidrs": ranges});
    object
}

metadata!(NodeBuilder);

impl NodeBuilder {
    /// Adds an `InternalIP`.
    #[must_use]
    pub fn address(mut self, address: impl Into<IpAddr>) -> Self {
        let address = address.into().to_string();
        append(&mut self.object["status"]["addresses"], json!({"type": "InternalIP", "address": address}));
        self
    }

    /// Sets the label `topology.kubernetes.io/zone`.
    #[must_use]
    pub fn zone(self, zone: &str) -> Self {
        self.label("topology.kubernetes.io/zone", zone)
    }
}
