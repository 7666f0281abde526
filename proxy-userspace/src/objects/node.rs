//! core/v1 Node.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::core::ClusterResourceScope;
use serde::{Deserialize, Serialize};

resource!(Node, "Node", "", "v1", "nodes", ClusterResourceScope);

/// core/v1 Node.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[expect(missing_docs, reason = "the fields are the Kubernetes API's own")]
pub struct Node {
    pub metadata: ObjectMeta,
    pub spec: NodeSpec,
    pub status: NodeStatus,
}

/// core/v1 NodeSpec.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[expect(missing_docs, reason = "the fields are the Kubernetes API's own")]
pub struct NodeSpec {
    #[serde(rename = "podCIDR")]
    pub pod_cidr: Option<String>,
    #[serde(rename = "podCIDRs")]
    pub pod_cidrs: Option<Vec<String>>,
    pub taints: Option<Vec<Taint>>,
}

/// core/v1 Taint.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[expect(missing_docs, reason = "the fields are the Kubernetes API's own")]
pub struct Taint {
    pub key: String,
}

/// core/v1 NodeStatus.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[expect(missing_docs, reason = "the fields are the Kubernetes API's own")]
pub struct NodeStatus {
    pub addresses: Option<Vec<NodeAddress>>,
    pub daemon_endpoints: Option<NodeDaemonEndpoints>,
}

/// core/v1 NodeDaemonEndpoints.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[expect(missing_docs, reason = "the fields are the Kubernetes API's own")]
pub struct NodeDaemonEndpoints {
    pub kubelet_endpoint: Option<DaemonEndpoint>,
}

/// core/v1 DaemonEndpoint, whose field the API writes with a capital letter.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[expect(missing_docs, reason = "the fields are the Kubernetes API's own")]
pub struct DaemonEndpoint {
    #[serde(rename = "Port")]
    pub port: i32,
}

/// core/v1 NodeAddress.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[expect(missing_docs, reason = "the fields are the Kubernetes API's own")]
pub struct NodeAddress {
    pub r#type: String,
    pub address: String,
}
