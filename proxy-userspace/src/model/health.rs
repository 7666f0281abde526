//! Health checks of load balancers: whether a Service has ready backends on this node (S22).

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
};

use proxy_common::{Address, Frontend, List, Protocol};

use super::{Model, faults::Faults, ports::ParsedPort, service::ParsedService, state::ServiceState};
use crate::{
    desired::{Family, PortKey, ServiceName},
    objects::ServiceSpec,
};

/// The health check that a Service asks for, and its ready endpoints.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Check {
    /// The port that load balancers probe.
    pub port: u16,
    /// How many of its ready endpoints are on this node.
    pub endpoints: usize,
    /// The Service's load-balancer IPs: some load balancers probe there.
    pub load_balancer_ips: Vec<IpAddr>,
}

const FIELD: &str = "spec.healthCheckNodePort";

/// Parses `spec.healthCheckNodePort`, which counts only with the external policy Local.
pub(super) fn parse_health_check(
    spec: &ServiceSpec,
    ports: &[ParsedPort],
    external: List,
    faults: &mut Faults,
) -> Option<u16> {
    let port = spec.health_check_node_port.filter(|port| *port != 0 && external == List::Local)?;
    let number = u16::try_from(port).ok();
    let twin = |own: &&ParsedPort| own.protocol == Protocol::Tcp && own.node_port == number;
    match (number, ports.iter().find(twin)) {
        (Some(number), None) => Some(number),
        (Some(_), Some(own)) => {
            faults.add(FIELD, format_args!("spec.ports[{}].nodePort has the same; skipped", own.index));
            None
        }
        (None, _) => {
            faults.add(FIELD, format_args!("{port} is not in 1..=65535; skipped"));
            None
        }
    }
}

/// Returns the claims of the health check's port, which no Service may have as a node port.
pub(super) fn health_claims(spec: &ParsedService) -> impl Iterator<Item = Frontend> {
    let ports = spec.health_check.into_iter();
    ports.flat_map(|port| {
        [Address::ANY_IPV4, Address::ANY_IPV6].map(|any| Frontend::new(any, port, Protocol::Tcp as u8))
    })
}

impl Model {
    /// The health checks of all Services.
    pub fn health_checks(&self) -> BTreeMap<ServiceName, Check> {
        let check = |(name, state): (&ServiceName, &ServiceState)| {
            let check = self.health_check(name, state, state.spec.as_ref()?, &mut Faults::default())?;
            Some((name.clone(), check))
        };
        self.services.iter().filter_map(check).collect()
    }

    /// Returns the health check of the Service `name`; `None` if it asks for none, or another Service has the port.
    pub(super) fn health_check(
        &self,
        name: &ServiceName,
        state: &ServiceState,
        spec: &ParsedService,
        faults: &mut Faults,
    ) -> Option<Check> {
        let port = spec.health_check?;
        let mut holders = health_claims(spec).filter_map(|claim| self.claims.holder(&claim));
        if let Some(other_holder) = holders.find(|holder| *holder != name) {
            faults.add(FIELD, format_args!("node port {port} is served by {other_holder}, which comes first; skipped"));
            return None;
        }
        let load_balancer_ips = spec.load_balancer_ips.to_vec();
        Some(Check { port, endpoints: self.ready_here(state, spec), load_balancer_ips })
    }

    /// Returns how many endpoints on this node are ready. An endpoint with an address of each family counts once.
    fn ready_here(&self, state: &ServiceState, spec: &ParsedService) -> usize {
        let mut ready: BTreeMap<Family, BTreeSet<IpAddr>> = BTreeMap::new();
        for port in &spec.ports {
            for family in spec.families.iter() {
                let key = PortKey { name: port.name.clone(), protocol: port.protocol, family };
                let candidates = self.candidates(state, &key).into_iter();
                let here = candidates.filter(|candidate| candidate.local && candidate.conditions.ready);
                ready.entry(family).or_default().extend(here.map(|candidate| candidate.address.ip()));
            }
        }
        ready.values().map(BTreeSet::len).max().unwrap_or(0)
    }
}
