//! The response to a health check, in kube-proxy's format (pkg/proxy/healthcheck/service_health.go). Pure.

use bytes::Bytes;
use http::{Response, StatusCode, header};
use http_body_util::Full;
use serde::Serialize;

use crate::agent::checks::ServiceHealth;

#[derive(Serialize)]
struct Body<'a> {
    service: Service<'a>,
    #[serde(rename = "localEndpoints")]
    local_endpoints: usize,
    #[serde(rename = "serviceProxyHealthy")]
    service_proxy_healthy: bool,
}

#[derive(Serialize)]
struct Service<'a> {
    namespace: &'a str,
    name: &'a str,
}

/// Responds 200 if this node has ready local endpoints, the whole Service is in force, and `is_serving`: nothing is wrong with the
/// data plane as a whole. Otherwise 503. `None` means that the Service is gone.
pub(super) fn response(health: Option<&ServiceHealth>, is_serving: bool) -> Response<Full<Bytes>> {
    let Some(ServiceHealth { service, endpoints, in_force, .. }) = health else { return unavailable(Full::default()) };
    let service = Service { namespace: &service.namespace, name: &service.name };
    let healthy = *in_force && is_serving;
    let body = Body { service, local_endpoints: *endpoints, service_proxy_healthy: healthy };
    let body = serde_json::to_vec(&body).unwrap_or_default();
    let mut response = unavailable(Full::from(body));
    if *endpoints > 0 && healthy {
        *response.status_mut() = StatusCode::OK;
    }
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, header::HeaderValue::from_static("application/json"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, header::HeaderValue::from_static("nosniff"));
    headers.insert("X-Load-Balancing-Endpoint-Weight", header::HeaderValue::from(*endpoints));
    response
}

fn unavailable(body: Full<Bytes>) -> Response<Full<Bytes>> {
    let mut response = Response::new(body);
    *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
    response
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::desired::ServiceName;

    #[test]
    fn n01_n03_only_ready_endpoints_in_force_are_healthy() {
        let status = |endpoints, in_force, is_serving| {
            let service = ServiceName::new("shop", "web");
            let response = response(
                Some(&ServiceHealth { service, endpoints, load_balancer_ips: Vec::new(), in_force }),
                is_serving,
            );
            assert_eq!(response.headers()["x-load-balancing-endpoint-weight"], endpoints.to_string());
            response.status().as_u16()
        };
        assert_eq!([status(2, true, true), status(0, true, true), status(2, false, true)], [200, 503, 503]);
        assert_eq!(status(2, true, false), 503, "kube-proxy's health counts as well");
        assert_eq!(response(None, true).status(), 503);
    }
}
