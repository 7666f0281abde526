//! Watches whether AFFINITY has room for all clients that must keep their backends (S24). It is an LRU map: a client whose entry
//! is evicted gets another backend, as if it were new, and nothing else would show that.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        mpsc::{Receiver, sync_channel},
    },
    thread,
    time::{Duration, Instant},
};

use aya::util::nr_cpus;
use nix::time::{ClockId, clock_gettime};
use tracing::{debug, info, warn};

use super::Dataplane;
use crate::maps::{Clients, LRU_LOCAL_FREE, store::Store};

/// The least pause between counts.
const PAUSE: Duration = Duration::from_secs(5);
/// A pause is at least this many times as long as the last count took.
const REST: u32 = 100;

/// Counts the clients every now and then, in a thread of its own.
#[derive(Debug)]
pub(super) struct AffinityWatch {
    /// Receives the number of clients, and how long it took to count them. `None` while no thread counts.
    counting: Option<Receiver<(usize, Duration)>>,
    next: Instant,
    was_warned: bool,
    clients: usize,
    /// The affinity timeouts in seconds, by service id, of the service ports that have one.
    timeouts: HashMap<u32, u32>,
}

impl Default for AffinityWatch {
    fn default() -> Self {
        Self { counting: None, next: Instant::now(), was_warned: false, clients: 0, timeouts: HashMap::new() }
    }
}

impl AffinityWatch {
    /// Returns how many clients there were at the last count.
    pub(super) fn clients(&self) -> usize {
        self.clients
    }

    /// Notes the affinity timeout of a service port in seconds; 0 means no affinity, or that the port is gone.
    pub(super) fn note(&mut self, service: u32, timeout: u32) {
        if timeout == 0 {
            self.timeouts.remove(&service);
        } else {
            self.timeouts.insert(service, timeout);
        }
    }

    /// Ignores the result of a count that is running.
    pub(super) fn forget(&mut self) {
        self.counting = None;
    }

    /// Takes the result of a count that is done, and logs whether the map is nearly full. `room` is the size of the map.
    fn take(&mut self, (room, may_grow): (usize, bool), now: Instant) {
        let Some((clients, took)) = self.counting.as_ref().and_then(|counting| counting.try_recv().ok()) else {
            return;
        };
        self.counting = None;
        self.clients = clients;
        self.next = now + PAUSE.max(took * REST);
        let is_crowded = !may_grow && is_crowded(clients, room, nr_cpus().unwrap_or(1));
        if is_crowded && !self.was_warned {
            warn!(
                clients,
                room,
                "AFFINITY is nearly full: the clients with session affinity that have been silent longest get other backends \
                 before their timeout; start waggle with a larger --max-affinity"
            );
        } else if self.was_warned && !is_crowded {
            info!(clients, room, "AFFINITY has room again for clients with session affinity");
        }
        self.was_warned = is_crowded;
    }
}

/// Whether `clients` are at least nine tenths of what an LRU map of `room` entries holds before it evicts entries. Each CPU keeps
/// up to [`LRU_LOCAL_FREE`] free entries for itself.
fn is_crowded(clients: usize, room: usize, processors: usize) -> bool {
    let kept = (LRU_LOCAL_FREE * processors).min(room / 2);
    clients * 10 >= (room - kept) * 9
}

/// Counts the clients that must keep their backends. `timeouts` are in seconds, by service id.
fn count(clients: &Clients, room: usize, timeouts: &HashMap<u32, u32>) -> usize {
    let Ok(now) = clock_gettime(ClockId::CLOCK_MONOTONIC_COARSE) else { return 0 };
    let now = u64::try_from(Duration::from(now).as_nanos()).unwrap_or(u64::MAX);
    // The kernel restarts an iteration when the key to continue from was deleted; `take` bounds it.
    let entries = clients.iter().take(2 * room).flatten();
    let kept = entries
        .filter(|(key, entry)| timeouts.get(&key.service).is_some_and(|timeout| !entry.is_expired(now, *timeout)));
    kept.count().min(room)
}

impl<S: Store> Dataplane<S> {
    /// Logs once when clients with session affinity fill AFFINITY, unless it may grow. Never blocks.
    pub fn check_affinity(&mut self, may_grow: bool) {
        let Some(observed) = &self.maps.observed else { return };
        let (now, room) = (Instant::now(), observed.affinity_room);
        self.affinity_watch.take((room, may_grow), now);
        if self.affinity_watch.counting.is_some() || now < self.affinity_watch.next {
            return;
        }
        if self.affinity_watch.timeouts.is_empty() {
            return;
        }
        let timeouts = self.affinity_watch.timeouts.clone();
        let (sender, receiver) = sync_channel(1);
        let clients = Arc::clone(&observed.affinity);
        self.affinity_watch.counting = Some(receiver);
        thread::spawn(move || {
            let count = count(&clients, room, &timeouts);
            debug!(count, room, "clients with session affinity");
            // The receiver is gone if the data plane is.
            let _ = sender.send((count, now.elapsed()));
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn s24_a_map_is_crowded_before_it_forgets() {
        assert!(!is_crowded(0, 1, 1));
        assert!(!is_crowded(58_000, 65_536, 2) && is_crowded(59_000, 65_536, 2));
        // Entries that CPUs keep for themselves do not count as room, but half of the map always does.
        assert!(!is_crowded(51_000, 65_536, 64) && is_crowded(52_000, 65_536, 64));
        assert!(!is_crowded(200, 512, 64) && is_crowded(256, 512, 64));
    }
}
