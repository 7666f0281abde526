//! Results of tests, read from ginkgo's report or from the text file that keeps them.

use std::{collections::BTreeMap, fs, path::Path};

use anyhow::{Context as _, Result};
use serde_json::Value;

/// How a test ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The test passed.
    Passed,
    /// The test failed, with the first line of the reason.
    Failed(String),
    /// The test found that it does not apply to this cluster.
    Skipped,
}

/// Outcomes by the tests' names.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Results(pub BTreeMap<String, Outcome>);

impl Results {
    /// Reads a report of ginkgo's.
    pub fn read(path: &Path) -> Result<Self> {
        let text = fs::read_to_string(path).with_context(|| format!("read {}", path.display()))?;
        let report: Value = serde_json::from_str(&text).with_context(|| format!("read {}", path.display()))?;
        Ok(Self::from_report(&report))
    }

    fn from_report(report: &Value) -> Self {
        let suites = report.as_array().into_iter().flatten();
        let specs = suites.flat_map(|suite| suite["SpecReports"].as_array().into_iter().flatten());
        Self(specs.filter_map(|spec| Some((name(spec)?, outcome(spec)?))).collect())
    }

    /// The results as text, one line for each test.
    pub fn to_text(&self) -> String {
        let line = |(name, outcome): (&String, &Outcome)| {
            let word = match outcome {
                Outcome::Passed => "passed",
                Outcome::Failed(_) => "failed",
                Outcome::Skipped => "skipped",
            };
            format!("{word} {name}\n")
        };
        self.0.iter().map(line).collect()
    }

    /// Reads results from such text.
    pub fn from_text(text: &str) -> Self {
        let line = |line: &str| {
            let (word, name) = line.split_once(' ')?;
            let outcome = match word {
                "passed" => Outcome::Passed,
                "failed" => Outcome::Failed(String::new()),
                "skipped" => Outcome::Skipped,
                _ => return None,
            };
            Some((name.to_owned(), outcome))
        };
        Self(text.lines().filter_map(line).collect())
    }

    /// Whether there are no results.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Tests that failed and are not known to fail with `theirs`.
    pub fn new_failures<'a>(&'a self, theirs: &'a Self) -> impl Iterator<Item = (&'a str, &'a str)> {
        self.0.iter().filter_map(|(name, outcome)| match outcome {
            Outcome::Failed(why) if !matches!(theirs.0.get(name), Some(Outcome::Failed(_))) => {
                Some((name.as_str(), why.as_str()))
            }
            _ => None,
        })
    }
}

/// The test's name without its labels; `None` for entries of the report that are no tests.
fn name(spec: &Value) -> Option<String> {
    if spec["LeafNodeType"] != "It" {
        return None;
    }
    let containers = spec["ContainerHierarchyTexts"].as_array().into_iter().flatten();
    let words: Vec<_> = containers.chain([&spec["LeafNodeText"]]).filter_map(Value::as_str).collect();
    let name = words.join(" ");
    Some(name.strip_prefix("[sig-network] ").unwrap_or(&name).to_owned())
}

/// The outcome; `None` if the test was not selected.
fn outcome(spec: &Value) -> Option<Outcome> {
    match spec["State"].as_str()? {
        "passed" => Some(Outcome::Passed),
        // A test that was not selected has never started.
        "skipped" if spec["NumAttempts"].as_u64().unwrap_or(0) == 0 => None,
        "skipped" => Some(Outcome::Skipped),
        "pending" => None,
        _ => {
            let message = spec["Failure"]["Message"].as_str().unwrap_or("no reason is given");
            Some(Outcome::Failed(message.lines().next().unwrap_or_default().to_owned()))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_is_read_and_kept() {
        let spec = |text: &str, state: &str, attempts: u8| {
            serde_json::json!({
                "LeafNodeType": "It", "ContainerHierarchyTexts": ["[sig-network] Services"], "LeafNodeText": text,
                "State": state, "NumAttempts": attempts, "Failure": { "Message": "no answer\nmore" },
            })
        };
        let specs = [spec("a", "passed", 1), spec("b", "failed", 1), spec("c", "skipped", 1), spec("d", "skipped", 0)];
        let results = Results::from_report(&serde_json::json!([{ "SpecReports": specs }]));
        assert_eq!(results.0.len(), 3, "{results:?}");
        assert_eq!(results.0["Services b"], Outcome::Failed("no answer".to_owned()));
        let kept = Results::from_text(&results.to_text());
        assert_eq!(kept.0["Services c"], Outcome::Skipped);
        assert_eq!(results.new_failures(&kept).count(), 0);
        assert_eq!(results.new_failures(&Results::default()).next(), Some(("Services b", "no answer")));
    }
}
