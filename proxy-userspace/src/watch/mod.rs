//! Sources of objects. A source reports what exists; it knows nothing of maps, and it never decides
//! what an object means.

pub mod kube;
pub mod manifests;

use std::future::Future;

use tokio::sync::mpsc;

use crate::objects::Event;

/// Where objects come from.
pub trait Source: Send + 'static {
    /// Follows the source for ever, until the receiver is dropped or an error that no retry can heal.
    fn run(self, events: mpsc::Sender<Event>) -> impl Future<Output = anyhow::Result<()>> + Send;
}
