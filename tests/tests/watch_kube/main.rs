//! The API server as a source, against a small API server that misbehaves on demand.

#![expect(clippy::unwrap_used, reason = "the whole crate is tests")]

mod agent;
mod credentials;
mod failures;
mod objects;
mod proxies;
mod resuming;
mod streaming;

use harness::api_server::ApiServer;
use serde_json::{Value, json};

/// A server that streams no lists.
fn server() -> ApiServer {
    let server = ApiServer::start().unwrap();
    server.stream_no_lists();
    server
}

fn service(name: &str, port: u16) -> Value {
    json!({"kind": "Service", "apiVersion": "v1", "metadata": {"name": name},
           "spec": {"clusterIP": "10.96.0.10", "ports": [{"port": port}]}})
}

fn object(kind: &str, api_version: &str, name: &str) -> Value {
    json!({"kind": kind, "apiVersion": api_version, "metadata": {"name": name}})
}

fn slice(name: &str) -> Value {
    object("EndpointSlice", "discovery.k8s.io/v1", name)
}

fn node(name: &str) -> Value {
    object("Node", "v1", name)
}

fn service_cidr(name: &str) -> Value {
    object("ServiceCIDR", "networking.k8s.io/v1", name)
}
