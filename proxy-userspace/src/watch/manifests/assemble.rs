//! Assembles, from the contents of files, the objects that an API server and its controllers would report. Pure.

use std::collections::{BTreeMap, HashMap};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use super::{
    allocate::{self, Allocations, Ranges},
    decode::{Content, DecodedObject, Found, Identity},
    endpoints,
    refusal::Refusal,
    validate::parse_network,
};
use crate::objects::{HEADLESS_LABEL, Object, ObjectRef, PROXY_NAME_LABEL, ServiceCidr, ServiceCidrSpec};

/// The name of the ServiceCIDR object for the ranges of the command line.
const DEFAULT_CIDR: &str = "kubernetes";

/// The objects of a folder.
#[derive(Debug, Default)]
pub struct Assembled {
    /// The objects to report.
    pub objects: BTreeMap<ObjectRef, Object>,
    /// The files and objects that are refused.
    pub refusals: Vec<Refusal>,
    /// The allocations in force.
    pub allocations: Allocations,
}

/// Assembles `contents`, which must be in the order of their files' paths.
pub fn assemble<'a>(
    contents: impl IntoIterator<Item = &'a Content>,
    ranges: &Ranges,
    node_name: &str,
    before: &Allocations,
) -> Assembled {
    let mut assembled = Assembled::default();
    let found = unique(contents, &mut assembled.refusals);
    let cidrs = service_cidrs(&found, ranges, &mut assembled);
    let allocated = allocate::allocate(found.iter().copied(), &cidrs, before);
    assembled.refusals.extend(allocated.refusals);
    assembled.allocations = allocated.allocations;
    let (mut pods, mut legacy) = (Vec::new(), Vec::new());
    for Found { object, identity, .. } in found {
        match object {
            DecodedObject::Pod(pod) => pods.push(pod),
            DecodedObject::Endpoints(object) => legacy.push(object),
            DecodedObject::EndpointSlice(slice) => assembled.report(Object::EndpointSlice(slice.clone())),
            DecodedObject::Node(node) if identity.name == node_name => assembled.report(Object::Node(node.clone())),
            DecodedObject::Node(_) | DecodedObject::Service(_) | DecodedObject::ServiceCidr(_) => {}
        }
    }
    for slice in endpoints::generate(&allocated.services, pods, &legacy) {
        let mut object = Object::EndpointSlice(slice);
        while assembled.objects.contains_key(&object.reference()) {
            let Object::EndpointSlice(slice) = &mut object else { break };
            slice.metadata.name.get_or_insert_default().push_str("-generated");
        }
        assembled.report(object);
    }
    for service in allocated.services {
        assembled.report(Object::Service(service));
    }
    assembled
}

impl Assembled {
    fn report(&mut self, object: Object) {
        self.objects.insert(object.reference(), object);
    }
}

/// True if the source reports the object. What another proxy serves (S1) and headless slices (S3) are hidden, as by the selectors
/// of a watch.
pub fn is_ours(object: &Object) -> bool {
    let (metadata, hiding): (_, &[&str]) = match object {
        Object::Service(object) => (&object.metadata, &[PROXY_NAME_LABEL]),
        Object::EndpointSlice(object) => (&object.metadata, &[HEADLESS_LABEL, PROXY_NAME_LABEL]),
        Object::Node(_) | Object::ServiceCidr(_) => return true,
    };
    metadata.labels.as_ref().is_none_or(|labels| !hiding.iter().any(|label| labels.contains_key(*label)))
}

/// Keeps the first object of each identity and refuses the others.
fn unique<'a>(contents: impl IntoIterator<Item = &'a Content>, refusals: &mut Vec<Refusal>) -> Vec<&'a Found> {
    let mut first: HashMap<&Identity, &Found> = HashMap::new();
    let mut found = Vec::new();
    for content in contents {
        refusals.extend(content.refusals.iter().cloned());
        for object in &content.objects {
            if let Some(other) = first.get(&object.identity) {
                let (file, line) = (other.file.display(), other.tree.line);
                let reason = format!("{:?} already exists: {file}:{line} is served", object.identity.name);
                refusals.push(object.refuse("metadata.name", reason));
            } else {
                first.insert(&object.identity, object);
                found.push(object);
            }
        }
    }
    found
}

/// Reports the ServiceCIDRs, and returns the ranges of all of them together.
fn service_cidrs(found: &[&Found], ranges: &Ranges, assembled: &mut Assembled) -> Ranges {
    let mut all = ranges.clone();
    assembled.report(Object::ServiceCidr(ServiceCidr {
        metadata: ObjectMeta { name: Some(DEFAULT_CIDR.to_owned()), ..ObjectMeta::default() },
        spec: ServiceCidrSpec { cidrs: Some(ranges.cidrs.iter().map(ToString::to_string).collect()) },
    }));
    for found in found {
        let DecodedObject::ServiceCidr(object) = &found.object else { continue };
        let cidrs: Vec<_> = object.spec.cidrs.iter().flatten().filter_map(|text| parse_network(text)).collect();
        if found.identity.name == DEFAULT_CIDR {
            if cidrs != ranges.cidrs {
                let reason = "\"kubernetes\" already exists: it is made from --service-cidr";
                assembled.refusals.push(found.refuse("metadata.name", reason.to_owned()));
            }
            continue;
        }
        all.cidrs.extend(cidrs.into_iter().filter(|cidr| !ranges.cidrs.contains(cidr)));
        assembled.report(Object::ServiceCidr(object.clone()));
    }
    all
}

#[cfg(test)]
mod tests;
