//! What the head of a response tells of the API server. Pure.

use std::time::Duration;

use http::{Response, StatusCode, header};

use super::remedy::is_optional;
use crate::objects::Kind;

/// How long the server asks to wait.
pub(super) fn retry_after<T>(response: &Response<T>) -> Option<Duration> {
    let seconds = response.headers().get(header::RETRY_AFTER)?.to_str().ok()?.parse().ok()?;
    Some(Duration::from_secs(seconds))
}

/// Whether a response with this status shows that the server works and accepts the agent's credentials.
pub(super) fn serves(status: StatusCode) -> bool {
    !status.is_server_error() && status != StatusCode::TOO_MANY_REQUESTS && status != StatusCode::UNAUTHORIZED
}

/// Whether a response with this status tells how the objects of the kind are now. Refusals don't, however often they come: from
/// a balancer without servers, for a token that is revoked, for a ClusterRole that is gone. Of a kind that the agent serves
/// without, that it is not shown is all there is to know.
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
