//! `waggle explain --drop`: what a reason to refuse a packet or a call means, and what to do. Pure.

use proxy_common::{Counter, Outcome};
use serde::Serialize;

use super::{
    question::QuestionError,
    wrap::{Topic, columns},
};

/// A reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ReasonReport {
    /// `reject` or `drop`, as in `waggle get drops`.
    pub verdict: &'static str,
    /// The reason's label.
    pub reason: &'static str,
    /// The reason in words.
    pub meaning: &'static str,
    /// The rule of docs/semantics.md that demands the refusal; `None` if there is none.
    pub rule: Option<&'static str>,
    /// What sockets on this node see.
    pub sockets_see: &'static str,
    /// What clients outside see.
    pub clients_outside_see: &'static str,
    /// What to do.
    pub advice: &'static str,
}

/// Returns every counter of refusals, in the order of their numbers.
fn refusals() -> impl Iterator<Item = Counter> {
    Counter::ALL.into_iter().filter(|counter| counter.label().0 != Outcome::Done)
}

/// Returns the rule of docs/semantics.md that demands a refusal, if its meaning cites one at its end.
pub fn rule(counter: Counter) -> Option<&'static str> {
    counter.meaning().strip_suffix(')')?.rsplit_once('(').map(|(_, rule)| rule)
}

/// Returns what is known about the reason with a label.
pub fn reason(label: &str) -> Result<ReasonReport, QuestionError> {
    let unknown = || QuestionError::Reason {
        reason: label.to_owned(),
        reasons: refusals().map(|counter| counter.label().1).collect(),
    };
    let counter = refusals().find(|counter| counter.label().1 == label).ok_or_else(unknown)?;
    let is_reject = counter.label().0 == Outcome::Rejected;
    Ok(ReasonReport {
        verdict: if is_reject { "reject" } else { "drop" },
        reason: counter.label().1,
        meaning: counter.meaning(),
        rule: rule(counter),
        sockets_see: sockets_see(counter),
        clients_outside_see: clients_outside_see(counter),
        advice: counter.advice().unwrap_or_default(),
    })
}

const fn sockets_see(counter: Counter) -> &'static str {
    match counter {
        Counter::RejectNoBackend | Counter::RejectUnservedPort => "ECONNREFUSED (connection refused) at once",
        Counter::DropNoLocalBackend
        | Counter::DropUnownedAddress
        | Counter::DropMissingBackend
        | Counter::DropSourceRange => "EHOSTUNREACH (no route to host) at once",
        _ => "nothing: it concerns packets only",
    }
}

const fn clients_outside_see(counter: Counter) -> &'static str {
    match counter {
        Counter::RejectNoBackend | Counter::RejectUnservedPort => {
            "RST (TCP) or ICMP port unreachable (UDP, SCTP) at once"
        }
        Counter::RejectUnknownConnection => "RST (TCP) or ICMP port unreachable (SCTP) at once",
        Counter::DropTooBig => "ICMP fragmentation needed, or packet too big (ICMPv6)",
        Counter::DropHopLimit => "ICMP time exceeded",
        _ => "nothing: the packet is dropped silently",
    }
}

/// Formats a reason for people. Every line ends with a newline.
pub fn text(report: &ReasonReport) -> String {
    let rule = report.rule.map_or_else(|| "none".to_owned(), |rule| format!("{rule} in docs/semantics.md"));
    let topic = |name: &str, line: &str| Topic { name: name.to_owned(), lines: vec![line.to_owned()] };
    columns(&[
        topic("reason", &format!("{} ({})", report.reason, report.verdict)),
        topic("meaning", report.meaning),
        topic("rule", &rule),
        topic("sockets see", report.sockets_see),
        topic("outside sees", report.clients_outside_see),
        topic("what to do", report.advice),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_of_get_drops_is_explained() {
        for counter in refusals() {
            let report = reason(counter.label().1).unwrap();
            assert_eq!(report.reason, counter.label().1);
            assert!(!report.advice.is_empty() && text(&report).lines().count() >= 6, "{report:?}");
        }
    }

    #[test]
    fn s21_a_reason_says_its_rule_and_what_clients_see() {
        let report = reason("source_range").unwrap();
        assert_eq!((report.verdict, report.rule), ("drop", Some("S21")));
        assert!(report.sockets_see.starts_with("EHOSTUNREACH"));
        assert!(text(&report).contains("rule          S21 in docs/semantics.md\n"));
        assert_eq!(reason("hop_limit").unwrap().rule, None);
    }

    #[test]
    fn an_unknown_reason_is_an_error_that_names_all() {
        let error = reason("socket_translated").unwrap_err().to_string();
        let begin = "explain reason \"socket_translated\": there is none of this name; the reasons are no_backend, ";
        assert!(error.starts_with(begin) && error.ends_with(", missing_stage"), "{error}");
    }
}
