//! Events (events.k8s.io/v1), the one resource that clients write: creation and merge patches, as strict as the API's validation
//! (pkg/apis/core/validation/events.go). The server keeps them for the test, and lists and watches none.

use axum::http::{HeaderMap, Method, header};
use serde_json::Value;

use super::status::Refusal;

/// The API's limits, in bytes.
const NOTE: usize = 1024;
const WORD: usize = 128;

/// The namespace and, for a patch, the name in the path of an Event; none for any other path.
pub(super) fn target(path: &str) -> Option<(&str, Option<&str>)> {
    let (namespace, rest) = path.strip_prefix("/apis/events.k8s.io/v1/namespaces/")?.split_once('/')?;
    match rest.strip_prefix("events")? {
        "" => Some((namespace, None)),
        name => Some((namespace, Some(name.strip_prefix('/')?))),
    }
}

/// Takes a request for an Event. Returns the Event as stored.
pub(super) fn write(
    events: &mut Vec<Value>,
    (namespace, name): (&str, Option<&str>),
    (method, headers, body): (&Method, &HeaderMap, &[u8]),
) -> Result<Value, Refusal> {
    let body: Value = serde_json::from_slice(body).map_err(|error| Refusal::bad_request(error.to_string()))?;
    let sent_as = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    match (method, name, sent_as) {
        (&Method::POST, None, "application/json") => {
            let mut event = body;
            let of = |event: &Value| (event["metadata"]["namespace"].clone(), event["metadata"]["name"].clone());
            if event["metadata"]["namespace"].is_null() {
                event["metadata"]["namespace"] = namespace.into();
            }
            if events.iter().any(|other| of(other) == of(&event)) {
                return Err(Refusal::bad_request("the Event exists"));
            }
            validate(&event, namespace)?;
            events.push(event.clone());
            Ok(event)
        }
        (&Method::PATCH, Some(name), "application/merge-patch+json") => {
            let is_it =
                |event: &&mut Value| event["metadata"]["name"] == name && event["metadata"]["namespace"] == namespace;
            let event = events.iter_mut().find(is_it).ok_or_else(Refusal::not_found)?;
            // The API refuses a change of any other field that a client sends.
            let count = &body["series"]["count"];
            if count.as_u64().is_none_or(|count| count < 2) || body["series"]["lastObservedTime"].as_str().is_none() {
                return Err(Refusal::bad_request("series: a count and a time are required"));
            }
            event["series"] = body["series"].clone();
            Ok(event.clone())
        }
        _ => Err(Refusal::method_not_allowed()),
    }
}

fn validate(event: &Value, namespace: &str) -> Result<(), Refusal> {
    let text = |field: &str| event[field].as_str().unwrap_or_default();
    let wrong = |what: &str| Err(Refusal::bad_request(format!("{what}: {event}")));
    if event["kind"] != "Event" || event["apiVersion"] != "events.k8s.io/v1" {
        return wrong("kind");
    }
    if ["reportingController", "reportingInstance", "action", "reason"]
        .iter()
        .any(|field| !(1..=WORD).contains(&text(field).len()))
    {
        return wrong("a required word is missing or too long");
    }
    if text("eventTime").is_empty() || text("note").len() > NOTE || !["Normal", "Warning"].contains(&text("type")) {
        return wrong("eventTime, note or type");
    }
    let about = event["regarding"]["namespace"].as_str().unwrap_or_default();
    let own = event["metadata"]["namespace"].as_str().unwrap_or_default();
    let expected = if about.is_empty() { "default" } else { about };
    if own != namespace || own != expected || event["metadata"]["name"].as_str().is_none() {
        return wrong("the namespace is not that of the object");
    }
    Ok(())
}
