//! Reads the output of a machine's init and tests, and counts the results. Pure.

use super::selection::Selection;
use crate::libtest::{Reader, Tally};

/// The prefix of init's own lines, which tells them from those of tests.
const MARK: &str = "waggle-vm: ";

/// The state of reading one machine's output.
#[derive(Debug, Default)]
pub(super) struct Transcript {
    /// The running test executable.
    current: Option<(String, Reader)>,
    /// The names of the executables that have ended.
    ended: Vec<String>,
    tally: Tally,
    done: bool,
}

impl Transcript {
    /// Reads one line, without its line break. Returns true if it is a test's, not init's.
    pub(super) fn line(&mut self, line: &str) -> bool {
        let Some(event) = line.strip_prefix(MARK) else {
            if let Some((_, reader)) = &mut self.current {
                reader.line(line);
            }
            return true;
        };
        match event.split_once(' ') {
            Some(("begin", name)) => self.current = Some((name.to_owned(), Reader::default())),
            Some(("end", code)) => self.end(code == "0"),
            _ => self.done |= event == "done",
        }
        false
    }

    fn end(&mut self, success: bool) {
        let Some((name, reader)) = self.current.take() else { return };
        let mut tally = reader.finish(success, &name);
        if tally.passed + tally.failed == 0 {
            // A selection without tests could never fail, so it counts as a failure.
            tally.failed = 1;
            tally.failures = vec![format!("{name} ran no test")];
        }
        self.tally += tally;
        self.ended.push(name);
    }

    /// True if the machine has run all tests.
    pub(super) fn is_done(&self) -> bool {
        self.done
    }

    /// Returns the counts, with `release` in the names of failures. Selections that have not ended count as failed.
    pub(super) fn finish(mut self, selections: &[Selection], release: &str) -> Tally {
        self.end(false);
        let missing =
            selections.iter().skip(self.ended.len()).map(|selection| format!("{} did not run", selection.line()));
        let missing: Vec<_> = missing.collect();
        self.tally.failed += missing.len();
        self.tally.failures.extend(missing);
        if !self.done {
            self.fail("the machine stopped early");
        }
        for name in &mut self.tally.failures {
            *name = format!("{release}: {name}");
        }
        self.tally
    }

    /// Counts a failure that no test reports.
    pub(super) fn fail(&mut self, what: &str) {
        self.tally.failed += 1;
        self.tally.failures.push(what.to_owned());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIRST: &str = "
waggle-vm: begin a
running 1 test
test one ... ok

test result: ok. 1 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.00s

waggle-vm: end 0
";

    fn read(text: &str) -> Tally {
        let mut transcript = Transcript::default();
        for line in text.lines() {
            transcript.line(line);
        }
        transcript.finish(&[Selection::new("a", &[""; 0]), Selection::new("b", &[""; 0])], "6.1")
    }

    #[test]
    fn a_complete_run_passes() {
        let second = FIRST.replace("begin a", "begin b");
        let tally = read(&format!("{FIRST}{second}waggle-vm: done\n"));
        assert_eq!(tally, Tally { passed: 2, ..Tally::default() });
    }

    #[test]
    fn a_machine_that_stops_early_fails_with_what_it_was_doing() {
        let tally = read(&format!("{FIRST}waggle-vm: begin b\nrunning 2 tests\ntest two ... ok\n"));
        assert_eq!(tally.passed, 1);
        assert_eq!(tally.failures, ["6.1: a test binary stopped before its end", "6.1: the machine stopped early"]);
        let silent = ["6.1: a did not run", "6.1: b did not run", "6.1: the machine stopped early"];
        assert_eq!(read("").failures, silent);
    }

    #[test]
    fn an_executable_must_run_a_test_and_succeed() {
        let nothing = "waggle-vm: begin b\nwaggle-vm: end 0\nwaggle-vm: done\n";
        assert_eq!(read(&format!("{FIRST}{nothing}")).failures, ["6.1: b ran no test"]);
        let crashed = "waggle-vm: begin b\nwaggle-vm: end 127\nwaggle-vm: done\n";
        assert_eq!(read(&format!("{FIRST}{crashed}")).failures, ["6.1: b"]);
    }
}
