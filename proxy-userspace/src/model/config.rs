//! The settings of the model.

use crate::config::NodePortAddresses;

/// Settings that stay for the life of a [`Model`](super::Model).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModelConfig {
    /// This node's name, as endpoints and the Node object write it.
    pub node_name: String,
    /// Where node ports are served.
    pub nodeport_addresses: NodePortAddresses,
}
