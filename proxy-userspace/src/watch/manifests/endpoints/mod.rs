//! Creates the EndpointSlices that Kubernetes' controllers would create from a folder's Services, Pods and Endpoints
//! (S36, S37). Pure: the names and content of the slices depend only on the objects.

mod mirror;
mod select;

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
pub use mirror::{Endpoints, LEADER};
use proxy_common::Protocol;

use super::validate::family_name;
use crate::{
    desired::Family,
    objects::{Endpoint, EndpointPort, EndpointSlice, Pod, Service},
};

const SERVICE_NAME: &str = "kubernetes.io/service-name";
const HEADLESS: &str = "service.kubernetes.io/headless";
const MANAGED_BY: &str = "endpointslice.kubernetes.io/managed-by";

/// Returns the slices of all Services: made from Pods if the Service has a selector, otherwise mirrored from the Endpoints
/// of the same name.
pub fn generate(services: &[Service], pods: &[Pod], legacy: &[Endpoints]) -> Vec<EndpointSlice> {
    let mut by_namespace: BTreeMap<&str, Vec<&Pod>> = BTreeMap::new();
    for pod in pods.iter().filter(|pod| select::eligible(pod)) {
        by_namespace.entry(namespace(&pod.metadata)).or_default().push(pod);
    }
    let legacy: BTreeMap<_, _> = legacy.iter().map(|object| (full_name(&object.metadata), object)).collect();
    let mut slices = Vec::new();
    for service in services.iter().filter(|service| service.spec.r#type.as_deref() != Some("ExternalName")) {
        if let Some(selector) = service.spec.selector.as_ref().filter(|selector| !selector.is_empty()) {
            let pods = by_namespace.get(namespace(&service.metadata)).map(Vec::as_slice).unwrap_or_default();
            slices.extend(select::slices(service, selector, pods));
        } else if let Some(object) = legacy.get(&full_name(&service.metadata)) {
            slices.extend(mirror::slices(service, object));
        }
    }
    slices
}

fn namespace(metadata: &ObjectMeta) -> &str {
    metadata.namespace.as_deref().unwrap_or("default")
}

fn full_name(metadata: &ObjectMeta) -> (&str, &str) {
    (namespace(metadata), metadata.name.as_deref().unwrap_or_default())
}

/// The family and ports that the endpoints of one slice share.
type Group = (Family, Vec<(String, String, i32)>);

/// Endpoints grouped by family and ports.
#[derive(Default)]
struct Groups(BTreeMap<Group, Vec<Endpoint>>);

impl Groups {
    fn add(&mut self, family: Family, ports: &[EndpointPort], endpoint: Endpoint) {
        let mut key: Vec<_> = ports
            .iter()
            .map(|port| {
                let protocol = port.protocol.clone().unwrap_or_else(|| Protocol::Tcp.name().to_owned());
                (port.name.clone().unwrap_or_default(), protocol, port.port.unwrap_or_default())
            })
            .collect();
        key.sort();
        self.0.entry((family, key)).or_default().push(endpoint);
    }

    /// Returns one slice for each group, named by the Service, the controller's `mark`, the family and the ports.
    fn into_slices<'a>(
        self,
        service: &'a Service,
        mark: &'a str,
        manager: &'a str,
    ) -> impl Iterator<Item = EndpointSlice> + 'a {
        self.0.into_iter().map(move |((family, ports), mut endpoints)| {
            endpoints.sort_by(|a, b| a.addresses.cmp(&b.addresses));
            let (namespace, name) = full_name(&service.metadata);
            let hash = super::allocate::fnv1a(&format!("{ports:?}"));
            let headless = service.spec.cluster_ip.as_deref() == Some("None");
            let mut labels = BTreeMap::from([
                (SERVICE_NAME.to_owned(), name.to_owned()),
                (MANAGED_BY.to_owned(), manager.to_owned()),
            ]);
            if headless {
                labels.insert(HEADLESS.to_owned(), String::new());
            }
            let port =
                |(name, protocol, port)| EndpointPort { name: Some(name), protocol: Some(protocol), port: Some(port) };
            EndpointSlice {
                metadata: ObjectMeta {
                    name: Some(format!("{name}-{mark}ipv{}-{hash:016x}", family.number())),
                    namespace: Some(namespace.to_owned()),
                    labels: Some(labels),
                    ..ObjectMeta::default()
                },
                address_type: family_name(family).to_owned(),
                endpoints: Some(endpoints),
                ports: Some(ports.into_iter().map(port).collect()),
            }
        })
    }
}

#[cfg(test)]
mod tests;
