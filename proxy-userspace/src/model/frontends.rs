//! The frontends that a Service asks for (S14, S17, S18, S19), whether or not it gets them.

use std::{collections::BTreeMap, net::IpAddr};

use proxy_common::{Address, Frontend, FrontendKind, List};

use super::{ports::ParsedPort, service::ParsedService};
use crate::desired::{Family, FrontendEntry, PortKey};

/// The part of a Service that asks for a frontend.
#[derive(Clone, Copy, Debug)]
pub(super) struct Origin<'a> {
    pub(super) kind: FrontendKind,
    port: &'a ParsedPort,
    family: Family,
}

/// Returns every frontend of `spec`. An address that is given twice is served once: as ClusterIP if it is one, else as
/// load-balancer IP rather than externalIP, because load-balancer IPs are filtered more strictly.
pub(super) fn frontends(spec: &ParsedService) -> BTreeMap<Frontend, Origin<'_>> {
    let addresses = [
        (FrontendKind::ClusterIp, &spec.cluster_ips),
        (FrontendKind::LoadBalancer, &spec.load_balancer_ips),
        (FrontendKind::ExternalIp, &spec.external_ips),
    ];
    let mut frontends = BTreeMap::new();
    for port in &spec.ports {
        for (kind, addresses) in addresses {
            for address in addresses {
                let frontend = Frontend::new((*address).into(), port.port, port.protocol as u8);
                frontends.entry(frontend).or_insert(Origin { kind, port, family: Family::of(*address) });
            }
        }
        for (family, node_port) in spec.families.iter().filter_map(|family| Some((family, port.node_port?))) {
            let any = if family == Family::Ipv4 { Address::ANY_IPV4 } else { Address::ANY_IPV6 };
            let origin = Origin { kind: FrontendKind::NodePort, port, family };
            frontends.insert(Frontend::new(any, node_port, port.protocol as u8), origin);
        }
    }
    frontends
}

impl Origin<'_> {
    /// Returns the frontend's entry in the table.
    pub(super) fn entry(&self, spec: &ParsedService) -> FrontendEntry {
        let (internal, external) = match self.kind {
            FrontendKind::ClusterIp => (spec.internal, spec.internal),
            _ => (List::Cluster, spec.external),
        };
        let port = PortKey { name: self.port.name.clone(), protocol: self.port.protocol, family: self.family };
        FrontendEntry { port, kind: self.kind, internal, external }
    }

    /// Returns the path of the field that asks for the frontend.
    pub(super) fn field(&self) -> String {
        match self.kind {
            FrontendKind::NodePort => format!("spec.ports[{}].nodePort", self.port.index),
            FrontendKind::ExternalIp => "spec.externalIPs".to_owned(),
            FrontendKind::LoadBalancer => "status.loadBalancer.ingress".to_owned(),
            FrontendKind::ClusterIp | FrontendKind::Owner | FrontendKind::ExternalOwner => "spec.clusterIPs".to_owned(),
        }
    }

    /// Returns the frontend in words.
    pub(super) fn describe(&self, frontend: &Frontend) -> String {
        let protocol = self.port.protocol;
        match self.kind {
            FrontendKind::NodePort => format!("node port {} ({protocol})", frontend.port),
            _ => format!("{} port {} ({protocol})", IpAddr::from(frontend.address), frontend.port),
        }
    }
}
