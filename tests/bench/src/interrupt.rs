//! Ctrl-C and SIGTERM end the measurement between two blocks, so that the lab is removed as at a normal end.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
};

use anyhow::{Context as _, Result, bail};
use nix::sys::signal::{SigSet, Signal};

/// Whether a signal has come.
#[derive(Clone, Debug, Default)]
pub struct Interrupted(Arc<AtomicBool>);

impl Interrupted {
    /// Returns an error once a signal has come.
    pub fn check(&self) -> Result<()> {
        if self.0.load(Ordering::Relaxed) {
            bail!("interrupted: nothing is reported");
        }
        Ok(())
    }
}

/// Catches the signals from now on. Call it before other threads start, since they inherit the mask.
pub fn watch() -> Result<Interrupted> {
    let mut signals = SigSet::empty();
    signals.add(Signal::SIGINT);
    signals.add(Signal::SIGTERM);
    signals.thread_block().context("block SIGINT and SIGTERM")?;
    let interrupted = Interrupted::default();
    let seen = interrupted.clone();
    thread::spawn(move || {
        // A second signal ends the process at once; the next lab removes what is left.
        for status in 0..2 {
            let _ = signals.wait();
            seen.0.store(true, Ordering::Relaxed);
            if status == 1 {
                std::process::exit(130);
            }
        }
    });
    Ok(interrupted)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn measurement_goes_on_until_a_signal() {
        let interrupted = Interrupted::default();
        assert!(interrupted.check().is_ok());
        interrupted.0.store(true, Ordering::Relaxed);
        assert!(interrupted.check().is_err());
    }
}
