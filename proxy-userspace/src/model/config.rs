//! The model's settings.

use crate::config::NodePortAddresses;

/// Settings that do not change during the life of a [`Model`](super::Model).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModelConfig {
    /// This node's name, as endpoints and the Node object write it.
    pub node_name: String,
    /// Which of the node's addresses serve node ports.
    pub nodeport_addresses: NodePortAddresses,
}
