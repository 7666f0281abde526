//! The model's settings.

use std::{collections::BTreeSet, net::SocketAddr};

use crate::config::{ExternalIps, NodePortAddresses};

/// Settings that do not change during the life of a [`Model`](super::Model).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ModelConfig {
    /// This node's name, as endpoints and the Node object write it.
    pub node_name: String,
    /// The choice of the node's addresses that serve node ports.
    pub nodeport_addresses: NodePortAddresses,
    /// The externalIPs that Services may have.
    pub external_ips: ExternalIps,
    /// The addresses at which the agent reaches the API server.
    pub api_server: BTreeSet<SocketAddr>,
    /// The addresses at which the agent itself listens. The unspecified address stands for every address of the node.
    pub own_ports: Vec<SocketAddr>,
}
