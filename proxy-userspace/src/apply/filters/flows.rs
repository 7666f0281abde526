//! Finds the filter entries that live flows still need. Reading a million flows takes a second, so it has a thread of its own.

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

/// The most entries that are read. The kernel restarts an iteration when the key to continue from was deleted; this bounds it.
const TOO_MANY: usize = 1 << 24;

/// The filter entries that flows need.
#[derive(Clone, Debug)]
pub struct Needs {
    addresses: Vec<bool>,
    ports: Vec<bool>,
    /// Set when the flows could not be read to the end: every entry counts as needed.
    everything: bool,
}

impl Needs {
    /// Returns the needs of no flow.
    pub fn nothing() -> Self {
        Self { addresses: vec![false; FILTER_LENGTH], ports: vec![false; FILTER_LENGTH], everything: false }
    }

    /// Adds what a packet of a flow needs: its destination is a frontend or this node, and its source may be a backend here.
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
    /// Starts a thread that waits until every program that runs now has ended, then reads what flows need. Returns the channel
    /// for the result.
    pub fn needs(self: &Arc<Self>) -> Receiver<Needs> {
        let (sender, receiver) = sync_channel(1);
        let maps = self.clone();
        thread::spawn(move || {
            let needs = maps.read();
            // The receiver is gone if the data plane is.
            let _ = sender.send(needs);
        });
        receiver
    }

    fn read(&self) -> Needs {
        let mut needs = Needs::nothing();
        reclaim::wait();
        let before = some_seconds_ago();
        // Flows move from EMBRYONIC to the assured ones, never back: in this order none is missed.
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
                    // A needless lookup is better than a lost packet.
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

/// The time ten seconds ago in jiffies; `None` if the clock can't be read. An entry that had expired by then belongs to no flow,
/// though it may stay in its map for long.
fn some_seconds_ago() -> Option<u32> {
    const SECONDS: u32 = 10;
    Some(jiffies::now().ok()?.wrapping_sub(SECONDS * jiffies::per_second().ok()?))
}
