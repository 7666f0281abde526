//! A finding: one line of `waggle check`.

use std::fmt;

use serde::Serialize;

use crate::commands::get;

/// How good a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) enum Level {
    /// Nothing to do.
    Ok,
    /// The agent runs, but something is not served, or served less well; or this could not be seen.
    Warning,
    /// The agent can't run or serve the node's own processes.
    Missing,
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ok => "ok",
            Self::Warning => "warning",
            Self::Missing => "missing",
        })
    }
}

/// What was found about one subject.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Finding {
    pub(super) level: Level,
    pub(super) subject: String,
    pub(super) found: String,
    /// What to do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) advice: Option<String>,
}

impl Finding {
    pub(super) fn ok(subject: impl Into<String>, found: impl Into<String>) -> Self {
        Self { level: Level::Ok, subject: subject.into(), found: found.into(), advice: None }
    }

    pub(super) fn warning(subject: impl Into<String>, found: impl Into<String>, advice: impl Into<String>) -> Self {
        Self { level: Level::Warning, advice: Some(advice.into()), ..Self::ok(subject, found) }
    }

    pub(super) fn missing(subject: impl Into<String>, found: impl Into<String>, advice: impl Into<String>) -> Self {
        Self { level: Level::Missing, ..Self::warning(subject, found, advice) }
    }

    /// The subject could not be looked at, for this reason.
    pub(super) fn unseen(subject: impl Into<String>, reason: impl fmt::Display) -> Self {
        Self::warning(subject, format!("not seen: {reason}"), "run waggle check as root")
    }
}

/// Formats findings as aligned columns. What to do is on a line of its own, below what was found.
pub(super) fn aligned(findings: &[Finding]) -> String {
    let lines = findings.iter().flat_map(|finding| {
        let line = vec![finding.level.to_string(), finding.subject.clone(), finding.found.clone()];
        let advice = finding.advice.as_ref().map(|advice| vec![String::new(), String::new(), format!("→ {advice}")]);
        [line].into_iter().chain(advice)
    });
    get::aligned(&["RESULT", "SUBJECT", "FOUND"], lines.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_to_do_is_below_what_was_found() {
        let findings = [
            Finding::ok("kernel", "6.18.0"),
            Finding::warning("port 10249", "in use", "stop kube-proxy"),
            Finding::missing("bpffs", "not mounted", "mount it"),
        ];
        let wanted = "\
RESULT    SUBJECT      FOUND
ok        kernel       6.18.0
warning   port 10249   in use
                       → stop kube-proxy
missing   bpffs        not mounted
                       → mount it
";
        assert_eq!(aligned(&findings), wanted);
        assert_eq!(
            serde_json::to_string(&findings[1]).unwrap(),
            r#"{"level":"warning","subject":"port 10249","found":"in use","advice":"stop kube-proxy"}"#
        );
        assert!(Level::Ok < Level::Warning && Level::Warning < Level::Missing);
    }
}
