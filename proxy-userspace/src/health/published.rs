//! From Services to ports, and only when there is news.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use tokio::sync::watch;

use super::{Answer, Answers, Check};
use crate::desired::ServiceName;

/// What the agent knows of Services that have a `healthCheckNodePort`.
#[derive(Debug)]
pub struct Published {
    checks: BTreeMap<ServiceName, Check>,
    answers: watch::Sender<Answers>,
}

impl Published {
    /// Nothing yet; `answers` is told.
    pub fn new(answers: watch::Sender<Answers>) -> Self {
        Self { checks: BTreeMap::new(), answers }
    }

    /// Takes in what the Services in `touched` ask for now, and publishes it. The data plane has refused parts of those in
    /// `refused`.
    pub fn update(
        &mut self,
        touched: &BTreeSet<ServiceName>,
        mut checks: BTreeMap<ServiceName, Check>,
        refused: &BTreeSet<ServiceName>,
    ) {
        // A change of others costs nothing here.
        if !touched.iter().chain(refused).any(|one| checks.contains_key(one) || self.checks.contains_key(one)) {
            return;
        }
        for service in touched {
            match checks.remove(service) {
                Some(check) => self.checks.insert(service.clone(), check),
                None => self.checks.remove(service),
            };
        }
        let answer = |(service, check): (&ServiceName, &Check)| {
            let (service, in_force) = (service.clone(), !refused.contains(service));
            (check.port, Answer { service, endpoints: check.endpoints, in_force })
        };
        let answers: BTreeMap<_, _> = self.checks.iter().map(answer).collect();
        self.answers.send_if_modified(|published| {
            let is_news = **published != answers;
            if is_news {
                *published = Arc::new(answers);
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
        let (sender, mut receiver) = watch::channel(Answers::default());
        let mut published = Published::new(sender);
        let (web, nobody) = (BTreeSet::from([service("web")]), BTreeSet::new());
        published.update(&web, one("web", 32_000, 2), &nobody);
        let expected = Answer { service: service("web"), endpoints: 2, in_force: true };
        assert_eq!(**receiver.borrow_and_update(), BTreeMap::from([(32_000, expected.clone())]));
        published.update(&web, one("web", 32_000, 2), &nobody);
        published.update(&BTreeSet::from([service("other")]), BTreeMap::new(), &nobody);
        assert!(!receiver.has_changed().unwrap(), "the same again is no news");
        published.update(&nobody, BTreeMap::new(), &web);
        assert_eq!(receiver.borrow_and_update()[&32_000], Answer { in_force: false, ..expected });
        published.update(&web, BTreeMap::new(), &nobody);
        assert!(receiver.borrow_and_update().is_empty());
    }
}
