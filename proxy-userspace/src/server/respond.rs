//! Responses. Pure.

use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, header};
use http_body_util::Full;
use serde::Serialize;

use super::listener::HttpResponse;

/// A response with this text.
pub(super) fn text(code: StatusCode, kind: &'static str, body: impl Into<Bytes>) -> HttpResponse {
    let mut response = Response::new(Full::from(body.into()));
    *response.status_mut() = code;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

/// A response with this value as JSON.
pub(super) fn json(code: StatusCode, body: &impl Serialize) -> HttpResponse {
    // Nothing that is said here can't be JSON: every key is a text.
    text(code, JSON, serde_json::to_vec(body).unwrap_or_default())
}

/// A page that is not there, and those that are.
pub(super) fn missing(pages: &str) -> HttpResponse {
    text(StatusCode::NOT_FOUND, PLAIN, format!("not found; there is {pages}\n"))
}

/// A value for programs.
pub(super) const JSON: &str = "application/json";
/// Text for people.
pub(super) const PLAIN: &str = "text/plain; charset=utf-8";
