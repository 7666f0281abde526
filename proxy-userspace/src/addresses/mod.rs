//! Follows the addresses of the network namespace that the agent runs in (S19). It reports what is there;
//! which of it serves node ports is the model's decision.

mod kernel;
mod select;

use std::{collections::BTreeSet, convert::Infallible, error::Error, io, net::IpAddr, time::Duration};

use tokio::{sync::watch::Sender, time::sleep};
use tracing::warn;

use kernel::{Changes, Kernel};

/// The least time between two looks at the kernel. The first change after a calm never waits.
const GATHER: Duration = Duration::from_millis(20);
/// How long to wait before a lost connection is made again.
const RECONNECT: Duration = Duration::from_secs(1);

/// The addresses of this node, as its network namespace has them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LocalAddresses {
    /// Every usable address of a device that is up: not link-local, not 127.0.0.0/8 or ::1, and no IPv6 address
    /// whose uniqueness is still unproven. Those of the loopback device and deprecated ones are here too.
    pub all: BTreeSet<IpAddr>,
    /// The node's own address, at most one a family: what the default route prefers as source, else the first
    /// global address by device index. Stands in for a Node object's addresses.
    pub primary: BTreeSet<IpAddr>,
}

/// Why addresses can't be followed.
#[derive(Debug, thiserror::Error)]
pub enum AddressError {
    /// No netlink socket.
    #[error("open a netlink socket for addresses")]
    Connect(#[source] io::Error),
    /// The kernel refused or cut short a request.
    #[error("read {0} from the kernel")]
    Dump(&'static str, #[source] rtnetlink::Error),
    /// The socket that reports changes has closed.
    #[error("lost the netlink socket that reports address changes")]
    Lost,
}

/// Sends the addresses at once, then again whenever they differ, until every receiver is gone.
///
/// Has to be called on a tokio runtime whose threads are in the namespace to follow. Fails only before the first
/// report; a connection lost later is logged and made again.
pub async fn watch(sender: Sender<LocalAddresses>) -> Result<(), AddressError> {
    let mut reported = false;
    loop {
        let error = tokio::select! {
            () = sender.closed() => return Ok(()),
            Err(error) = follow(&sender, &mut reported) => error,
        };
        if !reported {
            return Err(error);
        }
        warn!(error = &error as &dyn Error, "node addresses may be out of date; trying again");
        sleep(RECONNECT).await;
    }
}

/// Reports over one connection until it breaks.
async fn follow(sender: &Sender<LocalAddresses>, reported: &mut bool) -> Result<Infallible, AddressError> {
    // Subscribed before the first dump, so that no change falls in between.
    let mut changes = Changes::subscribe().map_err(AddressError::Connect)?;
    let kernel = Kernel::connect().map_err(AddressError::Connect)?;
    loop {
        changes.forget_pending();
        let current = select::local_addresses(&kernel.snapshot().await?);
        sender.send_if_modified(|last| {
            let differs = *last != current || !*reported;
            *last = current;
            differs
        });
        *reported = true;
        sleep(GATHER).await;
        changes.next().await.ok_or(AddressError::Lost)?;
    }
}
