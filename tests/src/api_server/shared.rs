//! What the test's side and the serving side share. Everything that changes is announced, so that nobody polls.

use std::{
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use tokio::sync::watch;

use super::{faults::Faults, store::Store};

/// A request as the server saw it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// Its place among all requests, from 0.
    pub serial: u64,
    /// Its path.
    pub path: String,
    /// Its parameters, decoded, in the order given.
    pub query: Vec<(String, String)>,
    /// The `Authorization` header.
    pub authorization: Option<String>,
    /// When it arrived.
    pub at: Instant,
    /// What it was answered with; 0 while it has no answer.
    pub code: u16,
}

impl Request {
    /// The value of a parameter.
    pub fn parameter(&self, name: &str) -> Option<&str> {
        self.query.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// Whether it asks for a watch.
    pub fn is_watch(&self) -> bool {
        self.parameter("watch") == Some("true")
    }

    /// Whether it is for this resource, by its plural name.
    pub fn is_for(&self, plural: &str) -> bool {
        self.path.rsplit('/').next() == Some(plural)
    }
}

/// State behind one lock.
#[derive(Debug)]
pub(super) struct State {
    pub(super) store: Store,
    pub(super) faults: Faults,
    pub(super) requests: Vec<Request>,
    pub(super) token: Option<String>,
    /// How many bookmarks the test has asked for.
    pub(super) bookmarks: u64,
}

/// The state and who waits for it.
#[derive(Debug)]
pub(super) struct Shared {
    state: Mutex<State>,
    /// Wakes the test's side.
    requested: Condvar,
    /// Wakes the watches.
    pub(super) changed: watch::Sender<()>,
}

impl Shared {
    pub(super) fn new(store: Store) -> Self {
        let state = State { store, faults: Faults::default(), requests: Vec::new(), token: None, bookmarks: 0 };
        Self { state: Mutex::new(state), requested: Condvar::new(), changed: watch::Sender::new(()) }
    }

    /// Looks at or changes the state without telling anyone.
    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        // A test that panicked while it held the lock has left nothing half-done.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the state and wakes all watches.
    pub(super) fn change<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let result = change(&mut self.state());
        self.changed.send_replace(());
        result
    }

    /// Records a request and returns its serial number.
    pub(super) fn record(&self, mut request: Request) -> u64 {
        let mut state = self.state();
        request.serial = state.requests.len() as u64;
        let serial = request.serial;
        state.requests.push(request);
        self.requested.notify_all();
        serial
    }

    /// Records what a request was answered with.
    pub(super) fn answered(&self, serial: u64, code: u16) {
        let mut state = self.state();
        if let Some(request) = state.requests.iter_mut().find(|request| request.serial == serial) {
            request.code = code;
        }
        self.requested.notify_all();
    }

    /// Waits until the recorded requests satisfy the condition; false if they did not in time.
    pub(super) fn wait_for(&self, limit: Duration, condition: impl Fn(&[Request]) -> bool) -> bool {
        let deadline = Instant::now() + limit;
        let mut state = self.state();
        while !condition(&state.requests) {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            state = self.requested.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        true
    }
}
