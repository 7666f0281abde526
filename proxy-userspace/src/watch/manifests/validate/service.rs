//! Validates a Service's type and policies. `service_ports` validates ports, `service_ip` cluster addresses.

use super::{Fault, address, check, labels, one_of, service_ip, service_ports};
use crate::{
    objects::{Service, ServiceSpec, name},
    watch::manifests::tree::Tree,
};

pub(super) fn validate(service: &Service, tree: &Tree, faults: &mut Vec<Fault>) {
    let spec = &service.spec;
    one_of("spec.type", spec.r#type.as_deref(), &["ClusterIP", "ExternalName", "LoadBalancer", "NodePort"], faults);
    if let Some(selector) = &spec.selector {
        labels("spec.selector", selector, faults);
    }
    service_ports::validate(spec, faults);
    affinity(spec, faults);
    if is(spec, "ExternalName") {
        external_name(spec, tree, faults);
    } else {
        service_ip::validate(spec, faults);
    }
    policies(spec, faults);
    outside_addresses(spec, faults);
    let status = service.status.load_balancer.ingress.iter().flatten().enumerate();
    for (index, ip) in status.filter_map(|(index, ingress)| Some((index, ingress.ip.as_ref()?))) {
        address::address(&format!("status.loadBalancer.ingress[{index}].ip"), ip, faults);
    }
}

pub(super) fn is(spec: &ServiceSpec, kind: &str) -> bool {
    spec.r#type.as_deref().unwrap_or("ClusterIP") == kind
}

fn external_name(spec: &ServiceSpec, tree: &Tree, faults: &mut Vec<Fault>) {
    let target = tree.at("spec.externalName").and_then(Tree::as_str).unwrap_or_default();
    let target = target.strip_suffix('.').unwrap_or(target);
    if target.is_empty() {
        faults.push(Fault::required("spec.externalName", ""));
    } else {
        check("spec.externalName", target, name::dns1123_subdomain, faults);
    }
    let set = [
        ("spec.clusterIPs", spec.cluster_ip.as_ref().is_some_and(|ip| !ip.is_empty()) || spec.cluster_ips.is_some()),
        ("spec.ipFamilies", spec.ip_families.is_some()),
        ("spec.ipFamilyPolicy", spec.ip_family_policy.is_some()),
    ];
    for (field, _) in set.into_iter().filter(|(_, set)| *set) {
        faults.push(Fault::forbidden(field, "may not be set for ExternalName services"));
    }
}

fn affinity(spec: &ServiceSpec, faults: &mut Vec<Fault>) {
    let affinity = spec.session_affinity.as_deref();
    one_of("spec.sessionAffinity", affinity, &["ClientIP", "None"], faults);
    let Some(config) = &spec.session_affinity_config else { return };
    let field = "spec.sessionAffinityConfig.clientIP.timeoutSeconds";
    match (affinity, config.client_ip.as_ref().and_then(|config| config.timeout_seconds)) {
        (None | Some("None"), _) => {
            let reason = "must not be set when session affinity is None";
            faults.push(Fault::forbidden("spec.sessionAffinityConfig", reason));
        }
        (_, Some(seconds)) if !(1..=86400).contains(&seconds) => {
            faults.push(Fault::invalid(field, seconds, "must be greater than 0 and less than 86400"));
        }
        (_, None) => faults.push(Fault::required(field, "")),
        _ => {}
    }
}

fn policies(spec: &ServiceSpec, faults: &mut Vec<Fault>) {
    let policies = ["Cluster", "Local"];
    one_of("spec.internalTrafficPolicy", spec.internal_traffic_policy.as_deref(), &policies, faults);
    let balanced = is(spec, "LoadBalancer");
    let external = balanced || is(spec, "NodePort") || spec.external_ips.iter().flatten().next().is_some();
    if let Some(policy) = spec.external_traffic_policy.as_deref().filter(|policy| !policy.is_empty()) {
        one_of("spec.externalTrafficPolicy", Some(policy), &policies, faults);
        if !external {
            let reason = "may only be set for externally-accessible services";
            faults.push(Fault::invalid_text("spec.externalTrafficPolicy", policy, reason));
        }
    }
    let checked = balanced && spec.external_traffic_policy.as_deref() == Some("Local");
    if let Some(port) = spec.health_check_node_port.filter(|port| *port != 0 && !checked) {
        let reason = "may only be set when `type` is 'LoadBalancer' and `externalTrafficPolicy` is 'Local'";
        faults.push(Fault::invalid("spec.healthCheckNodePort", port, reason));
    }
}

fn outside_addresses(spec: &ServiceSpec, faults: &mut Vec<Fault>) {
    for (index, ip) in spec.external_ips.iter().flatten().enumerate() {
        address::ordinary(&format!("spec.externalIPs[{index}]"), ip, faults);
    }
    let ranges = spec.load_balancer_source_ranges.as_deref().unwrap_or_default();
    if !ranges.is_empty() && !is(spec, "LoadBalancer") {
        let reason = "may only be used when `type` is 'LoadBalancer'";
        faults.push(Fault::forbidden("spec.loadBalancerSourceRanges", reason));
    }
    for (index, range) in ranges.iter().enumerate() {
        address::network(&format!("spec.loadBalancerSourceRanges[{index}]"), range, faults);
    }
}
