//! Delays the reuse of ids and slots that no map refers to any more until a grace period has passed: then every program that may
//! have read an old reference has ended.

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
const FALLBACK_GRACE: Duration = Duration::from_secs(1);

/// A thread that waits for grace periods, so that the control loop never does.
#[derive(Debug)]
pub struct Reclaim {
    waiting: Sender<Retired>,
    ready: Receiver<Retired>,
}

impl Reclaim {
    /// Starts the thread, which ends when this value is dropped.
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

    /// Returns one that does not wait, for maps in memory that no program uses.
    pub fn at_once() -> Self {
        let (waiting, ready) = channel();
        Self { waiting, ready }
    }

    /// Hands over ids and slots that have just lost their last reference.
    pub fn retire(&self, retired: Retired) {
        // The thread lives as long as `self`. If it has died, it is safest never to use the ids again.
        if !retired.is_empty() && self.waiting.send(retired).is_err() {
            warn!("the grace period thread has ended: freed ids and slots are not used again");
        }
    }

    /// Returns what may be used again now.
    pub fn ready(&self) -> impl Iterator<Item = Retired> {
        self.ready.try_iter()
    }
}

/// Waits until every program that runs now has ended. Kernels booted with `nohz_full` refuse the membarrier; then it sleeps.
pub(super) fn wait() {
    if bpf::grace_period().is_err() {
        thread::sleep(FALLBACK_GRACE);
    }
}
