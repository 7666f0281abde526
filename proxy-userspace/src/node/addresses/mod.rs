//! Follows the addresses of the network namespace that the agent runs in (S19). It reports what is there;
//! which of it serves node ports is the model's decision.

mod outward;
mod rules;
mod select;

use std::{convert::Infallible, error::Error, time::Duration};

use tokio::{
    sync::{mpsc, watch::Sender},
    time::sleep,
};
use tracing::warn;

use crate::{
    node::rtnetlink::{Heard, KernelError, Routes, Watcher},
    objects::LocalAddresses,
};

/// The least time between two looks at the kernel. The first change after a calm never waits.
const GATHER: Duration = Duration::from_millis(20);
/// How long to wait before a lost connection is made again.
const RECONNECT: Duration = Duration::from_secs(1);

/// Sends the addresses at once, then again whenever they differ, until every receiver is gone; and which routes have
/// changed.
///
/// Has to be called on a tokio runtime whose threads are in the namespace to follow. Fails only before the first
/// report; a connection lost later is logged and made again.
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
        warn!(error = &error as &dyn Error, "node addresses may be out of date; trying again");
        sleep(RECONNECT).await;
        // What has changed meanwhile, nobody has heard.
        let _ = routes.send(Routes::All).await;
    }
}

/// Reports over one connection until it breaks.
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
        sleep(GATHER).await;
        while let Heard::Routes(changed) = kernel.heard().await? {
            // Who is gone has no use for it. While the agent is busy the kernel's own queue fills, which counts as a change
            // of everything.
            let _ = routes.send(changed).await;
        }
    }
}
