//! Logs what to correct when the API server refuses a resource.

use tracing::{error, warn};

/// Logs a refusal with this status code. `optional` is true if the agent serves without the resource.
pub(super) fn log((code, optional): (u16, bool), verb: &str, resource: &str, answer: &str) {
    match (code, optional) {
        (403, true) => warn!(
            verb,
            resource,
            answer,
            "the API server forbids reading ServiceCIDRs: ClusterIPs that no Service owns will not be refused; let the agent's \
             ClusterRole allow list and watch on servicecidrs.networking.k8s.io"
        ),
        (_, true) => warn!(
            verb,
            resource,
            answer,
            "the API server has no ServiceCIDRs: ClusterIPs that no Service owns will not be refused; Kubernetes has them \
             since 1.33"
        ),
        (403, false) => error!(
            verb,
            resource,
            answer,
            "the API server forbids a request that the agent needs: let its ClusterRole allow list and watch on the \
             resource"
        ),
        _ => error!(verb, resource, answer, "the API server has no such resource: check its URL"),
    }
}
