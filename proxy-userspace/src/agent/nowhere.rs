//! The agent notices that its node has another name in the cluster.

use tracing::warn;

use super::Agent;

impl Agent {
    /// Says once that this node seems to have another name in the cluster.
    pub(super) fn mention_nowhere(&mut self) {
        if self.model.has_node() {
            self.is_nowhere_told = false;
        } else if !self.is_nowhere_told && self.model.is_nowhere() {
            self.is_nowhere_told = true;
            let node = self.model.node_name();
            warn!(
                "no Node object named {node}, no endpoint is local: Services with the policy Local are dropped here, and \
                 hints for this node's zone are missed; give the Node object's name with --node-name"
            );
        }
    }
}
