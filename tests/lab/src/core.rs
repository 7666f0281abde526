//! What all hosts of one lab share: its id, its fabric and the next free addresses.

use std::{
    path::PathBuf,
    sync::{
        OnceLock,
        atomic::{AtomicU8, Ordering},
    },
};

use super::{
    error::{Error, Result},
    native_xdp::{Pass, send_complete},
    netns::Netns,
};

/// Shared state of a lab. Cleaning up is left to the `Lab`.
#[derive(Debug)]
pub(super) struct Core {
    /// `wl<pid>-<number>-<name>`: prefix of every name outside the lab's own namespaces.
    pub(super) id: String,
    /// The lab's cgroup.
    pub(super) cgroup: PathBuf,
    /// The namespace of the bridge that joins nodes and outside clients; it also routes between them.
    pub(super) fabric: Netns,
    /// The number of nodes so far.
    pub(super) nodes: AtomicU8,
    /// The number of outside clients so far.
    pub(super) clients: AtomicU8,
    /// Set once wires must support native XDP.
    pub(super) native_xdp: OnceLock<Pass>,
}

impl Core {
    /// Makes a new wire support native XDP if the lab's wires do. The agent may serve the near end, never the far end.
    pub(super) fn finish_wire(&self, (near, device): (&Netns, &str), (far, peer): (&Netns, &str)) -> Result<()> {
        let Some(pass) = self.native_xdp.get() else { return Ok(()) };
        send_complete(near, device)?;
        send_complete(far, peer)?;
        pass.attach(far, peer)
    }
}

/// The next number of a counter that starts at 0, from 1 to `limit`.
pub(super) fn take_number(counter: &AtomicU8, limit: u8, what: &'static str) -> Result<u8> {
    let taken = counter.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |last| (last < limit).then_some(last + 1));
    taken.map(|last| last + 1).map_err(|_| Error::Full(what))
}
