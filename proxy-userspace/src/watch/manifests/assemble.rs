//! Assembles, from the contents of files, the objects that an API server and its controllers would report. Pure.

use std::collections::{BTreeSet, HashMap};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use super::{
    allocate::{self, Allocations, Ranges},
    content::{Content, Found, KeptObject},
    decode::Identity,
    diff::Objects,
    endpoints,
    packed::Packed,
    refusal::Refusal,
    validate::parse_network,
};
use crate::{
    objects::{Kind, Object, ObjectRef, ServiceCidr, ServiceCidrSpec},
    watch::selectors::is_reported,
};

/// The name of the ServiceCIDR object for the ranges of the command line.
const DEFAULT_CIDR: &str = "kubernetes";

/// The objects of a folder.
#[derive(Debug, Default)]
pub struct Assembled {
    /// The objects to report.
    pub objects: Objects,
    /// The objects that are not reported.
    hidden: BTreeSet<ObjectRef>,
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
            KeptObject::Pod(pod) => pods.push(pod.unpack()),
            KeptObject::Endpoints(object) => legacy.push(object.unpack()),
            KeptObject::EndpointSlice(slice) => {
                assembled.objects.insert(identity.of_kind(Kind::EndpointSlice), slice.clone());
            }
            KeptObject::HiddenSlice => {
                assembled.hidden.insert(identity.of_kind(Kind::EndpointSlice));
            }
            KeptObject::Node(node) if identity.name == node_name => {
                assembled.objects.insert(identity.of_kind(Kind::Node), node.clone());
            }
            KeptObject::Node(_) | KeptObject::Service(_) | KeptObject::ServiceCidr(_) => {}
        }
    }
    for slice in endpoints::generate(&allocated.services, &pods, &legacy) {
        let mut object = Object::EndpointSlice(slice);
        while assembled.has(&object.reference()) {
            let Object::EndpointSlice(slice) = &mut object else { break };
            slice.metadata.name.get_or_insert_default().push_str("-generated");
        }
        assembled.make(&object);
    }
    for service in allocated.services {
        assembled.make(&Object::Service(service));
    }
    assembled
}

impl Assembled {
    /// Adds an object that no file has as it is.
    fn make(&mut self, object: &Object) {
        if is_reported(object) {
            self.objects.insert(object.reference(), Packed::of(object));
        } else {
            self.hidden.insert(object.reference());
        }
    }

    fn has(&self, reference: &ObjectRef) -> bool {
        self.objects.contains_key(reference) || self.hidden.contains(reference)
    }
}

/// Keeps the first object of each identity and refuses the others.
fn unique<'a>(contents: impl IntoIterator<Item = &'a Content>, refusals: &mut Vec<Refusal>) -> Vec<&'a Found> {
    let mut first: HashMap<&Identity, &Found> = HashMap::new();
    let mut found = Vec::new();
    for content in contents {
        refusals.extend(content.refusals.iter().cloned());
        for object in &content.objects {
            if let Some(other) = first.get(&object.identity) {
                let (file, line) = (other.file.display(), other.lines.first());
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
    assembled.make(&Object::ServiceCidr(ServiceCidr {
        metadata: ObjectMeta { name: Some(DEFAULT_CIDR.to_owned()), ..ObjectMeta::default() },
        spec: ServiceCidrSpec { cidrs: Some(ranges.cidrs.iter().map(ToString::to_string).collect()) },
    }));
    for found in found {
        let KeptObject::ServiceCidr(packed) = &found.object else { continue };
        let Object::ServiceCidr(object) = packed.unpack() else { continue };
        let cidrs: Vec<_> = object.spec.cidrs.iter().flatten().filter_map(|text| parse_network(text)).collect();
        if found.identity.name == DEFAULT_CIDR {
            if cidrs != ranges.cidrs {
                let reason = "\"kubernetes\" already exists: it is made from --service-cidr";
                assembled.refusals.push(found.refuse("metadata.name", reason.to_owned()));
            }
            continue;
        }
        all.cidrs.extend(cidrs.into_iter().filter(|cidr| !ranges.cidrs.contains(cidr)));
        assembled.objects.insert(found.identity.of_kind(Kind::ServiceCidr), packed.clone());
    }
    all
}

#[cfg(test)]
mod tests;
