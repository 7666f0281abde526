//! A Service as the model keeps it: parsed once, with defaults filled in and faults noted (S1, S2, S6, S14, S18, S24).

use std::{fmt::Display, net::IpAddr};

use proxy_common::List;

use super::{
    faults::Faults,
    health::parse_health_check,
    names::Interners,
    ports::{ParsedPort, parse_service_ports},
    sources::{Sources, parse_sources},
};
use crate::{
    config::ExternalIps,
    desired::Family,
    objects::{
        PROXY_NAME_LABEL, Service, ServiceSpec,
        address::{frontend_fault, parse_address},
    },
};

const AFFINITY_DEFAULT: u32 = 10_800;
const AFFINITY_MAX: u32 = 86_400;

/// The content of a Service that is served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ParsedService {
    /// When it was created, in seconds since 1970. `None` counts as the oldest.
    pub(super) created: Option<i64>,
    /// The families that the Service is served in.
    pub(super) families: Families,
    /// At most one ClusterIP of each family, only of `families`.
    pub(super) cluster_ips: Box<[IpAddr]>,
    /// Its externalIPs, only of `families`.
    pub(super) external_ips: Box<[IpAddr]>,
    /// Its load-balancer IPs, only of `families`.
    pub(super) load_balancer_ips: Box<[IpAddr]>,
    /// Its ports, unique by name and protocol, and by number and protocol.
    pub(super) ports: Box<[ParsedPort]>,
    /// The list that its ClusterIPs use.
    pub(super) internal: List,
    /// The list that its external frontends use for packets from outside.
    pub(super) external: List,
    /// The port of its health check.
    pub(super) health_check: Option<u16>,
    /// The timeout of session affinity in seconds; 0 means no affinity.
    pub(super) affinity_timeout: u32,
    /// The clients that may use its load-balancer IPs.
    pub(super) sources: Sources,
}

impl ParsedService {
    /// Returns the externalIPs and load-balancer IPs that it asks for.
    pub(super) fn external_addresses(&self) -> impl Iterator<Item = IpAddr> {
        self.external_ips.iter().chain(&self.load_balancer_ips).copied()
    }
}

/// A set of families.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Families {
    ipv4: bool,
    ipv6: bool,
}

impl Families {
    /// Returns its families, IPv4 first.
    pub(super) fn iter(self) -> impl Iterator<Item = Family> {
        [Family::Ipv4, Family::Ipv6].into_iter().filter(move |family| self.contains(*family))
    }

    const fn contains(self, family: Family) -> bool {
        match family {
            Family::Ipv4 => self.ipv4,
            Family::Ipv6 => self.ipv6,
        }
    }

    /// Adds a family. Returns false if it was there already.
    const fn insert(&mut self, family: Family) -> bool {
        let place = match family {
            Family::Ipv4 => &mut self.ipv4,
            Family::Ipv6 => &mut self.ipv6,
        };
        !std::mem::replace(place, true)
    }
}

impl FromIterator<Family> for Families {
    fn from_iter<I: IntoIterator<Item = Family>>(families: I) -> Self {
        let mut all = Self::default();
        families.into_iter().for_each(|family| _ = all.insert(family));
        all
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Type {
    ClusterIp,
    NodePort,
    LoadBalancer,
}

/// Parses `service`; `None` if the agent does not serve it (S1).
pub(super) fn parse_service(
    service: &Service,
    allowed: &ExternalIps,
    names: &mut Interners,
    faults: &mut Faults,
) -> Option<ParsedService> {
    let spec = &service.spec;
    if !is_served(service) {
        return None;
    }
    let kind = parse_type(spec, faults);
    let is_balanced = kind == Type::LoadBalancer;
    let (families, cluster_ips) = parse_cluster_ips(spec, faults);
    let external_ips = parse_external_ips(spec, families, allowed, faults);
    let (load_balancer_ips, sources) = if is_balanced {
        (parse_ingress(service, families, faults), parse_sources(spec, faults))
    } else {
        (Vec::new(), Sources::new())
    };
    let external = parse_policy(spec.external_traffic_policy.as_deref(), "spec.externalTrafficPolicy", faults);
    let external_counts = kind != Type::ClusterIp || !external_ips.is_empty();
    let ports = parse_service_ports(spec, kind != Type::ClusterIp, names, faults);
    let health_check = if is_balanced { parse_health_check(spec, &ports, external, faults) } else { None };
    Some(ParsedService {
        created: service.metadata.creation_timestamp.as_ref().map(|time| time.0.as_second()),
        families,
        cluster_ips: cluster_ips.into(),
        external_ips: external_ips.into(),
        load_balancer_ips: load_balancer_ips.into(),
        ports,
        internal: parse_policy(spec.internal_traffic_policy.as_deref(), "spec.internalTrafficPolicy", faults),
        external: if external_counts { external } else { List::Cluster },
        health_check,
        affinity_timeout: parse_affinity(spec, faults),
        sources,
    })
}

/// Whether the agent serves a Service (S1).
pub(crate) fn is_served(Service { metadata, spec, .. }: &Service) -> bool {
    let delegated = metadata.labels.as_ref().is_some_and(|labels| labels.contains_key(PROXY_NAME_LABEL));
    let cluster_ip = spec.cluster_ip.as_deref().unwrap_or_default().trim();
    !delegated && spec.r#type.as_deref() != Some("ExternalName") && !cluster_ip.is_empty() && cluster_ip != "None"
}

fn parse_type(spec: &ServiceSpec, faults: &mut Faults) -> Type {
    match spec.r#type.as_deref().unwrap_or_default() {
        "" | "ClusterIP" => Type::ClusterIp,
        "NodePort" => Type::NodePort,
        "LoadBalancer" => Type::LoadBalancer,
        other => {
            faults.add("spec.type", format_args!("unknown type {other:?}; served as ClusterIP"));
            Type::ClusterIp
        }
    }
}

/// Returns the families that the Service is served in, and the ClusterIPs that can be parsed (S2).
fn parse_cluster_ips(spec: &ServiceSpec, faults: &mut Faults) -> (Families, Vec<IpAddr>) {
    let first = spec.cluster_ip.clone().unwrap_or_default();
    let given = spec.ip_families.as_deref().unwrap_or_default();
    if given.is_empty() {
        let address = parse_frontend_address(&first, "spec.clusterIP", faults);
        return (address.map(Family::of).into_iter().collect(), address.into_iter().collect());
    }
    let all = spec.cluster_ips.clone().filter(|all| !all.is_empty()).unwrap_or_else(|| vec![first]);
    let (mut families, mut addresses) = (Families::default(), Vec::new());
    for (index, (family, text)) in given.iter().zip(&all).enumerate() {
        let family = match family.as_str() {
            "IPv4" => Family::Ipv4,
            "IPv6" => Family::Ipv6,
            other => {
                faults.add(format_args!("spec.ipFamilies[{index}]"), format_args!("unknown family {other:?}; skipped"));
                continue;
            }
        };
        if !families.insert(family) {
            faults.add(format_args!("spec.ipFamilies[{index}]"), "the family is given twice; skipped");
            continue;
        }
        let field = format!("spec.clusterIPs[{index}]");
        match parse_frontend_address(text, &field, faults) {
            Some(address) if Family::of(address) == family => addresses.push(address),
            Some(address) => {
                faults.add(field, format_args!("{address} is not of the family in spec.ipFamilies; skipped"));
            }
            None => {}
        }
    }
    (families, addresses)
}

fn parse_external_ips(
    spec: &ServiceSpec,
    families: Families,
    allowed: &ExternalIps,
    faults: &mut Faults,
) -> Vec<IpAddr> {
    let mut addresses = Vec::new();
    for (index, text) in spec.external_ips.iter().flatten().enumerate() {
        let field = format!("spec.externalIPs[{index}]");
        match parse_external(text, &field, families, faults) {
            Some(address) if !allowed.allow(address) => {
                faults.add(field, format_args!("{address} is not in --external-ip-cidrs; skipped"));
            }
            address => addresses.extend(address),
        }
    }
    addresses
}

/// Returns the load balancer's addresses that this node serves (S18).
fn parse_ingress(service: &Service, families: Families, faults: &mut Faults) -> Vec<IpAddr> {
    let mut addresses = Vec::new();
    for (index, ingress) in service.status.load_balancer.ingress.iter().flatten().enumerate() {
        let field = format!("status.loadBalancer.ingress[{index}]");
        let Some(ip) = ingress.ip.as_deref().filter(|ip| !ip.is_empty()) else { continue };
        match ingress.ip_mode.as_deref().unwrap_or_default() {
            "" | "VIP" => addresses.extend(parse_external(ip, &format!("{field}.ip"), families, faults)),
            "Proxy" => {}
            other => faults.add(format!("{field}.ipMode"), format_args!("unknown mode {other:?}; skipped")),
        }
    }
    addresses
}

/// Parses an external address, which must be of a family that the Service is served in.
fn parse_external(text: &str, field: &str, families: Families, faults: &mut Faults) -> Option<IpAddr> {
    let address = parse_frontend_address(text, field, faults)?;
    if families.contains(Family::of(address)) {
        return Some(address);
    }
    faults.add(field, format_args!("the Service has no ClusterIP of the family of {address}; skipped"));
    None
}

fn parse_frontend_address(text: &str, field: impl Display, faults: &mut Faults) -> Option<IpAddr> {
    let address = faults.check(&field, parse_address(text))?;
    match frontend_fault(address) {
        Some(reason) => {
            faults.add(field, format_args!("{address} is {reason}; skipped"));
            None
        }
        None => Some(address),
    }
}

fn parse_policy(policy: Option<&str>, field: &str, faults: &mut Faults) -> List {
    match policy.unwrap_or_default() {
        "" | "Cluster" => List::Cluster,
        "Local" => List::Local,
        other => {
            faults.add(field, format_args!("unknown policy {other:?}; taken as Cluster"));
            List::Cluster
        }
    }
}

fn parse_affinity(spec: &ServiceSpec, faults: &mut Faults) -> u32 {
    match spec.session_affinity.as_deref().unwrap_or_default() {
        "" | "None" => return 0,
        "ClientIP" => {}
        other => {
            faults.add("spec.sessionAffinity", format_args!("unknown affinity {other:?}; taken as None"));
            return 0;
        }
    }
    let config = spec.session_affinity_config.as_ref().and_then(|config| config.client_ip.as_ref());
    let Some(seconds) = config.and_then(|config| config.timeout_seconds) else { return AFFINITY_DEFAULT };
    u32::try_from(seconds).ok().filter(|seconds| (1..=AFFINITY_MAX).contains(seconds)).unwrap_or_else(|| {
        let reason = format_args!("{seconds} is not in 1..={AFFINITY_MAX}; taken as {AFFINITY_DEFAULT}");
        faults.add("spec.sessionAffinityConfig.clientIP.timeoutSeconds", reason);
        AFFINITY_DEFAULT
    })
}
