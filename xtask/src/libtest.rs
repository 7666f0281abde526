//! Reads the output of test binaries and counts the results. Pure.

use std::ops::AddAssign;

/// The results of any number of test binaries.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    pub(crate) passed: usize,
    pub(crate) failed: usize,
    pub(crate) skipped: usize,
    /// The names of the failed tests, in order.
    pub(crate) failures: Vec<String>,
}

impl AddAssign for Tally {
    fn add_assign(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.skipped += other.skipped;
        self.failures.extend(other.failures);
    }
}

/// The state of reading the output of one `cargo test`.
#[derive(Debug, Default)]
pub(crate) struct Reader {
    tally: Tally,
    /// The number of tests that the current binary announced; `None` between binaries.
    announced: Option<usize>,
    /// The names below the last `failures:`. libtest prints this heading twice; the list follows the second one.
    listed: Option<Vec<String>>,
}

impl Reader {
    /// Reads one line, without its line break.
    pub(crate) fn line(&mut self, line: &str) {
        if let Some(count) = running(line) {
            self.close();
            self.announced = Some(count);
        } else if line == "failures:" {
            self.listed = Some(Vec::new());
        } else if let Some((passed, failed, skipped)) = result(line) {
            self.announced = None;
            let failures = self.listed.take().unwrap_or_default();
            self.tally += Tally { passed, failed, skipped, failures };
        } else if let (Some(listed), Some(name)) = (&mut self.listed, line.strip_prefix("    ")) {
            listed.push(name.to_owned());
        }
    }

    /// Ends the current binary. If it announced tests but printed no result, it has crashed, which counts as a failure.
    fn close(&mut self) {
        if self.announced.take().is_some() {
            self.listed = None;
            self.fail("a test binary stopped before its end");
        }
    }

    fn fail(&mut self, name: &str) {
        self.tally.failed += 1;
        self.tally.failures.push(name.to_owned());
    }

    /// Returns the counts. `success` tells whether cargo ended with exit code 0; `what` names the run.
    pub(crate) fn finish(mut self, success: bool, what: &str) -> Tally {
        self.close();
        if !success && self.tally.failed == 0 {
            self.fail(what);
        }
        self.tally
    }
}

/// Parses `running 3 tests` into the number.
fn running(line: &str) -> Option<usize> {
    let (count, noun) = line.strip_prefix("running ")?.split_once(' ')?;
    matches!(noun, "test" | "tests").then(|| count.parse().ok())?
}

/// Parses `test result: ok. 3 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.00s` into the numbers of
/// passed, failed and ignored tests.
fn result(line: &str) -> Option<(usize, usize, usize)> {
    let (_, counts) = line.strip_prefix("test result: ")?.split_once(". ")?;
    let count = |word: &str| counts.split("; ").find_map(|part| part.strip_suffix(word)?.trim().parse().ok());
    Some((count("passed")?, count("failed")?, count("ignored")?))
}

/// Returns the names of tests in the output of `--list`.
pub(crate) fn listed(output: &str) -> Vec<&str> {
    output.lines().filter_map(|line| line.strip_suffix(": test")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str, success: bool) -> Tally {
        let mut reader = Reader::default();
        text.lines().for_each(|line| reader.line(line));
        reader.finish(success, "the run")
    }

    const PASSING: &str = "
running 2 tests
test a ... ok
test b ... ignored

test result: ok. 1 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.00s
";

    const FAILING: &str = "
running 2 tests
test lab::s13 ... FAILED
test b ... ok

failures:

---- lab::s13 stdout ----
    indented output
thread 'lab::s13' panicked

failures:
    lab::s13

test result: FAILED. 1 passed; 1 failed; 0 ignored; 0 measured; 4 filtered out; finished in 1.20s
";

    #[test]
    fn binaries_add_up_and_failures_are_named_once() {
        let tally = read(&format!("{FAILING}{PASSING}"), false);
        assert_eq!(tally, Tally { passed: 2, failed: 1, skipped: 1, failures: vec!["lab::s13".into()] });
    }

    #[test]
    fn a_crashed_binary_is_a_failure_wherever_it_stands() {
        let crashed = "running 3 tests\ntest a ... ok\n";
        for text in [format!("{crashed}{PASSING}"), format!("{PASSING}{crashed}")] {
            let tally = read(&text, false);
            assert_eq!((tally.passed, tally.failed), (1, 1));
        }
    }

    #[test]
    fn a_run_that_does_not_compile_is_a_failure() {
        assert_eq!(read("", false).failures, ["the run"]);
        assert_eq!(read(PASSING, true).failed, 0);
    }

    #[test]
    fn names_are_read_from_a_list() {
        assert_eq!(listed("a::b: test\nc: benchmark\n\n1 test, 1 benchmark\n"), ["a::b"]);
    }
}
