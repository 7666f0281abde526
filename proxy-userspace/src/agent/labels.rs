//! The labels of the Services that are served, for the commands that ask the agent for them: the maps have only names.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use crate::{
    model::{is_served, names::Interner},
    objects::{Event, Kind, Object, ObjectRef},
};

/// The labels of Services. Clones share them.
#[derive(Clone, Debug, Default)]
pub struct ServiceLabels(Arc<Mutex<Known>>);

#[derive(Debug, Default)]
struct Known {
    /// By `namespace/name`, the labels of each Service that has some, as a JSON object. A text takes less memory than a map.
    services: HashMap<Arc<str>, Arc<str>>,
    /// Gives equal labels of many Services one allocation.
    texts: Interner<str>,
}

impl ServiceLabels {
    /// Takes what an event says of a Service's labels.
    pub(crate) fn note(&self, event: &Event) {
        match event {
            Event::Applied(object) => {
                if let Object::Service(service) = &**object {
                    let labels = service.metadata.labels.as_ref();
                    let labels = labels.filter(|labels| !labels.is_empty() && is_served(service));
                    self.set(&object.reference(), labels);
                }
            }
            Event::Deleted(reference) if reference.kind == Kind::Service => self.set(reference, None),
            Event::Deleted(_) | Event::Listed(_) => {}
        }
    }

    fn set(&self, ObjectRef { namespace, name, .. }: &ObjectRef, labels: Option<&BTreeMap<String, String>>) {
        let key = format!("{namespace}/{name}");
        // Writing JSON can't fail: all keys are strings.
        let text = labels.and_then(|labels| serde_json::to_string(labels).ok());
        let Known { services, texts } = &mut *self.known();
        match (text.map(|text| texts.intern(&text)), services.get_mut(key.as_str())) {
            (Some(labels), Some(known)) => *known = labels,
            (Some(labels), None) => drop(services.insert(key.into(), labels)),
            (None, Some(_)) => drop(services.remove(key.as_str())),
            (None, None) => {}
        }
    }

    /// Returns the labels of each Service that has some, as a JSON object, with the Service's `namespace/name`. The agent waits
    /// while they are copied, which copies no text.
    pub fn all(&self) -> Vec<(Arc<str>, Arc<str>)> {
        self.known().services.iter().map(|(service, labels)| (Arc::clone(service), Arc::clone(labels))).collect()
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::objects::{PROXY_NAME_LABEL, Service};

    fn service(name: &str, labels: &[(&str, &str)]) -> Service {
        let mut service = Service::default();
        service.metadata.namespace = Some("shop".to_owned());
        service.metadata.name = Some(name.to_owned());
        let labels = labels.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
        service.metadata.labels = Some(labels.collect());
        service.spec.cluster_ip = Some("10.96.0.10".to_owned());
        service
    }

    fn applied(service: Service) -> Event {
        Event::Applied(Box::new(Object::Service(service)))
    }

    fn known(labels: &ServiceLabels) -> Vec<String> {
        let mut known: Vec<_> = labels.all().iter().map(|(service, labels)| format!("{service} {labels}")).collect();
        known.sort();
        known
    }

    #[test]
    fn labels_follow_their_service() {
        let labels = ServiceLabels::default();
        labels.note(&applied(service("web", &[("tier", "front"), ("app", "web")])));
        labels.note(&applied(service("db", &[("app", "db")])));
        labels.note(&applied(service("bare", &[])));
        assert_eq!(known(&labels), ["shop/db {\"app\":\"db\"}", "shop/web {\"app\":\"web\",\"tier\":\"front\"}"]);
        labels.note(&applied(service("web", &[("app", "other")])));
        assert_eq!(known(&labels), ["shop/db {\"app\":\"db\"}", "shop/web {\"app\":\"other\"}"]);
        labels.note(&applied(service("web", &[])));
        let reference = |kind| ObjectRef { kind, namespace: "shop".to_owned(), name: "db".to_owned() };
        labels.note(&Event::Deleted(reference(Kind::EndpointSlice)));
        assert_eq!(known(&labels), ["shop/db {\"app\":\"db\"}"]);
        labels.note(&Event::Deleted(reference(Kind::Service)));
        assert!(known(&labels).is_empty());
    }

    #[test]
    fn s1_labels_of_services_that_are_not_served_are_not_kept() {
        let labels = ServiceLabels::default();
        labels.note(&applied(service("web", &[("app", "web")])));
        let mut headless = service("web", &[("app", "web")]);
        headless.spec.cluster_ip = Some("None".to_owned());
        labels.note(&applied(headless));
        labels.note(&applied(service("other", &[(PROXY_NAME_LABEL, "other")])));
        assert!(known(&labels).is_empty());
    }

    #[test]
    fn equal_labels_are_in_memory_once() {
        let labels = ServiceLabels::default();
        for name in ["a", "b"] {
            labels.note(&applied(service(name, &[("app", "web")])));
        }
        let [(_, first), (_, second)] = &labels.all()[..] else { panic!("two Services have labels") };
        assert!(Arc::ptr_eq(first, second));
    }
}
