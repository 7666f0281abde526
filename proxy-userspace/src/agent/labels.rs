//! The labels of the Services that are served, for the commands that ask the agent for them: the maps have only names.

use std::{
    collections::BTreeMap,
    hash::{DefaultHasher, Hasher as _},
    ops::Bound,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use bytes::Bytes;
use serde::{Serialize, Serializer, ser::SerializeMap as _};
use serde_json::value::{RawValue, to_raw_value};

use crate::{
    model::is_served,
    objects::{Event, Kind, Object, ObjectRef, Service},
};

/// The most Services whose labels are copied before the agent may change labels again.
const PART: usize = 256;

/// The `namespace/name` of a Service, and its labels as a JSON object. A text takes less memory than a map. The texts are shared
/// with those that serialize them.
type Labelled = (Arc<str>, Arc<RawValue>);

/// What was made of the labels.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Document {
    /// The text.
    pub body: Bytes,
    /// A hash of it, which other agents of this release make of an equal text, too.
    pub hash: u64,
}

impl Document {
    /// Hashes a text.
    pub fn new(body: Bytes) -> Self {
        let mut hasher = DefaultHasher::new();
        hasher.write(&body);
        Self { body, hash: hasher.finish() }
    }
}

/// The labels of Services. Clones share them.
#[derive(Clone, Debug, Default)]
pub struct ServiceLabels(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    contents: Mutex<Contents>,
    /// Locked while a document is made.
    making: Mutex<()>,
}

#[derive(Debug, Default)]
struct Contents {
    /// By `namespace/name`, the labels of each Service that is served.
    services: BTreeMap<Arc<str>, Arc<RawValue>>,
    /// How often they have changed.
    version: u64,
    /// What was made of them; `None` if they have changed since.
    document: Option<Document>,
}

impl ServiceLabels {
    /// Takes what an event says of a Service's labels.
    pub(crate) fn note(&self, event: &Event) {
        match event {
            Event::Applied(object) => {
                if let Object::Service(service) = &**object {
                    self.set(&object.reference(), labels_of(service));
                }
            }
            Event::Deleted(reference) if reference.kind == Kind::Service => self.set(reference, None),
            Event::Deleted(_) | Event::Listed(_) => {}
        }
    }

    /// Sets the labels of a Service, or removes a Service that is not served.
    fn set(&self, ObjectRef { namespace, name, .. }: &ObjectRef, labels: Option<Box<RawValue>>) {
        let key = format!("{namespace}/{name}");
        let Contents { services, version, document } = &mut *self.lock();
        if services.get(key.as_str()).map(|labels| labels.get()) == labels.as_ref().map(|labels| labels.get()) {
            return;
        }
        match labels {
            Some(labels) => drop(services.insert(key.into(), labels.into())),
            None => drop(services.remove(key.as_str())),
        }
        *version += 1;
        *document = None;
    }

    /// Returns what `make` makes of the labels. It is kept until they change. Only one is made at a time; calls that wait for it
    /// share it, unless the labels change meanwhile. The agent does not wait for `make`.
    pub fn document(&self, make: impl FnOnce() -> Bytes) -> Document {
        let _making = self.0.making.lock().unwrap_or_else(PoisonError::into_inner);
        let (version, kept) = {
            let contents = self.lock();
            (contents.version, contents.document.clone())
        };
        kept.unwrap_or_else(|| {
            let document = Document::new(make());
            let mut contents = self.lock();
            if contents.version == version {
                contents.document = Some(document.clone());
            }
            document
        })
    }

    /// Returns the labels of the first Services behind one, at most [`PART`].
    fn part(&self, last: Option<&str>) -> Vec<Labelled> {
        // The room is made before the lock is taken.
        let mut part = Vec::with_capacity(PART);
        let after = last.map_or(Bound::Unbounded, Bound::Excluded);
        let contents = self.lock();
        let behind = contents.services.range::<str, _>((after, Bound::Unbounded)).take(PART);
        part.extend(behind.map(|(service, labels)| (Arc::clone(service), Arc::clone(labels))));
        part
    }

    fn lock(&self) -> MutexGuard<'_, Contents> {
        self.0.contents.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Serializes the labels of each Service that is served by its `namespace/name`, for serde_json only. The agent waits at most until
/// pointers to [`PART`] Services are copied. A Service that is noted meanwhile may be missing, as if it had been noted afterwards.
impl Serialize for ServiceLabels {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        let mut last: Option<Arc<str>> = None;
        loop {
            let part = self.part(last.as_deref());
            for (service, labels) in &part {
                map.serialize_entry(&**service, &**labels)?;
            }
            let Some((end, _)) = part.last() else { return map.end() };
            last = Some(Arc::clone(end));
        }
    }
}

/// Returns the labels of a Service as a JSON object; `None` if it is not served.
fn labels_of(service: &Service) -> Option<Box<RawValue>> {
    let none = BTreeMap::new();
    let labels = service.metadata.labels.as_ref().unwrap_or(&none);
    // Writing JSON can't fail: all keys are strings.
    is_served(service).then(|| to_raw_value(labels))?.ok()
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;
    use crate::objects::PROXY_NAME_LABEL;

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

    fn deleted(kind: Kind, name: &str) -> Event {
        Event::Deleted(ObjectRef { kind, namespace: "shop".to_owned(), name: name.to_owned() })
    }

    fn text(labels: &ServiceLabels) -> String {
        serde_json::to_string(labels).unwrap()
    }

    #[test]
    fn labels_follow_their_service() {
        let labels = ServiceLabels::default();
        labels.note(&applied(service("web", &[("tier", "front"), ("app", "web")])));
        labels.note(&applied(service("db", &[("app", "db")])));
        assert_eq!(text(&labels), r#"{"shop/db":{"app":"db"},"shop/web":{"app":"web","tier":"front"}}"#);
        labels.note(&applied(service("web", &[("app", "other")])));
        assert_eq!(text(&labels), r#"{"shop/db":{"app":"db"},"shop/web":{"app":"other"}}"#);
        labels.note(&deleted(Kind::EndpointSlice, "db"));
        labels.note(&deleted(Kind::Service, "web"));
        assert_eq!(text(&labels), r#"{"shop/db":{"app":"db"}}"#);
        labels.note(&deleted(Kind::Service, "db"));
        assert_eq!(text(&labels), "{}");
    }

    #[test]
    fn a_service_without_labels_is_there_and_a_deleted_one_is_not() {
        let labels = ServiceLabels::default();
        labels.note(&applied(service("bare", &[])));
        let mut without = service("none", &[]);
        without.metadata.labels = None;
        labels.note(&applied(without));
        labels.note(&applied(service("web", &[("app", "web")])));
        labels.note(&applied(service("web", &[])));
        assert_eq!(text(&labels), r#"{"shop/bare":{},"shop/none":{},"shop/web":{}}"#);
        labels.note(&deleted(Kind::Service, "bare"));
        assert_eq!(text(&labels), r#"{"shop/none":{},"shop/web":{}}"#);
    }

    #[test]
    fn s1_labels_of_services_that_are_not_served_are_not_kept() {
        let labels = ServiceLabels::default();
        labels.note(&applied(service("web", &[("app", "web")])));
        let mut headless = service("web", &[("app", "web")]);
        headless.spec.cluster_ip = Some("None".to_owned());
        labels.note(&applied(headless));
        labels.note(&applied(service("other", &[(PROXY_NAME_LABEL, "other")])));
        assert_eq!(text(&labels), "{}");
    }

    #[test]
    fn labels_are_serialized_in_parts_and_each_once() {
        let labels = ServiceLabels::default();
        for count in [PART, PART + 1, 2 * PART + 1] {
            let names: Vec<_> = (0..count).map(|number| format!("web-{number:04}")).collect();
            for name in &names {
                labels.note(&applied(service(name, &[])));
            }
            let members: Vec<_> = names.iter().map(|name| format!("\"shop/{name}\":{{}}")).collect();
            assert_eq!(text(&labels), format!("{{{}}}", members.join(",")), "{count}");
        }
    }

    #[test]
    fn a_document_is_kept_until_labels_change() {
        let labels = ServiceLabels::default();
        let document = |text: &'static str| labels.document(|| Bytes::from_static(text.as_bytes())).body;
        let web = |app: &str| labels.note(&applied(service("web", &[("app", app)])));
        web("web");
        assert_eq!((document("first"), document("second")), ("first".into(), "first".into()));
        web("web");
        labels.note(&deleted(Kind::Service, "other"));
        assert_eq!(document("second"), "first", "nothing has changed");
        web("other");
        assert_eq!(document("second"), "second");
        labels.note(&deleted(Kind::Service, "web"));
        assert_eq!(document("third"), "third");
    }

    #[test]
    fn the_agent_does_not_wait_for_a_document_and_one_of_older_labels_is_not_kept() {
        let labels = ServiceLabels::default();
        let made = labels.document(|| {
            labels.note(&applied(service("web", &[])));
            Bytes::from_static(b"older")
        });
        assert_eq!(made.body, "older");
        assert_eq!(labels.document(|| text(&labels).into()).body, r#"{"shop/web":{}}"#);
    }

    /// Takes a text, and checks that the agent could note a Service before each piece of it.
    struct Unlocked<'a> {
        labels: &'a ServiceLabels,
        text: Vec<u8>,
    }

    impl io::Write for Unlocked<'_> {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let contents = self.labels.0.contents.try_lock();
            assert!(contents.is_ok(), "the lock is held while {:?} is written", String::from_utf8_lossy(bytes));
            self.text.write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn the_agent_does_not_wait_for_what_is_written() {
        let labels = ServiceLabels::default();
        for number in 0..=PART {
            labels.note(&applied(service(&format!("web-{number:04}"), &[])));
        }
        let mut writer = Unlocked { labels: &labels, text: Vec::new() };
        serde_json::to_writer(&mut writer, &labels).unwrap();
        assert_eq!(String::from_utf8(writer.text).unwrap(), text(&labels));
    }

    #[test]
    fn equal_documents_have_equal_hashes() {
        let hash = |text: &'static str| Document::new(Bytes::from_static(text.as_bytes())).hash;
        assert_eq!(hash("{}"), hash("{}"));
        assert_ne!(hash("{}"), hash("{ }"));
    }
}
