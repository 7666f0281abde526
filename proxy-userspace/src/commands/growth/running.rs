//! The tasks that run beside the agent's loop while a set of programs serves.

use std::time::Duration;

use tokio::{
    task::{AbortHandle, JoinHandle, block_in_place},
    time::sleep,
};

use super::SetConfig;
use crate::{
    attach::{AttachError, SocketHooks},
    devices::{Follower, Following},
    succession::loader,
};

/// How often the socket hooks are checked for their programs.
const CHECK_PERIOD: Duration = Duration::from_secs(10);

/// The tasks of a set of programs that serves.
pub struct Running {
    devices: Following,
    sockets: JoinHandle<()>,
    logs: Option<AbortHandle>,
}

impl Running {
    /// Follows devices, checks the socket hooks, and forwards the programs' log.
    pub fn start(mut follower: Follower, set_config: &SetConfig) -> Result<Self, AttachError> {
        let logs = loader::forward_logs(follower.ebpf());
        Self::resume(follower, logs, set_config)
    }

    pub(super) fn resume(
        mut follower: Follower,
        logs: Option<AbortHandle>,
        set_config: &SetConfig,
    ) -> Result<Self, AttachError> {
        let cgroup = &set_config.dataplane.cgroup;
        let hooks = SocketHooks::new(follower.ebpf(), &set_config.folder(), cgroup, set_config.missing.clone())?;
        Ok(Self { devices: follower.spawn(), sockets: tokio::spawn(watch_hooks(hooks)), logs })
    }

    /// Stops following devices and checking the socket hooks; the log is still forwarded. `None` if following devices has
    /// failed.
    pub(super) async fn stop(self) -> Option<(Follower, Option<AbortHandle>)> {
        // The task ends between two checks: it must not re-attach programs of this set while another set attaches its own.
        self.sockets.abort();
        let _ = self.sockets.await;
        Some((self.devices.stop().await?, self.logs))
    }
}

async fn watch_hooks(hooks: SocketHooks) {
    loop {
        sleep(CHECK_PERIOD).await;
        block_in_place(|| hooks.check_all());
    }
}
