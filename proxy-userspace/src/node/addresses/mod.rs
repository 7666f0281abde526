//! Follows the addresses of the agent's network namespace (S19). The model decides which of them serve node ports.

mod outward;
mod rules;
mod select;

#[cfg(any(test, fuzzing))]
pub(crate) use self::select::local_addresses;
use std::{convert::Infallible, time::Duration};

use tokio::{
    sync::{mpsc, watch::Sender},
    time::sleep,
};
use tracing::warn;

use crate::{
    logging::errors::Report,
    node::rtnetlink::{KernelChange, KernelError, Routes, Watcher},
    objects::LocalAddresses,
};

/// The least time between two snapshots of the kernel's state. The first change after a quiet time is read at once.
const DEBOUNCE: Duration = Duration::from_millis(20);
/// How long to wait before a lost connection is reopened.
const RECONNECT: Duration = Duration::from_secs(1);

/// Sends the addresses at once, and again whenever they differ, until every receiver is gone. Sends changed routes to
/// `routes`.
///
/// Must be called on a tokio runtime whose threads are in the namespace to follow. Fails only before the first report; a
/// connection that fails later is logged and reopened.
pub async fn watch(sender: Sender<LocalAddresses>, routes: mpsc::Sender<Routes>) -> Result<(), KernelError> {
    let mut reported = false;
    loop {
        let error = tokio::select! {
            () = sender.closed() => return Ok(()),
            Err(error) = follow(&sender, &routes, &mut reported) => error,
        };
        if !reported {
            return Err(error);
        }
        warn!(error = %Report(&error), "failed to follow the node's addresses: they may be out of date; retrying");
        sleep(RECONNECT).await;
        // Changes during the wait were not received.
        let _ = routes.send(Routes::All).await;
    }
}

/// Follows addresses and routes over one connection until it fails.
async fn follow(
    sender: &Sender<LocalAddresses>,
    routes: &mpsc::Sender<Routes>,
    reported: &mut bool,
) -> Result<Infallible, KernelError> {
    let mut kernel = Watcher::start()?;
    loop {
        let current = select::local_addresses(&kernel.snapshot().await?);
        sender.send_if_modified(|last| {
            let differs = *last != current || !*reported;
            *last = current;
            differs
        });
        *reported = true;
        sleep(DEBOUNCE).await;
        while let KernelChange::Routes(changed) = kernel.next_change().await? {
            // The receiver is gone only when the agent ends. While the agent is busy, this waits and the kernel's queue
            // fills up; an overflow counts as a change of every route.
            let _ = routes.send(changed).await;
        }
    }
}
