//! A follower at work, in a task of its own, from which it can be taken back.

use tokio::{sync::oneshot, task::JoinHandle};

use super::Follower;

/// A [`Follower`] that follows changes.
pub struct Following {
    stop: oneshot::Sender<()>,
    task: JoinHandle<Follower>,
}

impl Follower {
    /// Follows changes from now on.
    pub fn spawn(mut self) -> Following {
        let (stop, stopped) = oneshot::channel();
        let task = tokio::spawn(async move {
            tokio::select! {
                // Whoever drops the sender does not want the follower back: it goes on.
                Ok(()) = stopped => {}
                never = self.follow() => match never {},
            }
            self
        });
        Following { stop, task }
    }
}

impl Following {
    /// Takes the follower back, once it has served the devices that it is at; none if its task has died.
    pub async fn stop(self) -> Option<Follower> {
        // A task that does not listen has ended.
        let _ = self.stop.send(());
        self.task.await.ok()
    }
}
