//! What goes on beside the agent's loop for as long as a set of programs serves.

use std::time::Duration;

use tokio::{
    task::{AbortHandle, JoinHandle, block_in_place},
    time::sleep,
};

use super::Recipe;
use crate::{
    attach::{AttachError, SocketHooks},
    devices::{Follower, Following},
    succession::loader,
};

/// How often is looked whether the socket hooks have their programs.
const LOOK: Duration = Duration::from_secs(10);

/// A set of programs that serves.
pub struct Running {
    devices: Following,
    sockets: JoinHandle<()>,
    logs: Option<AbortHandle>,
}

impl Running {
    /// Follows devices, looks after the socket hooks, and forwards what the programs log.
    pub fn start(mut follower: Follower, recipe: &Recipe) -> Result<Self, AttachError> {
        let logs = loader::forward_logs(follower.ebpf());
        Self::resume(follower, logs, recipe)
    }

    pub(super) fn resume(
        mut follower: Follower,
        logs: Option<AbortHandle>,
        recipe: &Recipe,
    ) -> Result<Self, AttachError> {
        let cgroup = &recipe.dataplane.cgroup;
        let hooks = SocketHooks::new(follower.ebpf(), &recipe.folder(), cgroup, recipe.missing.clone())?;
        Ok(Self { devices: follower.spawn(), sockets: tokio::spawn(look_after(hooks)), logs })
    }

    /// Ends following devices, and looking after the socket hooks. The log is still forwarded. None if following devices has
    /// failed.
    pub(super) async fn stop(self) -> Option<(Follower, Option<AbortHandle>)> {
        // It ends between two looks. What another set attaches must not be mixed with what this one attaches again.
        self.sockets.abort();
        let _ = self.sockets.await;
        Some((self.devices.stop().await?, self.logs))
    }
}

async fn look_after(hooks: SocketHooks) {
    loop {
        sleep(LOOK).await;
        block_in_place(|| hooks.look());
    }
}
