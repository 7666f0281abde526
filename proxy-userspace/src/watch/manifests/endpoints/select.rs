//! Selects Pods by a Service's selector and turns them into endpoints, as the EndpointSlice controller does.

use std::{collections::BTreeMap, net::IpAddr};

use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use proxy_common::Protocol;

use super::Groups;
use crate::{
    desired::Family,
    objects::{Container, Endpoint, EndpointConditions, EndpointPort, EndpointSlice, Pod, Service, ServicePort},
    watch::manifests::validate::parse_address,
};

/// True if the Pod has an address and has not ended.
pub(super) fn eligible(pod: &Pod) -> bool {
    !matches!(pod.status.phase.as_deref(), Some("Succeeded" | "Failed")) && addresses(pod).next().is_some()
}

/// Returns the slices of a Service. `pods` are the eligible Pods of its namespace.
pub(super) fn slices(service: &Service, selector: &BTreeMap<String, String>, pods: &[&Pod]) -> Vec<EndpointSlice> {
    let mut groups = Groups::default();
    let wanted = service.spec.ip_families.as_deref().unwrap_or_default();
    for pod in pods.iter().filter(|pod| matches(selector, pod)) {
        let ports = ports(service, pod);
        for family in wanted.iter().map(|family| if family == "IPv6" { Family::Ipv6 } else { Family::Ipv4 }) {
            if let Some(address) = addresses(pod).find(|address| Family::of(*address) == family) {
                groups.add(family, &ports, endpoint(service, pod, address));
            }
        }
    }
    groups.into_slices(service, "", "endpointslice-controller.k8s.io").collect()
}

fn matches(selector: &BTreeMap<String, String>, pod: &Pod) -> bool {
    let labels = pod.metadata.labels.as_ref();
    selector.iter().all(|(key, value)| labels.and_then(|labels| labels.get(key)) == Some(value))
}

/// Returns the addresses in `podIPs`, then `podIP`.
fn addresses(pod: &Pod) -> impl Iterator<Item = IpAddr> {
    let several = pod.status.pod_ips.iter().flatten().map(|entry| entry.ip.as_str());
    several.chain(pod.status.pod_ip.as_deref()).filter_map(parse_address)
}

fn endpoint(service: &Service, pod: &Pod, address: IpAddr) -> Endpoint {
    let conditions = pod.status.conditions.iter().flatten();
    let serving =
        conditions.filter(|condition| condition.r#type == "Ready").any(|condition| condition.status == "True");
    let terminating = pod.metadata.deletion_timestamp.is_some();
    let published = service.spec.publish_not_ready_addresses == Some(true);
    Endpoint {
        addresses: Some(vec![address.to_string()]),
        conditions: Some(EndpointConditions {
            ready: Some(published || (serving && !terminating)),
            serving: Some(serving),
            terminating: Some(terminating),
        }),
        node_name: pod.spec.node_name.clone(),
        ..Endpoint::default()
    }
}

/// Returns the Pod's port for each port of the Service. A named target port that the Pod does not have is left out (S36).
fn ports(service: &Service, pod: &Pod) -> Vec<EndpointPort> {
    let ports = service.spec.ports.iter().flatten();
    ports
        .filter_map(|port| {
            Some(EndpointPort {
                name: Some(port.name.clone().unwrap_or_default()),
                protocol: port.protocol.clone(),
                port: Some(target(port, pod)?),
            })
        })
        .collect()
}

fn target(port: &ServicePort, pod: &Pod) -> Option<i32> {
    let name = match &port.target_port {
        None => return Some(port.port),
        Some(IntOrString::Int(number)) => return Some(*number),
        Some(IntOrString::String(name)) => name,
    };
    let sidecar = |container: &&Container| container.restart_policy.as_deref() == Some("Always");
    let sidecars = pod.spec.init_containers.iter().flatten().filter(sidecar);
    let mut found = pod.spec.containers.iter().chain(sidecars).flat_map(|container| container.ports.iter().flatten());
    let protocol = port.protocol.as_deref().unwrap_or(Protocol::Tcp.name());
    found
        .find(|port| {
            port.name.as_ref() == Some(name) && port.protocol.as_deref().unwrap_or(Protocol::Tcp.name()) == protocol
        })
        .map(|port| port.container_port)
}
