//! The page: plain files from the program, and JSON documents that they show. It only reads, and only while it is looked at.
//! What the documents say comes from [`Documents`], since the commands know how to read the maps, and they know this module.

mod files;
mod guard;
mod parameters;

use std::{net::SocketAddr, sync::Arc};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri, header};
use serde_json::json;
use tokio::task::block_in_place;

use self::guard::Guard;
pub use self::parameters::Parameters;
use super::{
    listener::HttpResponse,
    respond::{self, JSON, PLAIN},
    scraped::Scraped,
    status::StatusPage,
};

/// The folder of the documents.
const DOCUMENTS: &str = "/api/";
/// The document that the agent's status is.
const STATUS: &str = "status";

/// What browsers may do with the page: load its own files, and nothing else, from nowhere else.
const HEADERS: [(HeaderName, &str); 5] = [
    (
        header::CONTENT_SECURITY_POLICY,
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; \
         form-action 'none'; frame-ancestors 'none'",
    ),
    (header::REFERRER_POLICY, "no-referrer"),
    (header::X_FRAME_OPTIONS, "DENY"),
    (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
];

/// Makes the documents that the page shows.
pub trait Documents: Send + Sync {
    /// Returns a document as JSON; `None` if there is none of this name. May take a while.
    fn document(&self, name: &str, parameters: &Parameters) -> Option<Result<Vec<u8>, Refusal>>;
}

/// Why there is no document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// 400 if the request is wrong, another code if the agent can't do what it asks for.
    pub code: StatusCode,
    /// The reason, for people.
    pub text: String,
}

/// Serves the page.
#[derive(Clone)]
pub(super) struct PageServer {
    guard: Guard,
    status: StatusPage,
    documents: Arc<dyn Documents>,
}

impl PageServer {
    /// `bound` is the address that the page is served on.
    pub(super) fn new(bound: SocketAddr, scraped: &Scraped, status: StatusPage, documents: Arc<dyn Documents>) -> Self {
        let guard = Guard { is_local: bound.ip().is_loopback(), node_name: scraped.identity.node_name.clone() };
        Self { guard, status, documents }
    }

    pub(super) fn response(&self, method: &Method, uri: &Uri, headers: &HeaderMap) -> HttpResponse {
        let path = uri.path();
        let mut response = match self.guard.check(method, headers, path.starts_with(DOCUMENTS)) {
            Err(refusal) => respond::text(refusal.code, PLAIN, refusal.text + "\n"),
            Ok(()) => match path.strip_prefix(DOCUMENTS) {
                Some(name) => self.document(name, &Parameters::parse(uri.query().unwrap_or_default())),
                None => file(path),
            },
        };
        let headers = response.headers_mut();
        for (name, value) in HEADERS {
            headers.insert(name, HeaderValue::from_static(value));
        }
        response
    }

    fn document(&self, name: &str, parameters: &Parameters) -> HttpResponse {
        let mut response = if name == STATUS {
            self.status.response()
        } else {
            match block_in_place(|| self.documents.document(name, parameters)) {
                None => respond::missing("no document of this name"),
                Some(Ok(document)) => respond::text(StatusCode::OK, JSON, document),
                Some(Err(refusal)) => respond::json(refusal.code, &json!({ "error": refusal.text })),
            }
        };
        response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        response
    }
}

fn file(path: &str) -> HttpResponse {
    let Some(file) = files::find(path) else { return respond::missing("a page at /") };
    let mut response = respond::text(StatusCode::OK, file.kind, Bytes::from_static(file.content));
    // Another version of the program has other files at the same addresses.
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    response
}
