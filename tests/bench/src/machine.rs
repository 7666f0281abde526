//! The machine that is measured: its processors, and how much of their time others on the same hardware have taken.

use std::{fs, thread};

use anyhow::{Context as _, Result};
use nix::sys::utsname::uname;
use serde_json::{Map, Value};

use crate::figures::rounded;

/// What the processors have done since boot, in ticks (`cpu` in proc_stat(5)).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Ticks {
    /// They worked.
    busy: u64,
    /// They were to work, but the hypervisor ran something else.
    stolen: u64,
}

/// The machine, from the beginning of a measurement on.
#[derive(Debug)]
pub struct Machine {
    begin: Ticks,
}

/// A machine's description, and the time that was stolen since the beginning.
#[derive(Clone, Debug, PartialEq)]
pub struct Description {
    /// The model of the processors, as the kernel names it.
    pub processor: String,
    /// The number of processors.
    pub processors: usize,
    /// The kernel's release.
    pub kernel: String,
    /// How much of the time that the processors were to work others got, in percent.
    pub stolen_percent: f64,
}

impl Machine {
    /// Begins to look at the machine.
    pub fn begin() -> Result<Self> {
        Ok(Self { begin: Ticks::read()? })
    }

    /// Describes the machine and the time since the beginning.
    pub fn describe(&self) -> Result<Description> {
        let cpuinfo = fs::read_to_string("/proc/cpuinfo").context("read /proc/cpuinfo")?;
        Ok(Description {
            processor: model(&cpuinfo).to_owned(),
            processors: thread::available_parallelism().context("count the processors")?.get(),
            kernel: uname().context("ask for the kernel's release")?.release().to_string_lossy().into_owned(),
            stolen_percent: Ticks::read()?.stolen_since(self.begin),
        })
    }
}

impl Description {
    /// Returns a sentence.
    pub fn text(&self) -> String {
        let Self { processor, processors, kernel, stolen_percent } = self;
        format!(
            "Processors: {processors} of {processor}, Linux {kernel}. Of the time that they were to work, {stolen_percent:.1} % \
             went to others on the same hardware (steal in /proc/stat)."
        )
    }

    /// Returns the keys for the flat object. Only these are texts.
    pub fn flat(&self) -> Map<String, Value> {
        let texts = [("machine_processor", &self.processor), ("machine_kernel", &self.kernel)];
        let mut flat: Map<_, _> = texts.map(|(key, text)| (key.to_owned(), text.as_str().into())).into_iter().collect();
        flat.insert("machine_processors".into(), self.processors.into());
        flat.insert("machine_stolen_percent".into(), rounded(self.stolen_percent));
        flat
    }
}

impl Ticks {
    fn read() -> Result<Self> {
        let stat = fs::read_to_string("/proc/stat").context("read /proc/stat")?;
        Self::parse(&stat).context("find the times of all processors in /proc/stat")
    }

    /// Reads the line of all processors: user, nice, system, idle, iowait, irq, softirq and steal.
    fn parse(stat: &str) -> Option<Self> {
        let times = stat.lines().find_map(|line| line.strip_prefix("cpu "))?;
        let times: Vec<u64> = times.split_whitespace().map_while(|time| time.parse().ok()).collect();
        let [user, nice, system, _, _, irq, softirq, stolen, ..] = times[..] else { return None };
        Some(Self { busy: user + nice + system + irq + softirq, stolen })
    }

    /// Returns the share that was stolen since `begin`, in percent.
    #[expect(clippy::cast_precision_loss, reason = "ticks are far below 2^52")]
    fn stolen_since(self, begin: Self) -> f64 {
        let stolen = self.stolen.saturating_sub(begin.stolen) as f64;
        let busy = self.busy.saturating_sub(begin.busy) as f64;
        100.0 * stolen / (busy + stolen).max(1.0)
    }
}

/// Returns the model of the first processor; empty if the kernel names none, as on some arm64 machines.
fn model(cpuinfo: &str) -> &str {
    let models = cpuinfo.lines().filter_map(|line| line.split_once(':'));
    models
        .map(|(key, value)| (key.trim(), value.trim()))
        .find(|(key, _)| *key == "model name")
        .map_or("", |(_, model)| model)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stolen_time_is_a_part_of_the_time_that_was_wanted() {
        let at = |stat: &str| Ticks::parse(stat).unwrap();
        let begin = at("cpu  100 0 100 5000 7 50 50 10 0 0\ncpu0 1 2 3 4 5 6 7 8 0 0\n");
        assert_eq!(begin, Ticks { busy: 300, stolen: 10 });
        let end = at("cpu  150 10 110 9000 9 60 60 20 0 0\n");
        assert!((end.stolen_since(begin) - 10.0).abs() < 1e-9);
        assert!(begin.stolen_since(begin).abs() < 1e-9);
        assert_eq!(Ticks::parse("cpu  1 2 3\n"), None);
    }

    #[test]
    fn the_model_is_the_first_processors() {
        assert_eq!(model("processor\t: 0\nmodel\t\t: 106\nmodel name\t: Some CPU @ 2.80GHz\n"), "Some CPU @ 2.80GHz");
        assert_eq!(model("processor\t: 0\nBogoMIPS\t: 50.00\n"), "");
    }
}
