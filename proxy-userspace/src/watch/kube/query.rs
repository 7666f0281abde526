//! Classifies requests of kube's watcher by their parameters.

use std::time::Duration;

use http::{Request, Uri};
use kube::client::Body;

/// What a request asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RequestKind {
    /// A page of a list.
    Pages,
    /// A list as a stream, and then changes
    /// (<https://kubernetes.io/docs/reference/using-api/api-concepts/#streaming-lists>).
    Stream,
    /// Changes from a revision on.
    Watch,
}

pub(super) fn kind(request: &Request<Body>) -> RequestKind {
    if parameter(request, "watch") != Some("true") {
        RequestKind::Pages
    } else if parameter(request, "sendInitialEvents") == Some("true") {
        RequestKind::Stream
    } else {
        RequestKind::Watch
    }
}

/// Returns how long a watch should last.
pub(super) fn watch_length(request: &Request<Body>) -> Duration {
    Duration::from_secs(parameter(request, "timeoutSeconds").and_then(|text| text.parse().ok()).unwrap_or(0))
}

/// Returns the revision that a watch begins at; 0 if there is none.
pub(super) fn revision(request: &Request<Body>) -> u64 {
    parameter(request, "resourceVersion").and_then(|text| text.parse().ok()).unwrap_or(0)
}

/// Removes the revision 0 that the watcher sends when it asks for a streamed list: it allows the server to respond with any
/// state that it has ever had. Without a revision, the list is at least as new as the request.
pub(super) fn consistent(mut request: Request<Body>) -> Request<Body> {
    if kind(&request) == RequestKind::Stream
        && let Some(uri) = without(request.uri(), "resourceVersion=0")
    {
        *request.uri_mut() = uri;
    }
    request
}

fn without(uri: &Uri, pair: &str) -> Option<Uri> {
    let kept: Vec<_> = uri.query()?.split('&').filter(|other| *other != pair && !other.is_empty()).collect();
    let mut parts = uri.clone().into_parts();
    parts.path_and_query = Some(format!("{}?{}", uri.path(), kept.join("&")).parse().ok()?);
    Uri::from_parts(parts).ok()
}

fn parameter<'a>(request: &'a Request<Body>, name: &str) -> Option<&'a str> {
    let pairs = request.uri().query()?.split('&').filter_map(|pair| pair.split_once('='));
    pairs.into_iter().find(|(key, _)| *key == name).map(|(_, value)| value)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(query: &str) -> Request<Body> {
        Request::get(format!("/api/v1/services?{query}")).body(Body::empty()).expect("a request")
    }

    #[test]
    fn lists_are_distinguished_from_watches() {
        let kind = |query| kind(&request(query));
        assert_eq!(kind("limit=500"), RequestKind::Pages);
        assert_eq!(kind("watch=true&resourceVersion=7"), RequestKind::Watch);
        assert_eq!(kind("watch=true&sendInitialEvents=true"), RequestKind::Stream);
    }

    #[test]
    fn only_a_streamed_list_loses_its_revision() {
        let sent = |query| consistent(request(query)).uri().to_string();
        let streamed = "&watch=true&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&resourceVersion=0";
        assert_eq!(
            sent(streamed),
            "/api/v1/services?watch=true&sendInitialEvents=true&resourceVersionMatch=NotOlderThan"
        );
        assert_eq!(sent("watch=true&resourceVersion=0"), "/api/v1/services?watch=true&resourceVersion=0");
    }
}
