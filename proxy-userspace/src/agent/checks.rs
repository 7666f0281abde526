//! The health checks of Services (S22), kept from one plan to the next: a plan updates only those of the Services that it touches.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    sync::Arc,
};

use crate::{desired::ServiceName, model::health::Check};

/// The health of a Service, as its `healthCheckNodePort` reports it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceHealth {
    /// The Service.
    pub service: ServiceName,
    /// How many of its ready endpoints are on this node.
    pub endpoints: usize,
    /// Its load-balancer IPs.
    pub load_balancer_ips: Vec<IpAddr>,
    /// Whether the data plane has everything that the Service asks for.
    pub in_force: bool,
}

/// The health of Services by port.
pub type HealthByPort = Arc<BTreeMap<u16, ServiceHealth>>;

/// The Services with a `healthCheckNodePort`.
#[derive(Debug, Default)]
pub(super) struct Checks(BTreeMap<ServiceName, Check>);

impl Checks {
    /// Replaces the checks of the Services in `touched` by `checks`. `refused` are the Services that are not fully in force.
    /// Returns the health of all Services with a check, or `None` if none of them is in `touched` or `refused`.
    pub(super) fn update(
        &mut self,
        touched: &BTreeSet<ServiceName>,
        mut checks: BTreeMap<ServiceName, Check>,
        refused: &BTreeSet<ServiceName>,
    ) -> Option<BTreeMap<u16, ServiceHealth>> {
        // Changes of Services without a check cost nothing here.
        if !touched.iter().chain(refused).any(|one| checks.contains_key(one) || self.0.contains_key(one)) {
            return None;
        }
        for service in touched {
            match checks.remove(service) {
                Some(check) => self.0.insert(service.clone(), check),
                None => self.0.remove(service),
            };
        }
        let entry = |(service, check): (&ServiceName, &Check)| {
            let Check { port, endpoints, load_balancer_ips } = check.clone();
            let (service, in_force) = (service.clone(), !refused.contains(service));
            (port, ServiceHealth { service, endpoints, load_balancer_ips, in_force })
        };
        Some(self.0.iter().map(entry).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn service(name: &str) -> ServiceName {
        ServiceName::new("shop", name)
    }

    fn one(name: &str, port: u16, endpoints: usize) -> BTreeMap<ServiceName, Check> {
        BTreeMap::from([(service(name), Check { port, endpoints, load_balancer_ips: Vec::new() })])
    }

    #[test]
    fn s22_what_is_touched_is_updated() {
        let mut checks = Checks::default();
        let (web, nobody) = (BTreeSet::from([service("web")]), BTreeSet::new());
        let expected =
            ServiceHealth { service: service("web"), endpoints: 2, load_balancer_ips: Vec::new(), in_force: true };
        let health = |expected: &ServiceHealth| Some(BTreeMap::from([(32_000, expected.clone())]));
        assert_eq!(checks.update(&web, one("web", 32_000, 2), &nobody), health(&expected));
        assert_eq!(checks.update(&BTreeSet::from([service("other")]), BTreeMap::new(), &nobody), None);
        let refused = ServiceHealth { in_force: false, ..expected };
        assert_eq!(checks.update(&nobody, BTreeMap::new(), &web), health(&refused));
        assert_eq!(checks.update(&web, BTreeMap::new(), &nobody), Some(BTreeMap::new()));
    }
}
