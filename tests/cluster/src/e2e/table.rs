//! The table of results, area by area, beside kube-proxy's. Pure.

use std::{collections::BTreeMap, fmt::Write as _};

use super::report::{Outcome, Results};

/// How many tests of an area had which outcome.
#[derive(Clone, Copy, Default)]
struct Counts {
    passed: u32,
    failed: u32,
    skipped: u32,
}

impl Counts {
    fn add(&mut self, outcome: &Outcome) {
        match outcome {
            Outcome::Passed => self.passed += 1,
            Outcome::Failed(_) => self.failed += 1,
            Outcome::Skipped => self.skipped += 1,
        }
    }
}

/// A table of this run's results and of kube-proxy's for those tests, and then what has failed.
pub fn table(ours: &Results, theirs: &Results) -> String {
    let mut areas: BTreeMap<&str, [Counts; 2]> = BTreeMap::new();
    for (name, outcome) in &ours.0 {
        let counts = areas.entry(area(name)).or_default();
        counts[0].add(outcome);
        if let Some(outcome) = theirs.0.get(name) {
            counts[1].add(outcome);
        }
    }
    let mut total = [Counts::default(); 2];
    let width = areas.keys().map(|area| area.len()).max().unwrap_or(0);
    let mut text =
        format!("\n{:width$} {:>6} {:>6} {:>7}   kube-proxy: passed failed\n", "", "passed", "failed", "skipped");
    for (area, [ours, theirs]) in &areas {
        line(&mut text, width, area, *ours, *theirs);
        for (total, one) in total.iter_mut().zip([ours, theirs]) {
            total.passed += one.passed;
            total.failed += one.failed;
            total.skipped += one.skipped;
        }
    }
    line(&mut text, width, "all", total[0], total[1]);
    for (name, why) in ours.new_failures(theirs) {
        let _ = write!(text, "\nfailed: {name}\n        {why}\n");
    }
    let Counts { passed, failed, skipped } = total[0];
    let _ = write!(text, "\n{passed} passed, {failed} failed, {skipped} skipped\n");
    text
}

fn line(text: &mut String, width: usize, area: &str, ours: Counts, theirs: Counts) {
    let Counts { passed, failed, skipped } = ours;
    let _ = writeln!(
        text,
        "{area:width$} {passed:>6} {failed:>6} {skipped:>7}               {:>6} {:>6}",
        theirs.passed, theirs.failed
    );
}

/// The area of a test: the words of its name up to the verb.
fn area(name: &str) -> &str {
    let end = name.find(" should ").or_else(|| name.find(" validates ")).unwrap_or(name.len());
    let area = name[..end].trim_end_matches(" [LinuxOnly]");
    area.strip_prefix("[Feature:IPv6DualStack] Granular Checks: ").unwrap_or(area)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tests_are_counted_by_area() {
        let ours =
            Results::from_text("passed Services should a\nfailed Services should b\npassed HostPort validates c\n");
        let theirs = Results::from_text("passed Services should a\nfailed Services should b\n");
        let table = table(&ours, &theirs);
        let line = |begin: &str| {
            let line = table.lines().find(|line| line.starts_with(begin)).unwrap();
            line[begin.len()..].split_whitespace().collect::<Vec<_>>()
        };
        assert_eq!(line("Services"), ["1", "1", "0", "1", "1"]);
        assert_eq!(line("all"), ["2", "1", "0", "1", "1"]);
        assert!(!table.contains("failed: "), "kube-proxy fails there, too");
    }
}
