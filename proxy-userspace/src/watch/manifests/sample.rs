//! Manifests for tests: from a text to what it amounts to.

use std::{path::Path, sync::Arc};

pub use super::world::World;
use super::{
    allocate::{Memory, Ranges},
    decode::{self, Content},
    refusal::Refusal,
    tree, world as worlds,
};
use crate::objects::{EndpointSlice, Object, Service};

/// Node ports are 30000 to 30063.
pub fn ranges(cidrs: &[&str]) -> Ranges {
    Ranges { cidrs: cidrs.iter().map(|cidr| cidr.parse().expect("a network")).collect(), node_ports: 30000..=30063 }
}

pub fn content(file: &str, text: &str) -> Content {
    decode::decode(&Arc::from(Path::new(file)), tree::parse(text).expect("the text is YAML"))
}

/// The world of one file `a.yaml` on `node-1` with 10.96.0.0/24 and fd00:96::/112.
pub fn world(text: &str) -> World {
    world_after(&[("a.yaml", text)], &["10.96.0.0/24", "fd00:96::/112"], &Memory::default())
}

pub fn world_after(files: &[(&str, &str)], cidrs: &[&str], before: &Memory) -> World {
    let contents: Vec<_> = files.iter().map(|(file, text)| content(file, text)).collect();
    worlds::build(&contents, &ranges(cidrs), "node-1", before)
}

pub fn services(world: &World) -> Vec<&Service> {
    world
        .objects
        .values()
        .filter_map(|object| if let Object::Service(object) = object { Some(object) } else { None })
        .collect()
}

pub fn slices(world: &World) -> Vec<&EndpointSlice> {
    let all = world.objects.values();
    all.filter_map(|object| if let Object::EndpointSlice(object) = object { Some(object) } else { None }).collect()
}

/// The Service of this name; its absence is explained by the refusals.
pub fn service<'a>(world: &'a World, name: &str) -> &'a Service {
    let found = services(world).into_iter().find(|service| service.metadata.name.as_deref() == Some(name));
    found.unwrap_or_else(|| panic!("no Service {name}: {:?}", world.refusals))
}

/// `line object field: reason`.
pub fn shown(refusals: &[Refusal]) -> Vec<String> {
    let show = |refusal: &Refusal| format!("{} {} {}: {}", refusal.line, refusal.object, refusal.field, refusal.reason);
    refusals.iter().map(show).collect()
}
