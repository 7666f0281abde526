//! networking.k8s.io/v1 ServiceCIDR.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::core::ClusterResourceScope;
use serde::{Deserialize, Serialize};

resource!(ServiceCidr, "ServiceCIDR", "networking.k8s.io", "v1", "servicecidrs", ClusterResourceScope);

/// networking.k8s.io/v1 ServiceCIDR.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[expect(missing_docs, reason = "the fields are the Kubernetes API's own")]
pub struct ServiceCidr {
    pub metadata: ObjectMeta,
    pub spec: ServiceCidrSpec,
}

/// networking.k8s.io/v1 ServiceCIDRSpec.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[expect(missing_docs, reason = "the fields are the Kubernetes API's own")]
pub struct ServiceCidrSpec {
    pub cidrs: Option<Vec<String>>,
}
