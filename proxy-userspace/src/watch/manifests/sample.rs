//! Turns manifests of tests into the objects that a folder with them reports.

use std::{path::Path, sync::Arc};

pub use super::assemble::Assembled;
use super::{
    allocate::{Allocations, Ranges},
    assemble,
    content::Content,
    packed::Packed,
    refusal::Refusal,
};
use crate::objects::{EndpointSlice, Object, Service};

/// Returns ranges with these networks and the node ports 30000 to 30063.
pub fn ranges(cidrs: &[&str]) -> Ranges {
    Ranges { cidrs: cidrs.iter().map(|cidr| cidr.parse().expect("a network")).collect(), node_ports: 30000..=30063 }
}

pub fn content(file: &str, text: &str) -> Content {
    Content::read(&Arc::from(Path::new(file)), text).expect("the text is YAML")
}

/// Assembles one file `a.yaml` on `node-1` with 10.96.0.0/24 and fd00:96::/112.
pub fn assembled(text: &str) -> Assembled {
    assembled_after(&[("a.yaml", text)], &["10.96.0.0/24", "fd00:96::/112"], &Allocations::default())
}

pub fn assembled_after(files: &[(&str, &str)], cidrs: &[&str], before: &Allocations) -> Assembled {
    let contents: Vec<_> = files.iter().map(|(file, text)| content(file, text)).collect();
    assemble::assemble(&contents, &ranges(cidrs), "node-1", before)
}

pub fn services(assembled: &Assembled) -> Vec<Service> {
    let all = assembled.objects.values().map(Packed::unpack);
    all.filter_map(|object| if let Object::Service(object) = object { Some(object) } else { None }).collect()
}

pub fn slices(assembled: &Assembled) -> Vec<EndpointSlice> {
    let all = assembled.objects.values().map(Packed::unpack);
    all.filter_map(|object| if let Object::EndpointSlice(object) = object { Some(object) } else { None }).collect()
}

/// Returns the Service named `name`. If it is missing, panics with the refusals.
pub fn service(assembled: &Assembled, name: &str) -> Service {
    let found = services(assembled).into_iter().find(|service| service.metadata.name.as_deref() == Some(name));
    found.unwrap_or_else(|| panic!("no Service {name}: {:?}", assembled.refusals))
}

/// Formats refusals as `line object field: reason`.
pub fn shown(refusals: &[Refusal]) -> Vec<String> {
    let show = |refusal: &Refusal| format!("{} {} {}: {}", refusal.line, refusal.object, refusal.field, refusal.reason);
    refusals.iter().map(show).collect()
}
