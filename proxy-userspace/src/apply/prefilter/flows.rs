//! Filter entries that live flows still need. Reading a million flows takes a second, so a thread of its own does it.

use std::{
    sync::{
        Arc,
        mpsc::{Receiver, sync_channel},
    },
    thread,
};

use proxy_common::{
    Tuple,
    filter::{FILTER_LENGTH, filter_index},
};

use crate::{apply::reclaim, maps::filters::FlowMaps, node::jiffies};

/// The kernel restarts an iteration when the key to continue from was deleted; this bounds the loop.
const TOO_MANY: usize = 1 << 24;

/// The entries that flows need.
#[derive(Clone, Debug)]
pub struct Needs {
    addresses: Vec<bool>,
    ports: Vec<bool>,
    everything: bool,
}

impl Needs {
    /// Of no flow.
    pub fn nothing() -> Self {
        Self { addresses: vec![false; FILTER_LENGTH], ports: vec![false; FILTER_LENGTH], everything: false }
    }

    /// Adds those of a flow's packet. What it is addressed to is a frontend or this node, and what it comes from may
    /// be a backend here.
    pub fn add(&mut self, packet: &Tuple) {
        for address in [&packet.source, &packet.destination] {
            self.addresses[filter_index(address)] = true;
        }
        self.ports[usize::from(packet.destination_port)] = true;
    }

    pub(super) fn address(&self, entry: u16) -> bool {
        self.everything || self.addresses[usize::from(entry)]
    }

    pub(super) fn port(&self, port: u16) -> bool {
        self.everything || self.ports[usize::from(port)]
    }
}

impl FlowMaps {
    /// Finds out what flows need, when every program that runs now has ended.
    pub fn needs(self: &Arc<Self>) -> Receiver<Needs> {
        let (sender, receiver) = sync_channel(1);
        let maps = self.clone();
        thread::spawn(move || {
            let needs = maps.read();
            // Nobody waits for it once the data plane is gone.
            let _ = sender.send(needs);
        });
        receiver
    }

    fn read(&self) -> Needs {
        let mut needs = Needs::nothing();
        reclaim::wait();
        let before = some_seconds_ago();
        // A flow only ever moves from the first to the second.
        for table in [&self.embryonic, &self.assured] {
            let mut count = 0;
            for entry in table.entries() {
                count += 1;
                match entry {
                    Ok((packet, flow)) if count <= TOO_MANY => {
                        if before.is_some_and(|before| flow.meta.is_expired(before)) {
                            continue;
                        }
                        needs.add(&packet);
                        // A connection that its backend has not replied to has no entry for the client's packets.
                        needs.add(&flow.inverse_key(packet.protocol));
                    }
                    // Better a needless lookup than a lost packet.
                    _ => {
                        needs.everything = true;
                        return needs;
                    }
                }
            }
        }
        needs
    }
}

/// In jiffies, if that can be known: what had ended by then is nobody's any more, though it may lie about for long.
fn some_seconds_ago() -> Option<u32> {
    const SECONDS: u32 = 10;
    Some(jiffies::now().ok()?.wrapping_sub(SECONDS * jiffies::per_second().ok()?))
}
