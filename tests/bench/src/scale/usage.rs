//! The processor time and memory of a process.

use std::{
    fs,
    thread::sleep,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};
use nix::{
    time::{ClockId, clock_gettime},
    unistd::Pid,
};

/// How long an agent is watched before it counts as quiet, and the processor time that it may use in that time.
const GLANCE: (Duration, Duration) = (Duration::from_millis(250), Duration::from_millis(2));

/// How long to wait until an agent is quiet.
const WAIT_LIMIT: Duration = Duration::from_mins(3);

/// A running agent's process.
#[derive(Clone, Copy, Debug)]
pub struct Usage {
    pid: u32,
}

impl Usage {
    /// The usage of a process.
    pub const fn of(pid: u32) -> Self {
        Self { pid }
    }

    /// The process.
    pub const fn pid(self) -> u32 {
        self.pid
    }

    /// The processor time of all its threads so far, including threads that have ended.
    pub fn processor(self) -> Result<Duration> {
        let clock = ClockId::pid_cpu_clock_id(Pid::from_raw(self.pid.cast_signed()));
        let time = clock.and_then(clock_gettime).context("read the agent's processor time")?;
        Ok(time.into())
    }

    /// The processor time since [`Self::processor`] was `before`.
    pub fn processor_since(self, before: Duration) -> Result<Duration> {
        Ok(self.processor()?.saturating_sub(before))
    }

    /// The part of one processor that it uses during the next `time`.
    pub fn busy_over(self, time: Duration) -> Result<f64> {
        let (begin, before) = (Instant::now(), self.processor()?);
        sleep(time);
        Ok(self.processor_since(before)?.as_secs_f64() / begin.elapsed().as_secs_f64())
    }

    /// Waits until it has no work.
    pub fn quiet(self) -> Result<()> {
        let begin = Instant::now();
        let (glance, most) = GLANCE;
        loop {
            let before = self.processor()?;
            sleep(glance);
            if self.processor_since(before)? <= most {
                return Ok(());
            }
            if begin.elapsed() > WAIT_LIMIT {
                bail!("the agent is still busy after {WAIT_LIMIT:?}");
            }
        }
    }

    /// Its resident anonymous memory, in bytes.
    pub fn anonymous(self) -> Result<u64> {
        self.status("RssAnon")
    }

    /// Its resident memory, in bytes.
    pub fn resident(self) -> Result<u64> {
        self.status("VmRSS")
    }

    /// The most resident memory since [`Self::forget_peak`], in bytes.
    pub fn peak(self) -> Result<u64> {
        self.status("VmHWM")
    }

    /// Makes the present resident memory the peak: proc_pid_clear_refs(5).
    pub fn forget_peak(self) -> Result<()> {
        let path = format!("/proc/{}/clear_refs", self.pid);
        fs::write(&path, "5").with_context(|| format!("write {path}"))
    }

    fn status(self, name: &str) -> Result<u64> {
        let path = format!("/proc/{}/status", self.pid);
        let status = fs::read_to_string(&path).with_context(|| format!("read {path}"))?;
        kilobytes(&status, name).with_context(|| format!("find {name} in {path}"))
    }
}

/// The machine's available memory, in bytes.
pub fn available() -> Result<u64> {
    let text = fs::read_to_string("/proc/meminfo").context("read /proc/meminfo")?;
    kilobytes(&text, "MemAvailable").context("find MemAvailable in /proc/meminfo")
}

/// The value of a line such as `RssAnon:     1234 kB`, in bytes.
fn kilobytes(text: &str, name: &str) -> Option<u64> {
    let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
    value.trim().strip_suffix("kB")?.trim_end().parse::<u64>().ok().map(|value| value * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn value_is_that_of_the_whole_name() {
        let text = "RssAnonymous:\t 1 kB\nRssAnon:\t   1234 kB\nThreads:\t4\n";
        assert_eq!(kilobytes(text, "RssAnon"), Some(1234 * 1024));
        assert_eq!(kilobytes(text, "Rss"), None);
        assert_eq!(kilobytes(text, "Threads"), None);
    }

    #[test]
    fn processor_time_grows_with_work() {
        let this = Usage::of(std::process::id());
        let before = this.processor().unwrap();
        while this.processor().unwrap() < before + Duration::from_millis(5) {}
        assert!(this.anonymous().unwrap() > 0);
    }
}
