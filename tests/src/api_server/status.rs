//! Refusals in the API's words: a `Status` object with its code and reason. It must not decide when to refuse.

use axum::{
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde_json::{Value, json};

use super::resource::Resource;

/// The reason why a request is refused.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Refusal {
    pub(super) code: u16,
    reason: &'static str,
    message: String,
    details: Value,
    /// Seconds that the client should wait.
    retry_after: Option<u32>,
}

impl Refusal {
    fn new(code: u16, reason: &'static str, message: impl Into<String>) -> Self {
        Self { code, reason, message: message.into(), details: json!({}), retry_after: None }
    }

    pub(super) fn bad_request(message: impl Into<String>) -> Self {
        Self::new(400, "BadRequest", message)
    }

    pub(super) fn unauthorized() -> Self {
        Self::new(401, "Unauthorized", "Unauthorized")
    }

    pub(super) fn forbidden(verb: &str, resource: &Resource) -> Self {
        let Resource { plural, group, .. } = resource;
        Self {
            details: json!({"group": group, "kind": plural}),
            ..Self::new(
                403,
                "Forbidden",
                format!(
                    "{plural} is forbidden: User \"system:serviceaccount:kube-system:waggle\" cannot {verb} resource \
                     \"{plural}\" in API group \"{group}\" at the cluster scope"
                ),
            )
        }
    }

    pub(super) fn forbidden_events() -> Self {
        Self::new(403, "Forbidden", "events.events.k8s.io is forbidden: the account cannot create or patch them")
    }

    pub(super) fn not_found() -> Self {
        Self::new(404, "NotFound", "the server could not find the requested resource")
    }

    pub(super) fn method_not_allowed() -> Self {
        Self::new(405, "MethodNotAllowed", "the server does not allow this method on the requested resource")
    }

    pub(super) fn expired(message: impl Into<String>) -> Self {
        Self::new(410, "Expired", message)
    }

    /// For options that contradict each other.
    pub(super) fn invalid_options(field: &str, message: &str) -> Self {
        Self::new(422, "Invalid", format!("ListOptions.meta.k8s.io \"\" is invalid: {field}: {message}"))
    }

    /// For a version that does not exist yet.
    pub(super) fn version_too_large(asked: u64, current: u64) -> Self {
        let message = format!("Too large resource version: {asked}, current: {current}");
        Self {
            details: json!({"causes": [{"reason": "ResourceVersionTooLarge", "message": "Too large resource version"}],
                            "retryAfterSeconds": 1}),
            ..Self::new(504, "Timeout", message)
        }
    }

    /// For an injected failure.
    pub(super) fn injected(code: u16, retry_after: Option<u32>) -> Self {
        let reason = if code == 429 { "TooManyRequests" } else { "InternalError" };
        Self { retry_after, ..Self::new(code, reason, "injected failure") }
    }

    /// The `Status` object.
    pub(super) fn body(&self) -> Value {
        json!({
            "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
            "message": self.message, "reason": self.reason, "details": self.details, "code": self.code,
        })
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let code = StatusCode::from_u16(self.code).expect("refusals carry valid codes");
        let mut response = (code, axum::Json(self.body())).into_response();
        if let Some(seconds) = self.retry_after {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}
