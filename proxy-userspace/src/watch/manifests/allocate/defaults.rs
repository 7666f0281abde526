//! Fills in the defaults of a Service as the API server does on creation.

use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use proxy_common::Protocol;

use super::Ranges;
use crate::{
    desired::Family,
    objects::{Service, ServiceSpec},
    watch::manifests::validate::{Fault, family_name, parse_address},
};

/// What to do about a family without a range, before the family's name.
const REMEDY: &str = "--service-cidr or a ServiceCIDR gives it a range of";

/// Fills in all defaults except addresses and node ports. Fails if the Service asks for a family without a range.
pub(super) fn complete(service: &mut Service, ranges: &Ranges) -> Result<(), Vec<Fault>> {
    let spec = &mut service.spec;
    let kind = spec.r#type.get_or_insert_with(|| "ClusterIP".to_owned()).clone();
    for port in spec.ports.iter_mut().flatten() {
        port.protocol.get_or_insert_with(|| Protocol::Tcp.name().to_owned());
        let absent = match &port.target_port {
            None | Some(IntOrString::Int(0)) => true,
            Some(IntOrString::String(text)) => text.is_empty(),
            Some(IntOrString::Int(_)) => false,
        };
        if absent {
            port.target_port = Some(IntOrString::Int(port.port));
        }
        port.node_port = port.node_port.filter(|port| *port != 0);
    }
    spec.health_check_node_port = spec.health_check_node_port.filter(|port| *port != 0);
    spec.session_affinity.get_or_insert_with(|| "None".to_owned());
    if kind == "ExternalName" {
        return Ok(());
    }
    spec.internal_traffic_policy.get_or_insert_with(|| "Cluster".to_owned());
    spec.external_traffic_policy = spec.external_traffic_policy.take().filter(|policy| !policy.is_empty());
    if kind != "ClusterIP" || spec.external_ips.as_ref().is_some_and(|ips| !ips.is_empty()) {
        spec.external_traffic_policy.get_or_insert_with(|| "Cluster".to_owned());
    }
    cluster_ips(spec);
    families(spec, ranges)
}

/// Makes `clusterIP` and `clusterIPs` agree, in canonical form.
fn cluster_ips(spec: &mut ServiceSpec) {
    let first = spec.cluster_ip.take().filter(|ip| !ip.is_empty());
    let all = spec.cluster_ips.take().filter(|ips| !ips.is_empty()).or_else(|| first.map(|ip| vec![ip]));
    let canonical = |text: String| parse_address(&text).map_or(text, |ip| ip.to_string());
    spec.cluster_ips = all.map(|all| all.into_iter().map(canonical).collect());
    spec.cluster_ip = spec.cluster_ips.as_ref().and_then(|all| all.first().cloned());
}

fn families(spec: &mut ServiceSpec, ranges: &Ranges) -> Result<(), Vec<Fault>> {
    let mut configured: Vec<String> = Vec::new();
    for family in ranges.cidrs.iter().map(|cidr| family_name(Family::of(cidr.addr())).to_owned()) {
        if !configured.contains(&family) {
            configured.push(family);
        }
    }
    let headless = spec.cluster_ip.as_deref() == Some("None");
    let bare = headless && spec.selector.as_ref().is_none_or(std::collections::BTreeMap::is_empty);
    let default =
        if bare && spec.ip_families.is_none() && configured.len() > 1 { "RequireDualStack" } else { "SingleStack" };
    let policy = spec.ip_family_policy.get_or_insert_with(|| default.to_owned()).clone();
    let from_addresses = spec.cluster_ips.iter().flatten().filter_map(|ip| parse_address(ip));
    let from_addresses: Vec<_> = from_addresses.map(|ip| family_name(Family::of(ip)).to_owned()).collect();
    let mut families = spec.ip_families.take().filter(|families| !families.is_empty()).unwrap_or(from_addresses);
    let mut faults = Vec::new();
    for (index, family) in families.iter().enumerate().filter(|(_, family)| !configured.contains(family)) {
        if !bare {
            let field = format!("spec.ipFamilies[{index}]");
            let reason = format!("not configured on this cluster; {REMEDY} {family}");
            faults.push(Fault::invalid_text(field, family, reason));
        }
    }
    if policy == "RequireDualStack" && configured.len() < 2 && !bare {
        let reason = format!("this cluster is not configured for dual-stack services; {REMEDY} each family");
        faults.push(Fault::invalid_text("spec.ipFamilyPolicy", &policy, reason));
    }
    let most = if policy == "SingleStack" { 1 } else { 2 };
    for family in configured {
        if families.len() < most && !families.contains(&family) {
            families.push(family);
        }
    }
    spec.ip_families = Some(families);
    if faults.is_empty() { Ok(()) } else { Err(faults) }
}
