//! Mirrors core/v1 Endpoints of Services without a selector, as the EndpointSliceMirroring controller does.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde::{Deserialize, Serialize};

use super::Groups;
use crate::{
    desired::Family,
    objects::{Endpoint, EndpointConditions, EndpointPort, EndpointSlice, Service},
    watch::manifests::validate::parse_address,
};

/// The annotation of Endpoints that are a lock of leader election, and no backends.
pub const LEADER: &str = "control-plane.alpha.kubernetes.io/leader";

/// core/v1 Endpoints.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Endpoints {
    pub metadata: ObjectMeta,
    pub subsets: Option<Vec<Subset>>,
}

/// core/v1 EndpointSubset.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Subset {
    pub addresses: Option<Vec<EndpointsAddress>>,
    pub not_ready_addresses: Option<Vec<EndpointsAddress>>,
    pub ports: Option<Vec<EndpointPort>>,
}

/// core/v1 EndpointAddress.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct EndpointsAddress {
    pub ip: String,
    pub node_name: Option<String>,
}

pub(super) fn slices(service: &Service, object: &Endpoints) -> Vec<EndpointSlice> {
    let mut groups = Groups::default();
    if mirrored(object) {
        for subset in object.subsets.iter().flatten() {
            let ports = subset.ports.as_deref().unwrap_or_default();
            for (list, ready) in [(&subset.addresses, true), (&subset.not_ready_addresses, false)] {
                for entry in list.iter().flatten() {
                    let Some(address) = parse_address(&entry.ip) else { continue };
                    let endpoint = Endpoint {
                        addresses: Some(vec![address.to_string()]),
                        conditions: Some(EndpointConditions { ready: Some(ready), ..EndpointConditions::default() }),
                        node_name: entry.node_name.clone(),
                        ..Endpoint::default()
                    };
                    groups.add(Family::of(address), ports, endpoint);
                }
            }
        }
    }
    groups.into_slices(service, "mirrored-", "endpointslicemirroring-controller.k8s.io").collect()
}

fn mirrored(object: &Endpoints) -> bool {
    let has = |map: &Option<BTreeMap<String, String>>, key: &str| map.as_ref().and_then(|map| map.get(key)).cloned();
    has(&object.metadata.labels, "endpointslice.kubernetes.io/skip-mirror").as_deref() != Some("true")
        && has(&object.metadata.annotations, LEADER).is_none()
}
