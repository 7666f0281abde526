//! What makes the agent unhealthy: the sentences of `/healthz` and `/livez`, as the code writes them.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use super::text::{row, titles};
use crate::{
    agent::status::Status,
    attach::{AttachPoint, Missing},
    objects::Kind,
    watch::contact::Contact,
};

/// How long what is wrong in the examples has lasted.
const LONG: Duration = Duration::from_secs(700);

/// Returns, for each thing that makes an agent unhealthy, the sentence and what to do about it.
fn problems() -> [(String, &'static str); 7] {
    let contact = Contact::new();
    let start = Instant::now();
    let now = start + LONG;
    for kind in Kind::ALL.into_iter().filter(|kind| *kind != Kind::EndpointSlice) {
        contact.note_at(kind, now);
    }
    let healthy = Status { generation: 1, attached: true, alive: now, ..Status::new() };
    let silence = Some(Duration::from_mins(10));
    let examples = [
        (
            Status { generation: 0, ..healthy.clone() },
            "Wait. If it stays, the API server has not listed all kinds yet: the log says what fails.",
        ),
        (
            Status { attached: false, ..healthy.clone() },
            "Wait some seconds for the verifier. If it stays, the log says what can't be attached.",
        ),
        (
            Status { alive: start, ..healthy.clone() },
            "Keep the log, restart the agent, and report it. Connections continue.",
        ),
        (
            Status { failing: Some(start), ..healthy.clone() },
            "The kernel refuses writes for another reason than a full map. The log has its error.",
        ),
        (lacking(&healthy, AttachPoint::Cgroup, "connect4", start), "What the sentence says."),
        (lacking(&healthy, AttachPoint::Device, "eth0", start), "What the sentence says."),
        (
            Status { contact: Some(contact), silence, ..healthy.clone() },
            "Check the way to the API server and the agent's credentials. `--unhealthy-after` sets the limit.",
        ),
    ];
    examples.map(|(status, remedy)| {
        let problems = status.problems(now);
        let [problem] = problems.as_slice() else { panic!("an example has one problem: {problems:?}") };
        (problem.clone(), remedy)
    })
}

/// Returns the status of a healthy agent that then lacks the program of a hook or device.
fn lacking(healthy: &Status, place: AttachPoint, name: &str, since: Instant) -> Status {
    let missing = Missing::default();
    missing.replace(place, BTreeMap::from([(name.to_owned(), "REASON".to_owned())]), since);
    Status { missing, ..healthy.clone() }
}

/// Returns the section.
pub(super) fn section() -> String {
    let rows = problems().map(|(problem, remedy)| row([&format!("`{problem}`"), remedy]));
    format!(
        "\
## What makes the agent unhealthy

`/healthz` and `/livez` on port 10256 then respond 503, and the field `reasons` of the response has a sentence for each reason.
Numbers and names here are examples.

{}{}
`/healthz` also responds 503, with `\"nodeEligible\":false`, while the Node object is being deleted or has the taint
`ToBeDeletedByClusterAutoscaler`. What a full map has no room for is listed in the field `degraded`, and is no reason for 503.
",
        titles(["sentence", "what to do"]),
        rows.concat()
    )
}
