//! Ports of Services and of EndpointSlices (S4, S5, S10, S11).

use std::{collections::BTreeMap, fmt::Display, sync::Arc};

use proxy_common::Protocol;

use super::{faults::Faults, names::Interners};
use crate::objects::{EndpointPort, ServicePort, ServiceSpec};

/// A port of a Service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ParsedPort {
    /// The name; empty if the port is unnamed.
    pub(super) name: Arc<str>,
    pub(super) protocol: Protocol,
    pub(super) port: u16,
    /// The node port, if the Service has node ports.
    pub(super) node_port: Option<u16>,
    /// The index in the object's list.
    pub(super) index: usize,
}

/// A port of an EndpointSlice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct SlicePort {
    /// The name; empty if the port is unnamed.
    pub(super) name: Arc<str>,
    pub(super) protocol: Protocol,
    pub(super) port: u16,
}

/// Parses a Service's ports. A port that repeats an earlier port's name or number, within a protocol, is skipped.
pub(super) fn parse_service_ports(
    spec: &ServiceSpec,
    with_node_ports: bool,
    names: &mut Interners,
    faults: &mut Faults,
) -> Box<[ParsedPort]> {
    let (mut by_name, mut by_port, mut by_node_port) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
    let mut ports = Vec::new();
    for (index, api) in spec.ports.iter().flatten().enumerate() {
        let Some(mut port) = parse_service_port(api, index, names, faults) else { continue };
        let is_new = is_first(&mut by_name, (port.name.clone(), port.protocol), index, "name", faults)
            && is_first(&mut by_port, (port.port, port.protocol), index, "port", faults);
        if !is_new {
            continue;
        }
        port.node_port = port.node_port.filter(|number| {
            with_node_ports && is_first(&mut by_node_port, (*number, port.protocol), index, "nodePort", faults)
        });
        ports.push(port);
    }
    ports.into()
}

/// Whether no port before the one at `index` has the same `key`; otherwise notes a fault.
fn is_first<K: Ord>(seen: &mut BTreeMap<K, usize>, key: K, index: usize, field: &str, faults: &mut Faults) -> bool {
    let first = *seen.entry(key).or_insert(index);
    if first != index {
        let field = format_args!("spec.ports[{index}].{field}");
        faults.add(field, format_args!("spec.ports[{first}] has the same; skipped"));
    }
    first == index
}

/// Parses a slice's ports. A port without a number is skipped (S5).
pub(super) fn parse_slice_ports(
    ports: &[EndpointPort],
    names: &mut Interners,
    faults: &mut Faults,
) -> Box<[SlicePort]> {
    let parse = |(index, api): (usize, &EndpointPort)| {
        let port = parse_number(api.port?, format_args!("ports[{index}].port"), faults)?;
        let protocol = parse_protocol(api.protocol.as_deref(), format_args!("ports[{index}].protocol"), faults)?;
        Some(SlicePort { name: names.texts.intern(api.name.as_deref().unwrap_or_default()), protocol, port })
    };
    ports.iter().enumerate().filter_map(parse).collect()
}

fn parse_service_port(
    api: &ServicePort,
    index: usize,
    names: &mut Interners,
    faults: &mut Faults,
) -> Option<ParsedPort> {
    let protocol = parse_protocol(api.protocol.as_deref(), format_args!("spec.ports[{index}].protocol"), faults)?;
    let port = parse_number(api.port, format_args!("spec.ports[{index}].port"), faults)?;
    let node_port = api.node_port.filter(|port| *port != 0);
    let node_port = node_port.and_then(|port| parse_number(port, format_args!("spec.ports[{index}].nodePort"), faults));
    let name = names.texts.intern(api.name.as_deref().unwrap_or_default());
    Some(ParsedPort { name, protocol, port, node_port, index })
}

fn parse_number(port: i32, field: impl Display, faults: &mut Faults) -> Option<u16> {
    let number = u16::try_from(port).ok().filter(|port| *port != 0);
    if number.is_none() {
        faults.add(field, format_args!("{port} is not in 1..=65535; skipped"));
    }
    number
}

fn parse_protocol(protocol: Option<&str>, field: impl Display, faults: &mut Faults) -> Option<Protocol> {
    let Some(name) = protocol.filter(|name| !name.is_empty()) else { return Some(Protocol::Tcp) };
    let found = name.parse().ok();
    if found.is_none() {
        faults.add(field, format_args!("unknown protocol {name:?}; skipped"));
    }
    found
}
