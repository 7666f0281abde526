//! An object that the folder has for its receiver, and whether the receiver would get it from an API server.

use super::packed::Packed;
use crate::objects::{HEADLESS_LABEL, Object, PROXY_NAME_LABEL};

/// An object, packed.
#[derive(Clone, Debug)]
pub struct Entry {
    /// The object.
    pub object: Packed<Object>,
    /// Whether the source reports it.
    pub is_ours: bool,
}

impl Entry {
    /// Packs an object.
    pub fn of(object: &Object) -> Self {
        Self { object: Packed::of(object), is_ours: is_ours(object) }
    }
}

/// True if the source reports the object. What another proxy serves (S1) and headless slices (S3) are hidden, as by the selectors
/// of a watch.
fn is_ours(object: &Object) -> bool {
    let (metadata, hiding): (_, &[&str]) = match object {
        Object::Service(object) => (&object.metadata, &[PROXY_NAME_LABEL]),
        Object::EndpointSlice(object) => (&object.metadata, &[HEADLESS_LABEL, PROXY_NAME_LABEL]),
        Object::Node(_) | Object::ServiceCidr(_) => return true,
    };
    metadata.labels.as_ref().is_none_or(|labels| !hiding.iter().any(|label| labels.contains_key(*label)))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

    use super::*;
    use crate::{
        objects::{EndpointSlice, Service},
        watch::kube::{ENDPOINT_SLICES, SERVICES},
    };

    #[test]
    fn s1_s3_a_folder_hides_what_the_selectors_of_a_watch_hide() {
        let labelled = |label: &str| ObjectMeta {
            labels: Some(BTreeMap::from([(label.to_owned(), String::new())])),
            ..ObjectMeta::default()
        };
        let service = |label: &str| Object::Service(Service { metadata: labelled(label), ..Service::default() });
        let slice = |label: &str| {
            Object::EndpointSlice(EndpointSlice { metadata: labelled(label), ..EndpointSlice::default() })
        };
        for label in SERVICES.split(',') {
            assert!(!is_ours(&service(label.strip_prefix('!').expect("a label that must be absent"))), "{label}");
        }
        for label in ENDPOINT_SLICES.split(',') {
            assert!(!is_ours(&slice(label.strip_prefix('!').expect("a label that must be absent"))), "{label}");
        }
        assert!(is_ours(&service("app")) && is_ours(&slice("app")) && is_ours(&service(HEADLESS_LABEL)));
    }
}
