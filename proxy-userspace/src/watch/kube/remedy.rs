//! Decides what to do after a list or a watch has failed.

use crate::objects::Kind;

/// What to do after a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Remedy {
    /// Let the watcher try again.
    Retry,
    /// List again from the beginning.
    Relist,
    /// The server does not stream lists: list by pages from now on.
    ReadPages,
    /// The API server does not have or show the resource: report it as empty, and try again later.
    Absent,
}

/// True if the agent serves without objects of this kind.
pub(super) fn is_optional(kind: Kind) -> bool {
    kind == Kind::ServiceCidr
}

/// Decides by the status code and the verb of the refused request; `None` means that the failure was no refusal.
/// `asks_for_stream` is true if the request was for a streamed list, `is_optional` if the agent serves without the resource.
pub(super) fn remedy(refused: Option<(u16, &str)>, asks_for_stream: bool, is_optional: bool) -> Remedy {
    match refused {
        // 400 and 422: servers before 1.27, and later ones without the feature gate WatchList. 500, in the stream: servers whose
        // etcd does not support RequestWatchProgress.
        Some((400 | 422 | 500, "watch")) if asks_for_stream => Remedy::ReadPages,
        Some((403 | 404, _)) if is_optional => Remedy::Absent,
        // Otherwise the watcher would ask for the same version for ever.
        Some((400 | 403 | 404 | 410 | 422 | 504, "watch")) => Remedy::Relist,
        _ => Remedy::Retry,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn s30_a_watch_that_can_not_go_on_leads_to_a_list() {
        for code in [400, 403, 404, 410, 422, 504] {
            assert_eq!(remedy(Some((code, "watch")), false, false), Remedy::Relist, "{code}");
        }
        assert_eq!(remedy(Some((500, "watch")), false, false), Remedy::Retry);
        assert_eq!(remedy(None, false, false), Remedy::Retry, "the connection broke");
    }

    #[test]
    fn s30_only_a_streamed_list_is_replaced_by_pages() {
        for code in [400, 422, 500] {
            assert_eq!(remedy(Some((code, "watch")), true, false), Remedy::ReadPages);
            assert_eq!(remedy(Some((code, "list")), true, false), Remedy::Retry);
        }
        assert_eq!(remedy(Some((403, "watch")), true, false), Remedy::Relist);
    }

    #[test]
    fn s20_a_resource_that_is_not_needed_may_be_absent() {
        for code in [403, 404] {
            assert_eq!(remedy(Some((code, "list")), false, true), Remedy::Absent);
            assert_eq!(remedy(Some((code, "list")), false, false), Remedy::Retry);
        }
    }
}
