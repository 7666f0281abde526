//! What no map refers to any more is used again only after a grace period, when every program that may
//! have read the old reference has ended.

use std::{
    net::SocketAddr,
    sync::mpsc::{Receiver, Sender, channel},
    thread,
    time::Duration,
};

use proxy_common::SlotRange;
use tracing::warn;

use crate::node::bpf;

/// Things to free together.
#[derive(Debug, Default)]
pub struct Retired {
    /// Slot ranges.
    pub slots: Vec<SlotRange>,
    /// Backends that lost their last user.
    pub backends: Vec<SocketAddr>,
    /// Service ids.
    pub services: Vec<u32>,
}

impl Retired {
    fn is_empty(&self) -> bool {
        self.slots.is_empty() && self.backends.is_empty() && self.services.is_empty()
    }
}

/// How long to wait where the kernel refuses a grace period. Programs run for microseconds.
const LONG_FOR_A_PROGRAM: Duration = Duration::from_secs(1);

/// A thread that waits for grace periods, so that the control loop never does.
#[derive(Debug)]
pub struct Reclaim {
    waiting: Sender<Retired>,
    ready: Receiver<Retired>,
}

impl Reclaim {
    /// Starts the thread; it ends with this value.
    pub fn start() -> Self {
        let (waiting, to_wait) = channel::<Retired>();
        let (is_ready, ready) = channel();
        thread::spawn(move || {
            while let Ok(retired) = to_wait.recv() {
                wait();
                if is_ready.send(retired).is_err() {
                    return;
                }
            }
        });
        Self { waiting, ready }
    }

    /// One that waits for nothing, where no program runs.
    pub fn at_once() -> Self {
        let (waiting, ready) = channel();
        Self { waiting, ready }
    }

    /// Hands over what has just lost its last reference.
    pub fn retire(&self, retired: Retired) {
        // The thread lives as long as `self`; if it died, never using the ids again is the safe side.
        if !retired.is_empty() && self.waiting.send(retired).is_err() {
            warn!("the grace period thread has ended: freed slots are not used again");
        }
    }

    /// What may be used again now.
    pub fn ready(&self) -> impl Iterator<Item = Retired> {
        self.ready.try_iter()
    }
}

/// Waits until every program that runs now has ended. Kernels with `nohz_full` refuse the membarrier.
pub(super) fn wait() {
    if bpf::grace_period().is_err() {
        thread::sleep(LONG_FOR_A_PROGRAM);
    }
}
