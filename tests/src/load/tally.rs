//! The outcomes of a load's requests.

use std::{
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread::sleep,
    time::{Duration, Instant},
};

use crate::lab::Failure;

/// A pause between two conversations, so that the agent gets a processor, too.
const PAUSE: Duration = Duration::from_millis(3);

/// The outcomes of all requests.
#[derive(Debug)]
pub struct Tally {
    started: Instant,
    answered: AtomicUsize,
    faults: Mutex<Vec<String>>,
    done: AtomicBool,
}

impl Default for Tally {
    fn default() -> Self {
        Self::new()
    }
}

impl Tally {
    /// A tally without requests.
    pub fn new() -> Self {
        Self {
            started: Instant::now(),
            answered: AtomicUsize::new(0),
            faults: Mutex::default(),
            done: AtomicBool::new(false),
        }
    }

    /// Counts an outcome.
    pub(super) fn count<T>(&self, what: &str, outcome: Result<T, Failure>) {
        match outcome {
            Ok(_) => self.answer(),
            Err(failure) => self.fault(&format!("lost: {what}: {failure:?}")),
        }
    }

    /// Counts a request that got a right answer.
    pub fn answer(&self) {
        self.answered.fetch_add(1, Ordering::Relaxed);
    }

    /// Notes a fault.
    pub fn fault(&self, what: &str) {
        self.lock().push(format!("{:?}: {what}", self.started.elapsed()));
    }

    /// The faults so far.
    pub fn faults(&self) -> Vec<String> {
        self.lock().clone()
    }

    /// Whether nothing has been lost.
    pub fn is_clean(&self) -> bool {
        self.lock().is_empty()
    }

    /// Fails if something has been lost.
    ///
    /// # Panics
    /// If something has been lost.
    pub fn check(&self, when: &str) {
        let faults = self.faults();
        assert!(faults.is_empty(), "{when}: {} faults, {} answered: {faults:#?}", faults.len(), self.answers());
    }

    /// How many requests have been answered.
    pub fn answers(&self) -> usize {
        self.answered.load(Ordering::Relaxed)
    }

    /// Ends the load.
    pub fn end(&self) {
        self.done.store(true, Ordering::Relaxed);
    }

    /// Works until the load ends.
    pub fn repeat(&self, mut work: impl FnMut()) {
        while !self.done.load(Ordering::Relaxed) {
            work();
            sleep(PAUSE);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Vec<String>> {
        // A thread that panicked has left whole lines.
        self.faults.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Ends the load when dropped, also if the test beside it fails.
#[derive(Debug)]
pub struct End<'a>(pub &'a Tally);

impl Drop for End<'_> {
    fn drop(&mut self) {
        self.0.end();
    }
}
