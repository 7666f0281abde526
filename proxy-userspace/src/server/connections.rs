//! The open connections of one port, at most [`LIMIT`]: then a new connection closes the oldest. A load balancer sends its
//! request at once and gets the response within a millisecond, so clients that keep silent connections open can't lock it
//! out.

use std::collections::VecDeque;

use tokio::{
    task::{AbortHandle, JoinSet},
    time::{Duration, Instant, timeout_at},
};

/// The most connections that are open at the same time.
const LIMIT: usize = 64;
/// The least time that a connection stays open when the limit is reached.
const GRACE: Duration = Duration::from_millis(50);

/// The open connections. After this is dropped, they continue until their responses are sent.
#[derive(Debug, Default)]
pub(super) struct OpenConnections {
    tasks: JoinSet<()>,
    /// The start of each connection, oldest first.
    by_age: VecDeque<(Instant, AbortHandle)>,
}

impl OpenConnections {
    /// Runs `task` for a new connection.
    pub(super) fn spawn(&mut self, task: impl Future<Output = ()> + Send + 'static) {
        let task = self.tasks.spawn(task);
        self.by_age.push_back((Instant::now(), task));
    }

    /// Waits until there are fewer than [`LIMIT`] connections. If none ends by itself, closes the oldest once it has been open
    /// for [`GRACE`].
    pub(super) async fn make_room(&mut self) {
        self.forget_ended();
        while self.tasks.len() >= LIMIT
            && let Some((began, oldest)) = self.by_age.front()
        {
            if timeout_at(*began + GRACE, self.tasks.join_next()).await.is_err() {
                oldest.abort();
                let _ = self.tasks.join_next().await;
            }
            self.forget_ended();
        }
    }

    fn forget_ended(&mut self) {
        while self.tasks.try_join_next().is_some() {}
        self.by_age.retain(|(_, task)| !task.is_finished());
    }
}

impl Drop for OpenConnections {
    fn drop(&mut self) {
        // A request that arrived before the Service was deleted still gets its response.
        self.tasks.detach_all();
    }
}

#[cfg(test)]
mod tests {
    use std::future::pending;

    use tokio::sync::oneshot;

    use super::*;

    #[tokio::test]
    async fn n08_the_oldest_connection_gives_way_to_a_new_one() {
        let mut connections = OpenConnections::default();
        let began = Instant::now();
        for _ in 0..LIMIT {
            connections.make_room().await;
            connections.spawn(pending());
        }
        let handles: Vec<_> = connections.by_age.iter().map(|(_, task)| task.clone()).collect();
        connections.make_room().await;
        assert!(began.elapsed() >= GRACE, "the oldest has had its time");
        let closed: Vec<_> = handles.iter().map(AbortHandle::is_finished).collect();
        assert_eq!((closed[0], closed[LIMIT - 1]), (true, false));
        assert!(connections.tasks.len() < LIMIT);
    }

    #[tokio::test]
    async fn n08_a_connection_that_ends_makes_room_and_closes_no_other() {
        let mut connections = OpenConnections::default();
        let (end, ended) = oneshot::channel::<()>();
        (1..LIMIT).for_each(|_| connections.spawn(pending()));
        connections.spawn(async { ended.await.unwrap_or_default() });
        end.send(()).expect("the task waits");
        connections.make_room().await;
        assert_eq!(connections.tasks.len(), LIMIT - 1);
        assert!(connections.by_age.iter().all(|(_, task)| !task.is_finished()));
    }

    #[tokio::test]
    async fn s22_open_connections_are_answered_after_the_listener_has_gone() {
        let mut connections = OpenConnections::default();
        let (ask, asked) = oneshot::channel::<()>();
        let (answer, answered) = oneshot::channel();
        connections.spawn(async {
            let _ = answer.send(asked.await.is_ok());
        });
        drop(connections);
        ask.send(()).expect("the task waits");
        assert_eq!(answered.await, Ok(true));
    }
}
