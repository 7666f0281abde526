//! Builds HTTP responses. Pure.

use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, header};
use http_body_util::Full;
use serde::Serialize;

use super::listener::HttpResponse;

/// Returns a response with a body of media type `kind`.
pub(super) fn text(code: StatusCode, kind: &'static str, body: impl Into<Bytes>) -> HttpResponse {
    let mut response = Response::new(Full::from(body.into()));
    *response.status_mut() = code;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

/// Returns a response with `body` as JSON.
pub(super) fn json(code: StatusCode, body: &impl Serialize) -> HttpResponse {
    // Serializing can't fail: all keys are strings.
    text(code, JSON, serde_json::to_vec(body).unwrap_or_default())
}

/// Returns a 404 that names the pages that exist.
pub(super) fn missing(pages: &str) -> HttpResponse {
    text(StatusCode::NOT_FOUND, PLAIN, format!("not found; there is {pages}\n"))
}

/// The media type of JSON.
pub(super) const JSON: &str = "application/json";
/// The media type of plain text.
pub(super) const PLAIN: &str = "text/plain; charset=utf-8";
