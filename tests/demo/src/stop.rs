//! Ctrl-C and SIGTERM as a condition that can be waited for, so that the demo always cleans up.

use std::{
    sync::{Arc, Condvar, Mutex, PoisonError},
    thread,
    time::Duration,
};

use nix::sys::signal::{SigSet, Signal};

/// Whether the demo should end.
pub struct Stop {
    wanted: Arc<(Mutex<bool>, Condvar)>,
}

impl Stop {
    /// Catches the signals from now on. Call it before any other thread is started, since threads inherit the signal mask.
    pub fn listen() -> nix::Result<Self> {
        let signals = SigSet::from_iter([Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP]);
        signals.thread_block()?;
        let wanted = Arc::<(Mutex<bool>, Condvar)>::default();
        let shared = Arc::clone(&wanted);
        thread::spawn(move || {
            if signals.wait().is_ok() {
                *shared.0.lock().unwrap_or_else(PoisonError::into_inner) = true;
                shared.1.notify_all();
            }
        });
        Ok(Self { wanted })
    }

    /// Whether a signal has come.
    pub fn is_wanted(&self) -> bool {
        *self.wanted.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for a signal, at most this long, and returns whether one has come.
    pub fn wait(&self, timeout: Duration) -> bool {
        let wanted = self.wanted.0.lock().unwrap_or_else(PoisonError::into_inner);
        let outcome = self.wanted.1.wait_timeout_while(wanted, timeout, |wanted| !*wanted);
        *outcome.unwrap_or_else(PoisonError::into_inner).0
    }
}
