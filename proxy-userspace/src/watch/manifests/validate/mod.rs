//! Refuses objects that the API server would refuse (S38), in its words. Each object is validated on its own; `allocate`
//! checks what depends on other objects.

mod address;
mod endpoints;
mod service;
mod service_ip;
mod service_ports;

use std::{collections::BTreeMap, fmt::Display};

use proxy_common::Protocol;

pub use address::{parse_address, parse_network};
pub use service_ip::family_name;

use super::{
    decode::{DecodedObject, Identity},
    tree::Tree,
};
use crate::objects::name;

/// Why a field is invalid.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The path of the field.
    pub field: String,
    /// The reason in the API server's words.
    pub reason: String,
}

impl Fault {
    pub(super) fn invalid(field: impl Into<String>, value: impl Display, reason: impl Display) -> Self {
        Self { field: field.into(), reason: format!("Invalid value: {value}: {reason}") }
    }

    pub(super) fn invalid_text(field: impl Into<String>, value: &str, reason: impl Display) -> Self {
        Self::invalid(field, format_args!("{value:?}"), reason)
    }

    fn required(field: impl Into<String>, reason: &str) -> Self {
        let separator = if reason.is_empty() { "" } else { ": " };
        Self { field: field.into(), reason: format!("Required value{separator}{reason}") }
    }

    fn forbidden(field: impl Into<String>, reason: &str) -> Self {
        Self { field: field.into(), reason: format!("Forbidden: {reason}") }
    }

    fn duplicate(field: impl Into<String>, value: impl Display) -> Self {
        Self { field: field.into(), reason: format!("Duplicate value: {value}") }
    }

    fn too_many(field: impl Into<String>, count: usize, most: usize) -> Self {
        Self { field: field.into(), reason: format!("Too many: {count}: must have at most {most} items") }
    }
}

/// Returns the faults of an object; none if it is valid. `tree` is the object as it was written, with the fields that the
/// partial types lack.
pub fn validate(object: &DecodedObject, identity: &Identity, tree: &Tree) -> Vec<Fault> {
    let mut faults = Vec::new();
    metadata(object, identity, &mut faults);
    match object {
        DecodedObject::Service(service) => service::validate(service, tree, &mut faults),
        DecodedObject::EndpointSlice(slice) => endpoints::slice(slice, &mut faults),
        DecodedObject::Endpoints(object) => endpoints::endpoints(object, &mut faults),
        DecodedObject::Pod(pod) => endpoints::pod(pod, &mut faults),
        DecodedObject::Node(_) => {}
        DecodedObject::ServiceCidr(object) => address::service_cidr(object, &mut faults),
    }
    faults
}

fn metadata(object: &DecodedObject, Identity { namespace, name, .. }: &Identity, faults: &mut Vec<Fault>) {
    if name.is_empty() {
        faults.push(Fault::required("metadata.name", "name or generateName is required"));
    } else {
        let rule =
            if matches!(object, DecodedObject::Service(_)) { name::dns1035_label } else { name::dns1123_subdomain };
        check("metadata.name", name, rule, faults);
    }
    if !namespace.is_empty() {
        check("metadata.namespace", namespace, name::dns1123_label, faults);
    }
    let labels = match object {
        DecodedObject::Service(object) => &object.metadata.labels,
        DecodedObject::EndpointSlice(object) => &object.metadata.labels,
        DecodedObject::Endpoints(object) => &object.metadata.labels,
        DecodedObject::Pod(object) => &object.metadata.labels,
        DecodedObject::Node(object) => &object.metadata.labels,
        DecodedObject::ServiceCidr(object) => &object.metadata.labels,
    };
    if let Some(labels) = labels {
        self::labels("metadata.labels", labels, faults);
    }
}

/// Adds a fault for each violation of the rules for labels and selectors.
fn labels(field: &str, labels: &BTreeMap<String, String>, faults: &mut Vec<Fault>) {
    for (key, value) in labels {
        check(field, key, name::label_key, faults);
        check(&format!("{field}[{key}]"), value, name::label_value, faults);
    }
}

/// Adds a fault for each violation of `rule`.
fn check(field: &str, value: &str, rule: fn(&str) -> Vec<String>, faults: &mut Vec<Fault>) {
    faults.extend(rule(value).into_iter().map(|reason| Fault::invalid_text(field, value, reason)));
}

/// Adds a fault if the value is not one of `supported`, which must be in alphabetical order.
fn one_of(field: &str, value: Option<&str>, supported: &[&str], faults: &mut Vec<Fault>) {
    let Some(value) = value.filter(|value| !supported.contains(value)) else { return };
    let supported = supported.iter().map(|value| format!("{value:?}")).collect::<Vec<_>>().join(", ");
    faults.push(Fault {
        field: field.to_owned(),
        reason: format!("Unsupported value: {value:?}: supported values: {supported}"),
    });
}

const PROTOCOLS: [&str; 3] = [Protocol::Sctp.name(), Protocol::Tcp.name(), Protocol::Udp.name()];

/// Adds a fault if the port is not in 1 to 65535.
fn port_number(field: &str, port: i32, faults: &mut Vec<Fault>) {
    if !(1..=65535).contains(&port) {
        faults.push(Fault::invalid(field, port, "must be between 1 and 65535, inclusive"));
    }
}

#[cfg(test)]
mod tests;
