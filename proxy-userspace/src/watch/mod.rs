//! Sources of objects. A source reports which objects exist. It knows nothing about maps, and does not decide what an object
//! means.

pub mod contact;
pub(crate) mod folder_watch;
pub mod kube;
pub mod manifests;
mod selectors;

use std::future::Future;

use tokio::sync::mpsc;

use crate::objects::Event;

/// A source of objects.
pub trait Source: Send + 'static {
    /// Follows the source until the receiver is dropped. Fails only if retrying can't help.
    fn run(self, events: mpsc::Sender<Event>) -> impl Future<Output = anyhow::Result<()>> + Send;
}
