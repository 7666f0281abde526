//! What wakes the agent: events, addresses and routes, and its timers. Takes what has arrived into the model and the data plane;
//! plans nothing.

use std::{
    collections::BTreeMap,
    time::{Instant, SystemTime},
};

use jiff::Timestamp;
use tokio::sync::{mpsc, watch as changes};
use tracing::debug;

use super::{Agent, TIDY_PERIOD};
use crate::{
    node::rtnetlink::Routes,
    objects::{Event, Kind, LocalAddresses},
};

/// The most events that are taken at once, so that the first of a long burst does not wait for the last.
const BATCH: usize = 256;

/// The channels that the agent reads.
pub struct Inputs {
    /// Events of the source: the API server or a folder.
    pub events: mpsc::Receiver<Event>,
    /// The node's own addresses.
    pub addresses: changes::Receiver<LocalAddresses>,
    /// Routes that have changed.
    pub routes: mpsc::Receiver<Routes>,
}

/// Why [`Agent::read`] returned.
pub(super) enum WakeReason {
    /// Objects, addresses or routes have changed.
    Changed,
    /// It is time to retry what was refused.
    RetryDue,
    /// The host's settings have been read, or the maps tidied up: nothing to plan.
    Checked,
}

impl Agent {
    /// Waits for an input or a timer, and takes what the input has. Returns `None` when the source has ended. Cancel-safe: timers
    /// are points in time, so cancelling and repeating a call does not prolong the wait.
    pub(super) async fn read(&mut self, inputs: &mut Inputs) -> Option<WakeReason> {
        let mut batch = Vec::new();
        tokio::select! {
            count = inputs.events.recv_many(&mut batch, BATCH) => {
                self.take_events(batch);
                if count == 0 {
                    return None;
                }
            }
            Ok(()) = inputs.addresses.changed() => self.take_addresses(inputs),
            Some(routes) = inputs.routes.recv() => self.dataplane.reroute(&routes),
            () = tokio::time::sleep_until(self.next_tidy), if self.generation != 0 => {
                self.next_tidy = tokio::time::Instant::now() + TIDY_PERIOD;
                self.dataplane.tidy();
                return Some(WakeReason::Checked);
            }
            () = tokio::time::sleep_until(self.next_check), if self.generation != 0 => {
                self.check_settings();
                return Some(WakeReason::Checked);
            }
            () = tokio::time::sleep_until(self.retry.due()), if self.is_degraded() => return Some(WakeReason::RetryDue),
        }
        Some(WakeReason::Changed)
    }

    fn take_events(&mut self, batch: Vec<Event>) {
        let (started, now) = (Instant::now(), Timestamp::now());
        let mut counts = BTreeMap::<Kind, u64>::new();
        for event in batch {
            if let Some(kind) = event.changed() {
                *counts.entry(kind).or_default() += 1;
            }
            self.relisted |= matches!(event, Event::Listed(_));
            self.triggers.note(&event, now);
            self.labels.note(&event);
            self.model.apply(event);
        }
        self.modelling += started.elapsed();
        self.note(|status| status.count(counts, SystemTime::now()));
    }

    pub(super) fn take_addresses(&mut self, inputs: &mut Inputs) {
        let addresses = inputs.addresses.borrow_and_update().clone();
        debug!(?addresses, "addresses of this node");
        self.model.set_node_addresses(addresses);
        let local = self.model.local();
        self.dataplane.set_outward(&local.outward);
        self.dataplane.set_source_rules(local.has_source_rules);
    }
}
