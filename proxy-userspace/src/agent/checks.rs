//! The health checks of Services (S22), kept from one plan to the next: a plan updates only those of the Services that it touches.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
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

/// The ports that can't be listened on, with the errors. Clones share them.
#[derive(Clone, Debug, Default)]
pub struct BlockedPorts(Arc<Mutex<BTreeMap<u16, String>>>);

impl BlockedPorts {
    /// The port can't be listened on.
    pub fn block(&self, port: u16, error: String) {
        self.all().insert(port, error);
    }

    /// The port is listened on, or needs no listener any more.
    pub fn free(&self, port: u16) {
        self.all().remove(&port);
    }

    /// The Services whose ports are blocked, in a sentence each.
    pub(crate) fn by_service(&self, checks: &BTreeMap<u16, ServiceHealth>) -> BTreeMap<ServiceName, String> {
        let all = self.all();
        let blocked = all.iter().filter_map(|(port, error)| Some((port, error, &checks.get(port)?.service)));
        let sentence = |port: &u16, error: &str| {
            format!(
                "healthCheckNodePort {port} is not answered, so load balancers skip this node (free the port if something else \
                 on the node uses it; trying again): {error}"
            )
        };
        blocked.map(|(port, error, service)| (service.clone(), sentence(port, error))).collect()
    }

    fn all(&self) -> MutexGuard<'_, BTreeMap<u16, String>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

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
    fn s22_a_blocked_port_is_that_of_the_service_that_has_it_now() {
        let blocked = BlockedPorts::default();
        let checks = Checks(one("web", 32_000, 2)).update(&BTreeSet::new(), BTreeMap::new(), &[service("web")].into());
        let sentences_of = |blocked: &BlockedPorts| blocked.by_service(checks.as_ref().unwrap());
        blocked.block(31_000, "in use".to_owned());
        assert!(sentences_of(&blocked).is_empty(), "no Service has it");
        blocked.block(32_000, "listen on [::]:32000: in use".to_owned());
        let sentences = sentences_of(&blocked);
        let sentence = &sentences[&service("web")];
        assert!(sentence.contains("32000 is not answered") && sentence.ends_with("[::]:32000: in use"), "{sentence}");
        blocked.free(32_000);
        assert!(sentences_of(&blocked).is_empty());
    }

    #[test]
    fn s22_what_is_touched_is_updated() {
        let mut checks = Checks::default();
        let (web, none) = (BTreeSet::from([service("web")]), BTreeSet::new());
        let expected =
            ServiceHealth { service: service("web"), endpoints: 2, load_balancer_ips: Vec::new(), in_force: true };
        let health = |expected: &ServiceHealth| Some(BTreeMap::from([(32_000, expected.clone())]));
        assert_eq!(checks.update(&web, one("web", 32_000, 2), &none), health(&expected));
        assert_eq!(checks.update(&BTreeSet::from([service("other")]), BTreeMap::new(), &none), None);
        let refused = ServiceHealth { in_force: false, ..expected };
        assert_eq!(checks.update(&none, BTreeMap::new(), &web), health(&refused));
        assert_eq!(checks.update(&web, BTreeMap::new(), &none), Some(BTreeMap::new()));
    }
}
