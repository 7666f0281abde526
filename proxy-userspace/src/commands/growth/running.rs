//! What goes on beside the agent's loop for as long as a set of programs serves.

use tokio::task::AbortHandle;

use crate::{
    devices::{Follower, Following},
    succession::loader,
};

/// A set of programs that serves.
pub struct Running {
    devices: Following,
    logs: Option<AbortHandle>,
}

impl Running {
    /// Follows devices, and forwards what the programs log.
    pub fn start(mut follower: Follower) -> Self {
        let logs = loader::forward_logs(follower.ebpf());
        Self::resume(follower, logs)
    }

    pub(super) fn resume(follower: Follower, logs: Option<AbortHandle>) -> Self {
        Self { devices: follower.spawn(), logs }
    }

    /// Ends following devices. The log is still forwarded. None if following them has failed.
    pub(super) async fn stop(self) -> Option<(Follower, Option<AbortHandle>)> {
        Some((self.devices.stop().await?, self.logs))
    }
}
