//! Notices that this node seems to have another name in the cluster.

use tracing::warn;

use super::Agent;

impl Agent {
    /// Logs once that this node seems to have another name in the cluster.
    pub(super) fn mention_nowhere(&mut self) {
        if self.model.has_node() {
            self.is_nowhere_told = false;
        } else if !self.is_nowhere_told && self.model.is_nowhere() {
            self.is_nowhere_told = true;
            let node = self.model.node_name();
            warn!(
                "there is no Node object named {node}, and no endpoint is on this node: traffic to Services with the policy Local \
                 is dropped here, and zone hints are ignored; set --node-name to the name of this node's Node object"
            );
        }
    }
}
