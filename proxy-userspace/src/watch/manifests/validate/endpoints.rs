//! Validates EndpointSlices, Endpoints, and the parts of Pods that endpoints are made from (S7, S38).

use std::collections::BTreeSet;

use super::{Fault, PROTOCOLS, address, check, one_of, port_number};
use crate::{
    desired::Family,
    objects::{EndpointPort, EndpointSlice, Pod, name},
    watch::manifests::endpoints::Endpoints,
};

const MAX_ENDPOINTS: usize = 1000;
const MAX_ADDRESSES: usize = 100;
const MAX_HINTS: usize = 8;

pub(super) fn slice(slice: &EndpointSlice, faults: &mut Vec<Fault>) {
    let family = match slice.address_type.as_str() {
        "" => {
            faults.push(Fault::required("addressType", ""));
            return;
        }
        "IPv4" => Some(Family::Ipv4),
        "IPv6" => Some(Family::Ipv6),
        other => {
            one_of("addressType", Some(other), &["FQDN", "IPv4", "IPv6"], faults);
            None
        }
    };
    let endpoints = slice.endpoints.as_deref().unwrap_or_default();
    if endpoints.len() > MAX_ENDPOINTS {
        faults.push(Fault::too_many("endpoints", endpoints.len(), MAX_ENDPOINTS));
    }
    for (index, endpoint) in endpoints.iter().enumerate() {
        let field = format!("endpoints[{index}]");
        addresses(&format!("{field}.addresses"), endpoint.addresses.as_deref().unwrap_or_default(), family, faults);
        if let Some(node) = &endpoint.node_name {
            check(&format!("{field}.nodeName"), node, name::dns1123_subdomain, faults);
        }
        let Some(hints) = &endpoint.hints else { continue };
        for (hints, what) in [(&hints.for_zones, "forZones"), (&hints.for_nodes, "forNodes")] {
            let count = hints.as_ref().map_or(0, Vec::len);
            if count > MAX_HINTS {
                faults.push(Fault::too_many(format!("{field}.hints.{what}"), count, MAX_HINTS));
            }
        }
    }
    ports("ports", slice.ports.as_deref().unwrap_or_default(), faults);
}

fn addresses(field: &str, addresses: &[String], family: Option<Family>, faults: &mut Vec<Fault>) {
    if addresses.is_empty() {
        faults.push(Fault::required(field, "must contain at least 1 address"));
    } else if addresses.len() > MAX_ADDRESSES {
        faults.push(Fault::too_many(field, addresses.len(), MAX_ADDRESSES));
    }
    for (index, text) in addresses.iter().enumerate() {
        let field = format!("{field}[{index}]");
        let Some(family) = family else {
            check(&field, text, name::dns1123_subdomain, faults);
            continue;
        };
        let ip = address::ordinary(&field, text, faults);
        if ip.is_some_and(|ip| Family::of(ip) != family) {
            faults.push(Fault::invalid_text(
                field,
                text,
                format_args!("must be a valid IPv{} address", family.number()),
            ));
        }
    }
}

fn ports(field: &str, ports: &[EndpointPort], faults: &mut Vec<Fault>) {
    let mut names = BTreeSet::new();
    for (index, port) in ports.iter().enumerate() {
        let field = format!("{field}[{index}]");
        let name = port.name.as_deref().unwrap_or_default();
        if !name.is_empty() {
            check(&format!("{field}.name"), name, name::dns1123_label, faults);
        }
        if !names.insert(name) {
            faults.push(Fault::duplicate(format!("{field}.name"), format_args!("{name:?}")));
        }
        one_of(&format!("{field}.protocol"), port.protocol.as_deref(), &PROTOCOLS, faults);
        if let Some(number) = port.port {
            port_number(&format!("{field}.port"), number, faults);
        }
    }
}

pub(super) fn endpoints(object: &Endpoints, faults: &mut Vec<Fault>) {
    for (index, subset) in object.subsets.iter().flatten().enumerate() {
        let field = format!("subsets[{index}]");
        let lists = [(&subset.addresses, "addresses"), (&subset.not_ready_addresses, "notReadyAddresses")];
        if lists.iter().all(|(list, _)| list.as_ref().is_none_or(Vec::is_empty)) {
            faults.push(Fault::required(field.clone(), "must specify `addresses` or `notReadyAddresses`"));
        }
        for (list, what) in lists {
            for (index, entry) in list.iter().flatten().enumerate() {
                address::ordinary(&format!("{field}.{what}[{index}].ip"), &entry.ip, faults);
            }
        }
        let several = subset.ports.as_ref().is_some_and(|ports| ports.len() > 1);
        for (index, port) in subset.ports.iter().flatten().enumerate() {
            if several && port.name.as_deref().unwrap_or_default().is_empty() {
                faults.push(Fault::required(format!("{field}.ports[{index}].name"), ""));
            }
            if port.port.is_none() {
                port_number(&format!("{field}.ports[{index}].port"), 0, faults);
            }
        }
        if !several || subset.ports.iter().flatten().all(|port| port.name.is_some()) {
            ports(&format!("{field}.ports"), subset.ports.as_deref().unwrap_or_default(), faults);
        }
    }
}

pub(super) fn pod(pod: &Pod, faults: &mut Vec<Fault>) {
    let lists =
        [("spec.containers", Some(&pod.spec.containers)), ("spec.initContainers", pod.spec.init_containers.as_ref())];
    for (field, containers) in lists {
        for (index, container) in containers.into_iter().flatten().enumerate() {
            for (inner, port) in container.ports.iter().flatten().enumerate() {
                let field = format!("{field}[{index}].ports[{inner}]");
                if let Some(text) = port.name.as_deref().filter(|text| !text.is_empty()) {
                    check(&format!("{field}.name"), text, name::port_name, faults);
                }
                port_number(&format!("{field}.containerPort"), port.container_port, faults);
                one_of(&format!("{field}.protocol"), port.protocol.as_deref(), &PROTOCOLS, faults);
            }
        }
    }
    if let Some(ip) = pod.status.pod_ip.as_deref().filter(|ip| !ip.is_empty()) {
        address::ordinary("status.podIP", ip, faults);
    }
    for (index, ip) in pod.status.pod_ips.iter().flatten().enumerate() {
        address::ordinary(&format!("status.podIPs[{index}].ip"), &ip.ip, faults);
    }
}
