//! discovery.k8s.io/v1 EndpointSlice.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::core::NamespaceResourceScope;
use serde::{Deserialize, Serialize};

/// The annotation with the time of the change of a pod or Service that made the controller change the slice.
pub(crate) const TRIGGER_TIME: &str = "endpoints.kubernetes.io/last-change-trigger-time";

/// The label of the EndpointSlices of Services without ClusterIPs (S3).
pub(crate) const HEADLESS_LABEL: &str = "service.kubernetes.io/headless";
const SERVICE_LABEL: &str = "kubernetes.io/service-name";

resource!(EndpointSlice, "EndpointSlice", "discovery.k8s.io", "v1", "endpointslices", NamespaceResourceScope);

/// discovery.k8s.io/v1 EndpointSlice.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[expect(missing_docs, reason = "the fields are the Kubernetes API's own")]
pub struct EndpointSlice {
    pub metadata: ObjectMeta,
    pub address_type: String,
    pub endpoints: Option<Vec<Endpoint>>,
    pub ports: Option<Vec<EndpointPort>>,
}

impl EndpointSlice {
    /// The Service that it belongs to, or `None` if the agent ignores it (S3).
    pub fn service(&self) -> Option<&str> {
        let labels = self.metadata.labels.as_ref()?;
        let service = labels.get(SERVICE_LABEL).filter(|service| !service.is_empty())?;
        (!labels.contains_key(HEADLESS_LABEL) && self.address_type != "FQDN").then_some(service)
    }
}

/// discovery.k8s.io/v1 Endpoint.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[expect(missing_docs, reason = "the fields are the Kubernetes API's own")]
pub struct Endpoint {
    pub addresses: Option<Vec<String>>,
    pub conditions: Option<EndpointConditions>,
    pub hints: Option<EndpointHints>,
    pub node_name: Option<String>,
    pub zone: Option<String>,
}

/// discovery.k8s.io/v1 EndpointConditions.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[expect(missing_docs, reason = "the fields are the Kubernetes API's own")]
pub struct EndpointConditions {
    pub ready: Option<bool>,
    pub serving: Option<bool>,
    pub terminating: Option<bool>,
}

/// discovery.k8s.io/v1 EndpointHints.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[expect(missing_docs, reason = "the fields are the Kubernetes API's own")]
pub struct EndpointHints {
    pub for_zones: Option<Vec<Hint>>,
    pub for_nodes: Option<Vec<Hint>>,
}

/// discovery.k8s.io/v1 ForZone and ForNode.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Hint {
    /// The zone's or node's name.
    pub name: String,
}

/// discovery.k8s.io/v1 EndpointPort.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[expect(missing_docs, reason = "the fields are the Kubernetes API's own")]
pub struct EndpointPort {
    pub name: Option<String>,
    pub protocol: Option<String>,
    pub port: Option<i32>,
}
