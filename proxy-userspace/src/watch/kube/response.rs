//! Decides what the head of a response tells about the API server. Pure.

use std::time::Duration;

use http::{Response, StatusCode, header};

use super::remedy::is_optional;
use crate::objects::Kind;

/// Returns how long the server asks the agent to wait (Retry-After, if it is in seconds).
pub(super) fn retry_after<T>(response: &Response<T>) -> Option<Duration> {
    let seconds = response.headers().get(header::RETRY_AFTER)?.to_str().ok()?.parse().ok()?;
    Some(Duration::from_secs(seconds))
}

/// True if a response with this status shows that the server works and accepts the agent's credentials.
pub(super) fn serves(status: StatusCode) -> bool {
    !status.is_server_error() && status != StatusCode::TOO_MANY_REQUESTS && status != StatusCode::UNAUTHORIZED
}

/// True if a response with this status shows the current objects of the kind. A refusal does not, however often it comes: the load
/// balancer may have no servers, the token may be revoked, or the ClusterRole may be gone. For an optional kind, the refusal
/// itself is all there is to know.
pub(super) fn shows(kind: Kind, status: StatusCode) -> bool {
    let hidden = matches!(status, StatusCode::FORBIDDEN | StatusCode::NOT_FOUND);
    status.is_success() || hidden && is_optional(kind)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn n13_only_what_shows_objects_is_contact() {
        for kind in Kind::ALL {
            assert!(shows(kind, StatusCode::OK), "{kind}");
            for refused in [400, 401, 410, 422, 429, 500, 502, 503, 504] {
                assert!(!shows(kind, StatusCode::from_u16(refused).unwrap()), "{kind} {refused}");
            }
            for hidden in [StatusCode::FORBIDDEN, StatusCode::NOT_FOUND] {
                assert_eq!(shows(kind, hidden), kind == Kind::ServiceCidr, "{kind} {hidden}");
            }
        }
    }
}
