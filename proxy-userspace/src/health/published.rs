//! Maps Services to ports, and publishes changes only.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use tokio::sync::watch;

use super::{Check, HealthByPort, ServiceHealth};
use crate::desired::ServiceName;

/// The state of Services with a `healthCheckNodePort`.
#[derive(Debug)]
pub struct Published {
    checks: BTreeMap<ServiceName, Check>,
    health: watch::Sender<HealthByPort>,
}

impl Published {
    /// No Services yet. Changes are published to `health`.
    pub fn new(health: watch::Sender<HealthByPort>) -> Self {
        Self { checks: BTreeMap::new(), health }
    }

    /// Replaces the checks of the Services in `touched` by `checks`, and publishes the result. `refused` are the
    /// Services of which the data plane lacks a part.
    pub fn update(
        &mut self,
        touched: &BTreeSet<ServiceName>,
        mut checks: BTreeMap<ServiceName, Check>,
        refused: &BTreeSet<ServiceName>,
    ) {
        // Changes of other Services cost nothing here.
        if !touched.iter().chain(refused).any(|one| checks.contains_key(one) || self.checks.contains_key(one)) {
            return;
        }
        for service in touched {
            match checks.remove(service) {
                Some(check) => self.checks.insert(service.clone(), check),
                None => self.checks.remove(service),
            };
        }
        let entry = |(service, check): (&ServiceName, &Check)| {
            let (service, in_force) = (service.clone(), !refused.contains(service));
            (check.port, ServiceHealth { service, endpoints: check.endpoints, in_force })
        };
        let health: BTreeMap<_, _> = self.checks.iter().map(entry).collect();
        self.health.send_if_modified(|published| {
            let is_news = **published != health;
            if is_news {
                *published = Arc::new(health);
            }
            is_news
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn service(name: &str) -> ServiceName {
        ServiceName::new("shop", name)
    }

    fn one(name: &str, port: u16, endpoints: usize) -> BTreeMap<ServiceName, Check> {
        BTreeMap::from([(service(name), Check { port, endpoints })])
    }

    #[test]
    fn s22_what_is_touched_is_published_once() {
        let (sender, mut receiver) = watch::channel(HealthByPort::default());
        let mut published = Published::new(sender);
        let (web, nobody) = (BTreeSet::from([service("web")]), BTreeSet::new());
        published.update(&web, one("web", 32_000, 2), &nobody);
        let expected = ServiceHealth { service: service("web"), endpoints: 2, in_force: true };
        assert_eq!(**receiver.borrow_and_update(), BTreeMap::from([(32_000, expected.clone())]));
        published.update(&web, one("web", 32_000, 2), &nobody);
        published.update(&BTreeSet::from([service("other")]), BTreeMap::new(), &nobody);
        assert!(!receiver.has_changed().unwrap(), "the same again is no news");
        published.update(&nobody, BTreeMap::new(), &web);
        assert_eq!(receiver.borrow_and_update()[&32_000], ServiceHealth { in_force: false, ..expected });
        published.update(&web, BTreeMap::new(), &nobody);
        assert!(receiver.borrow_and_update().is_empty());
    }
}
