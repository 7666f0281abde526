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
pub(super) enum Probe {
    /// `/healthz`, for load balancers: may the node get packets?
    Healthz,
    /// `/livez`, for the kubelet: does the agent work?
    Livez,
}

/// Responds 200 if the agent is healthy and, for `/healthz`, the node is eligible; otherwise 503.
pub(super) fn response(probe: Probe, status: &Status, (now, time): (Instant, SystemTime)) -> HttpResponse {
    let reasons = status.problems(now);
    let healthy = reasons.is_empty();
    let eligible = status.eligible || probe == Probe::Livez;
    let degraded = status.refused.iter();
    let body = Body {
        // While the agent is healthy, the data plane is up to date now.
        last_updated: if healthy { time } else { status.applied.unwrap_or(SystemTime::UNIX_EPOCH) },
        current_time: time,
        node_eligible: (probe == Probe::Healthz).then_some(status.eligible),
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

#[cfg(test)]
mod tests {
    use std::{collections::BTreeMap, sync::Arc, time::Duration};

    use http_body_util::BodyExt as _;
    use serde_json::{Value, json};

    use super::*;
    use crate::{agent::refusals::Refused, objects::Kind, watch::contact::Contact};

    /// The code and the body of a response.
    async fn respond(probe: Probe, status: &Status, now: (Instant, SystemTime)) -> (u16, Value) {
        let response = response(probe, status, now);
        let code = response.status().as_u16();
        let body = response.into_body().collect().await.unwrap().to_bytes();
        (code, serde_json::from_slice(&body).unwrap())
    }

    #[tokio::test]
    async fn s32_a_full_map_is_named_and_leaves_the_agent_healthy() {
        let full = Refused { parts: 3, first: "shop/web".to_owned(), is_service: true };
        let refused = Arc::new(BTreeMap::from([("SERVICES is full".to_owned(), full)]));
        let status = Status { generation: 7, attached: true, refused, ..Status::new() };
        for probe in [Probe::Healthz, Probe::Livez] {
            let (code, body) = respond(probe, &status, (Instant::now(), SystemTime::now())).await;
            assert_eq!((code, &body["healthy"]), (200, &json!(true)), "{body}");
            assert_eq!(body["degraded"], json!([{ "error": "SERVICES is full", "parts": 3, "first": "shop/web" }]));
            assert_eq!(body.get("reasons"), None, "nothing is unhealthy");
        }
        let (_, body) = respond(Probe::Livez, &Status::new(), (Instant::now(), SystemTime::now())).await;
        assert_eq!(body.get("degraded"), None);
    }

    #[tokio::test]
    async fn n13_an_idle_cluster_is_healthy_for_ever() {
        let (start, since) = (Instant::now(), SystemTime::now());
        let contact = Contact::new();
        // The last change was a year ago. The loop looks every two seconds, and watches are renewed every few minutes.
        let year = Duration::from_hours(24 * 365);
        for kind in Kind::ALL {
            contact.note_at(kind, start + year);
        }
        let later = year + Duration::from_mins(5);
        let following = Status::following(Some(contact), Some(Duration::from_mins(10)));
        let status = Status {
            generation: 1,
            attached: true,
            applied: Some(since),
            queued: Some(since),
            alive: start + year + Duration::from_secs(298),
            ..following
        };
        for probe in [Probe::Healthz, Probe::Livez] {
            let (code, body) = respond(probe, &status, (start + later, since + later)).await;
            assert_eq!((code, &body["lastUpdated"]), (200, &body["currentTime"]), "{body}");
        }
        let stuck = Status { alive: start, ..status };
        assert_eq!(respond(Probe::Livez, &stuck, (start + later, since + later)).await.0, 503);
    }
}
