//! From the contents of files to the objects that an API server and its controllers would report. Pure.

use std::collections::{BTreeMap, HashMap};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use super::{
    allocate::{self, Memory, Ranges},
    decode::{Content, Found, Identity, Object as Decoded},
    endpoints,
    refusal::Refusal,
    validate::parse_network,
};
use crate::objects::{Object, ObjectRef, ServiceCidr, ServiceCidrSpec};

/// The name of the ServiceCIDR that stands for the ranges of the command line.
const DEFAULT_CIDR: &str = "kubernetes";

/// What a folder amounts to.
#[derive(Debug, Default)]
pub struct World {
    /// The objects to report.
    pub objects: BTreeMap<ObjectRef, Object>,
    /// What is refused.
    pub refusals: Vec<Refusal>,
    /// The allocations in force.
    pub memory: Memory,
}

/// Builds the world of `contents`, which are in the order of their files' paths.
pub fn build<'a>(
    contents: impl IntoIterator<Item = &'a Content>,
    ranges: &Ranges,
    node_name: &str,
    before: &Memory,
) -> World {
    let mut world = World::default();
    let found = unique(contents, &mut world.refusals);
    let cidrs = service_cidrs(&found, ranges, &mut world);
    let allocated = allocate::allocate(found.iter().copied(), &cidrs, before);
    world.refusals.extend(allocated.refusals);
    world.memory = allocated.memory;
    let (mut pods, mut legacy) = (Vec::new(), Vec::new());
    for Found { object, identity, .. } in found {
        match object {
            Decoded::Pod(pod) => pods.push(pod),
            Decoded::Endpoints(object) => legacy.push(object),
            Decoded::EndpointSlice(slice) => world.report(Object::EndpointSlice(slice.clone())),
            Decoded::Node(node) if identity.name == node_name => world.report(Object::Node(node.clone())),
            Decoded::Node(_) | Decoded::Service(_) | Decoded::ServiceCidr(_) => {}
        }
    }
    for slice in endpoints::generate(&allocated.services, pods, &legacy) {
        let mut object = Object::EndpointSlice(slice);
        while world.objects.contains_key(&object.reference()) {
            let Object::EndpointSlice(slice) = &mut object else { break };
            slice.metadata.name.get_or_insert_default().push_str("-generated");
        }
        world.report(object);
    }
    for service in allocated.services {
        world.report(Object::Service(service));
    }
    world
}

impl World {
    fn report(&mut self, object: Object) {
        self.objects.insert(object.reference(), object);
    }
}

/// Whether a source shows the object: another proxy's Services (S1) and headless slices (S3) are hidden, as the
/// selectors of a watch would hide them.
pub fn is_ours(object: &Object) -> bool {
    let (metadata, label) = match object {
        Object::Service(object) => (&object.metadata, "service.kubernetes.io/service-proxy-name"),
        Object::EndpointSlice(object) => (&object.metadata, "service.kubernetes.io/headless"),
        Object::Node(_) | Object::ServiceCidr(_) => return true,
    };
    metadata.labels.as_ref().is_none_or(|labels| !labels.contains_key(label))
}

/// The first of each name; the others are refused.
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

/// Reports the ServiceCIDRs and gives the ranges that they make together.
fn service_cidrs(found: &[&Found], ranges: &Ranges, world: &mut World) -> Ranges {
    let mut all = ranges.clone();
    world.report(Object::ServiceCidr(ServiceCidr {
        metadata: ObjectMeta { name: Some(DEFAULT_CIDR.to_owned()), ..ObjectMeta::default() },
        spec: ServiceCidrSpec { cidrs: Some(ranges.cidrs.iter().map(ToString::to_string).collect()) },
    }));
    for found in found {
        let Decoded::ServiceCidr(object) = &found.object else { continue };
        let cidrs: Vec<_> = object.spec.cidrs.iter().flatten().filter_map(|text| parse_network(text)).collect();
        if found.identity.name == DEFAULT_CIDR {
            if cidrs != ranges.cidrs {
                let reason = "\"kubernetes\" already exists: it is made from --service-cidr";
                world.refusals.push(found.refuse("metadata.name", reason.to_owned()));
            }
            continue;
        }
        all.cidrs.extend(cidrs.into_iter().filter(|cidr| !ranges.cidrs.contains(cidr)));
        world.report(Object::ServiceCidr(object.clone()));
    }
    all
}

#[cfg(test)]
mod tests;
