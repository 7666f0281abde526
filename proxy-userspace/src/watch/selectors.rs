//! kube-proxy's label selectors, by which an API server's watch hides objects (S1, S3). A folder hides the same ones.

use crate::objects::{HEADLESS_LABEL, Object, PROXY_NAME_LABEL};

/// For Services: another proxy serves those with the label.
pub(super) const SERVICES: &str = "!service.kubernetes.io/service-proxy-name";
/// For EndpointSlices: those of headless Services are hidden, too.
pub(super) const ENDPOINT_SLICES: &str = "!service.kubernetes.io/headless,!service.kubernetes.io/service-proxy-name";

/// Whether an API server's watch by these selectors would report the object.
pub(super) fn is_reported(object: &Object) -> bool {
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
    use crate::objects::{EndpointSlice, Service};

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
            assert!(!is_reported(&service(label.strip_prefix('!').expect("a label that must be absent"))), "{label}");
        }
        for label in ENDPOINT_SLICES.split(',') {
            assert!(!is_reported(&slice(label.strip_prefix('!').expect("a label that must be absent"))), "{label}");
        }
        assert!(is_reported(&service("app")) && is_reported(&slice("app")) && is_reported(&service(HEADLESS_LABEL)));
    }
}
