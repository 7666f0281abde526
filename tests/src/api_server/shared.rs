//! The state that the test and the serving thread share. Every change is announced, so that neither polls.

use std::{
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use serde_json::Value;
use tokio::sync::watch;

use super::{faults::Faults, store::Store};

/// A request as the server saw it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// Its serial number among all requests, from 0.
    pub serial: u64,
    /// The request's path.
    pub path: String,
    /// The request's parameters, decoded, in the order given.
    pub query: Vec<(String, String)>,
    /// The `Authorization` header.
    pub authorization: Option<String>,
    /// When it arrived.
    pub at: Instant,
    /// The response's code; 0 while there is no response.
    pub code: u16,
}

impl Request {
    /// The value of a parameter.
    pub fn parameter(&self, name: &str) -> Option<&str> {
        self.query.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// Whether the request asks for a watch.
    pub fn is_watch(&self) -> bool {
        self.parameter("watch") == Some("true")
    }

    /// Whether the request asks for a list as a stream, and the changes after it.
    pub fn is_streamed_list(&self) -> bool {
        self.is_watch() && self.parameter("sendInitialEvents") == Some("true")
    }

    /// Whether the request is for this resource, by its plural name.
    pub fn is_for(&self, plural: &str) -> bool {
        self.path.rsplit('/').next() == Some(plural)
    }
}

/// The state behind the lock.
#[derive(Debug)]
pub(super) struct State {
    pub(super) store: Store,
    pub(super) faults: Faults,
    pub(super) requests: Vec<Request>,
    /// The Events that clients have written.
    pub(super) events: Vec<Value>,
    pub(super) token: Option<String>,
    /// The number of bookmarks that the test has asked for.
    pub(super) bookmarks: u64,
}

/// The state and the means to wait for its changes.
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
        let state = State {
            store,
            faults: Faults::default(),
            requests: Vec::new(),
            events: Vec::new(),
            token: None,
            bookmarks: 0,
        };
        Self { state: Mutex::new(state), requested: Condvar::new(), changed: watch::Sender::new(()) }
    }

    /// Reads or changes the state without announcing that.
    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        // A test that panicked while it held the lock has left the state whole.
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

    /// Records the code of a request's response.
    pub(super) fn answered(&self, serial: u64, code: u16) {
        let mut state = self.state();
        if let Some(request) = state.requests.iter_mut().find(|request| request.serial == serial) {
            request.code = code;
        }
        self.requested.notify_all();
    }

    /// Waits until the recorded requests satisfy the condition; false if they do not in time.
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
