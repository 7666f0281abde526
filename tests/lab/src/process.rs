//! A process inside the lab, killed and reaped when dropped.

use std::{
    io,
    os::unix::process::ExitStatusExt,
    process::{Child, ChildStderr, ChildStdin, ChildStdout, ExitStatus},
    time::Duration,
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use super::{
    error::{Result, WithContext},
    wait::wait_for,
};

/// A running (or ended) process of a lab.
#[derive(Debug)]
pub struct Process {
    child: Child,
}

impl Process {
    pub(super) fn new(child: Child) -> Self {
        Self { child }
    }

    /// Process id, valid until the process has been waited for.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// The pipe to its stdin, once, if the command asked for one.
    pub fn take_stdin(&mut self) -> Option<ChildStdin> {
        self.child.stdin.take()
    }

    /// The pipe from its stdout, once, if the command asked for one.
    pub fn take_stdout(&mut self) -> Option<ChildStdout> {
        self.child.stdout.take()
    }

    /// The pipe from its stderr, once, if the command asked for one.
    pub fn take_stderr(&mut self) -> Option<ChildStderr> {
        self.child.stderr.take()
    }

    /// Whether it has not ended yet.
    pub fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Sends a signal; a process that has ended already is no error.
    pub fn signal(&mut self, signal: Signal) -> Result<()> {
        if !self.is_running() {
            return Ok(());
        }
        kill(self.pid(), signal).with_context(|| format!("send {signal} to process {}", self.child.id()))
    }

    /// Waits until the process ends.
    pub fn wait(&mut self, timeout: Duration) -> Result<ExitStatus> {
        let mut status = None;
        wait_for(&format!("the end of process {}", self.id()), timeout, || {
            status = self.child.try_wait().transpose();
            status.is_some()
        })?;
        status.unwrap_or_else(|| Ok(ExitStatus::from_raw(0))).with_context(|| format!("wait for process {}", self.id()))
    }

    /// Kills and reaps the process.
    pub fn kill(&mut self) -> Result<()> {
        self.end().with_context(|| format!("kill process {}", self.id()))
    }

    fn end(&mut self) -> io::Result<()> {
        self.child.kill()?;
        self.child.wait().map(drop)
    }

    fn pid(&self) -> Pid {
        Pid::from_raw(self.child.id().cast_signed())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // A failure here has no remedy; the whole cgroup of the lab is killed at its end.
        let _ = self.end();
    }
}
