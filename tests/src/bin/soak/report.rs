//! The results of a run.

use std::{
    collections::BTreeMap,
    fmt::{self, Display, Formatter},
    time::Duration,
};

use harness::load::Tally;
use serde_json::json;

/// How many faults are shown.
const SHOWN: usize = 20;

/// The numbers of a run, and everything that was wrong.
#[derive(Debug)]
pub struct Report {
    lasted: Duration,
    answered: usize,
    disturbed: BTreeMap<String, usize>,
    faults: Vec<String>,
    /// How many segments of TCP were sent again.
    pub sent_again: u64,
}

impl Report {
    /// The report of a load and of disturbances, which are counted by name.
    pub fn new(lasted: Duration, tally: &Tally, disturbed: &BTreeMap<String, usize>) -> Self {
        Self { lasted, answered: tally.answers(), disturbed: disturbed.clone(), faults: tally.faults(), sent_again: 0 }
    }

    /// Adds something that was wrong.
    pub fn add(&mut self, fault: String) {
        self.faults.push(fault);
    }

    /// Whether nothing was wrong.
    pub fn is_clean(&self) -> bool {
        self.faults.is_empty()
    }

    /// As a JSON object.
    pub fn json(&self, seed: u64) -> String {
        json!({
            "seed": seed,
            "seconds": self.lasted.as_secs(),
            "answered": self.answered,
            "disturbances": self.disturbed,
            "sentAgain": self.sent_again,
            "faults": self.faults,
        })
        .to_string()
    }
}

impl Display for Report {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        writeln!(f, "\ndisturbance            times")?;
        for (name, times) in &self.disturbed {
            writeln!(f, "{name:<22} {times:>5}")?;
        }
        let total: usize = self.disturbed.values().sum();
        let of = |kind: &str| self.faults.iter().filter(|fault| fault.contains(kind)).count();
        let (lost, misdelivered) = (of(": lost: "), of(": misdelivered: "));
        writeln!(
            f,
            "{total} disturbances in {:.0} s; {} conversations and echoes answered, {lost} lost, {misdelivered} misdelivered, \
             {} other faults; {} segments sent again",
            self.lasted.as_secs_f64(),
            self.answered,
            self.faults.len() - lost - misdelivered,
            self.sent_again
        )?;
        self.faults.iter().take(SHOWN).try_for_each(|fault| writeln!(f, "  {fault}"))
    }
}
