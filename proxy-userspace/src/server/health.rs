//! The responses to `/healthz` and `/livez` (S32), in kube-proxy's format (pkg/proxy/healthcheck/proxy_health.go). Pure.

use std::time::{Instant, SystemTime};

use http::StatusCode;
use serde::Serialize;

use super::{listener::HttpResponse, respond::json};
use crate::agent::status::Status;

/// kube-proxy's fields, and the reasons if something is wrong.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Body<'a> {
    #[serde(serialize_with = "rfc3339")]
    last_updated: SystemTime,
    #[serde(serialize_with = "rfc3339")]
    current_time: SystemTime,
    #[serde(skip_serializing_if = "Option::is_none")]
    node_eligible: Option<bool>,
    healthy: bool,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    reasons: Vec<String>,
    /// Parts that are not in force because of an error, grouped by error. They do not make the agent unhealthy.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    degraded: Vec<Degraded<'a>>,
}

#[derive(Serialize)]
struct Degraded<'a> {
    error: &'a str,
    parts: usize,
    first: &'a str,
}

/// Which of the two paths is requested.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Question {
    /// `/healthz`, for load balancers: may the node get packets?
    Health,
    /// `/livez`, for the kubelet: does the agent work?
    Life,
}

/// Responds 200 if the agent is healthy and, for `/healthz`, the node is eligible; otherwise 503.
pub(super) fn response(question: Question, status: &Status, (now, time): (Instant, SystemTime)) -> HttpResponse {
    let reasons = status.ailments(now);
    let healthy = reasons.is_empty();
    let eligible = status.eligible || question == Question::Life;
    let degraded = status.refused.iter();
    let body = Body {
        // While the agent is healthy, the data plane is up to date now.
        last_updated: if healthy { time } else { status.applied },
        current_time: time,
        node_eligible: (question == Question::Health).then_some(status.eligible),
        healthy,
        reasons,
        degraded: degraded
            .map(|(error, refused)| Degraded { error, parts: refused.parts, first: &refused.first })
            .collect(),
    };
    let code = if healthy && eligible { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    json(code, &body)
}

fn rfc3339<S: serde::Serializer>(time: &SystemTime, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&jiff::Timestamp::try_from(*time).unwrap_or_default())
}
