//! Runs a follower in a task of its own, from which it can be taken back.

use tokio::{sync::oneshot, task::JoinHandle};

use super::Follower;

/// A [`Follower`] that follows changes in a task.
pub struct Following {
    stop: oneshot::Sender<()>,
    task: JoinHandle<Follower>,
}

impl Follower {
    /// Starts a task that follows changes.
    pub fn spawn(mut self) -> Following {
        let (stop, stopped) = oneshot::channel();
        let task = tokio::spawn(async move {
            tokio::select! {
                // If the sender is dropped, the follower is not wanted back and continues.
                Ok(()) = stopped => {}
                never = self.follow() => match never {},
            }
            self
        });
        Following { stop, task }
    }
}

impl Following {
    /// Stops the task and returns the follower, as soon as it has served the devices that it is serving now. Returns `None` if the
    /// task has panicked.
    pub async fn stop(self) -> Option<Follower> {
        // An error means that the task has ended.
        let _ = self.stop.send(());
        self.task.await.ok()
    }
}
