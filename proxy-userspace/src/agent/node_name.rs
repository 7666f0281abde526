//! Notices that this node seems to have another name in the cluster.

use tracing::warn;

use super::Agent;

impl Agent {
    /// Logs once that this node seems to have another name in the cluster.
    pub(super) fn warn_wrong_name(&mut self) {
        if self.model.has_node() {
            self.has_warned_of_name = false;
        } else if !self.has_warned_of_name && self.model.is_unknown_node() {
            self.has_warned_of_name = true;
            let node = self.model.node_name();
            warn!(
                "there is no Node object named {node}, and no endpoint is on this node: traffic to Services with the policy Local \
                 is dropped here, and zone hints are ignored; set --node-name to the name of this node's Node object"
            );
        }
    }
}
