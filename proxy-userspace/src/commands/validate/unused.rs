//! Finds what has no effect in valid manifests: endpoints of no Service, Services without endpoints, objects of other kinds. Pure.

use std::collections::{BTreeMap, BTreeSet};

use proxy_common::Protocol;

use super::finding::Finding;
use crate::{
    desired::{PortKey, ServiceName, ServiceTable, Table},
    objects::{EndpointSlice, Kind, Object, ObjectRef, Service, ServicePort},
    watch::manifests::once::Listing,
};

/// The field that names an EndpointSlice's Service.
const LABEL: &str = "metadata.labels[kubernetes.io/service-name]";

/// The EndpointSlices of each Service that have endpoints.
type Slices<'a> = BTreeMap<ObjectRef, Vec<&'a EndpointSlice>>;

/// Returns the warnings.
pub(super) fn find(listing: &Listing, table: &Table) -> Vec<Finding> {
    let objects: Vec<_> = listing.objects.iter().map(|(reference, object)| (reference, object.unpack())).collect();
    let slices = by_service(&objects);
    let mut findings: Vec<Finding> = listing.ignored.iter().map(Finding::ignored).collect();
    for (reference, object) in &objects {
        match object {
            Object::EndpointSlice(slice) => findings.extend(stray(reference, slice, listing)),
            Object::Service(service) => {
                let name = ServiceName::new(reference.namespace.as_str(), reference.name.as_str());
                let own = slices.get(reference).map(Vec::as_slice).unwrap_or_default();
                for port in table.services.get(&name).into_iter().flat_map(unusable) {
                    findings.push(Finding::about(reference, &field(service, port), refused(port, own), listing));
                }
            }
            Object::Node(_) | Object::ServiceCidr(_) => {}
        }
    }
    findings
}

fn by_service<'a>(objects: &'a [(&ObjectRef, Object)]) -> Slices<'a> {
    let mut slices = Slices::new();
    for (reference, object) in objects {
        if let Object::EndpointSlice(slice) = object
            && let Some(service) = slice.service()
            && slice.endpoints.as_ref().is_some_and(|endpoints| !endpoints.is_empty())
        {
            slices.entry(service_of(reference, service)).or_default().push(slice);
        }
    }
    slices
}

/// Returns a warning if the slice's endpoints are no Service's.
fn stray(reference: &ObjectRef, slice: &EndpointSlice, listing: &Listing) -> Option<Finding> {
    let reason = match slice.service().map(|name| service_of(reference, name)) {
        None => "these endpoints are not used: the label must name their Service".to_owned(),
        Some(service) if listing.origin(&service, "").is_none() => {
            format!("these endpoints are not used: there is no {service}")
        }
        Some(_) => return None,
    };
    Some(Finding::about(reference, LABEL, reason, listing))
}

/// Returns the ports with a frontend at which clients are refused.
fn unusable(service: &ServiceTable) -> BTreeSet<&PortKey> {
    let served = service.frontends.values().map(|frontend| &frontend.port);
    served.filter(|port| service.ports.get(port).is_some_and(|entry| !entry.usable)).collect()
}

/// Says why clients are refused at a port of a Service with these slices.
fn refused(port: &PortKey, slices: &[&EndpointSlice]) -> String {
    let (family, protocol) = (port.family.number(), port.protocol.name());
    let cause = if slices.is_empty() {
        "the Service has no endpoints".to_owned()
    } else if slices.iter().any(|slice| has_port(slice, port)) {
        format!("no IPv{family} endpoint is ready")
    } else if port.name.is_empty() {
        format!("none of the Service's EndpointSlices has a {protocol} port without a name")
    } else {
        format!("none of the Service's EndpointSlices has a {protocol} port named {:?}", port.name)
    };
    format!("clients are refused over IPv{family}: {cause}")
}

/// Whether the slice has this port (S4).
fn has_port(slice: &EndpointSlice, port: &PortKey) -> bool {
    slice.ports.iter().flatten().any(|own| {
        own.name.as_deref().unwrap_or_default() == &*port.name && is_protocol(own.protocol.as_deref(), port.protocol)
    })
}

fn is_protocol(given: Option<&str>, protocol: Protocol) -> bool {
    given.unwrap_or(Protocol::Tcp.name()) == protocol.name()
}

/// Returns the field of a Service's port.
fn field(service: &Service, port: &PortKey) -> String {
    let ports = service.spec.ports.iter().flatten();
    let is_it = |own: &ServicePort| {
        own.name.as_deref().unwrap_or_default() == &*port.name && is_protocol(own.protocol.as_deref(), port.protocol)
    };
    let index = ports.enumerate().find(|(_, own)| is_it(own)).map(|(index, _)| index);
    index.map_or_else(|| "spec.ports".to_owned(), |index| format!("spec.ports[{index}]"))
}

/// The Service that an object of the same namespace names.
fn service_of(object: &ObjectRef, name: &str) -> ObjectRef {
    ObjectRef { kind: Kind::Service, namespace: object.namespace.clone(), name: name.to_owned() }
}
