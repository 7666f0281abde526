//! An EndpointSlice as the model keeps it (S3, S5, S6, S7, S9). A cluster has tens of thousands of endpoints, so each must
//! take few bytes.

use std::{net::IpAddr, sync::Arc};

use super::{
    faults::Faults,
    names::{Interners, ZoneSet},
    ports::{SlicePort, parse_slice_ports},
};
use crate::{
    desired::Family,
    model::topology::{Conditions, NodeHint},
    objects::{
        Endpoint, EndpointHints, EndpointSlice, Hint,
        address::{endpoint_fault, parse_address},
    },
};

/// The content of a slice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Slice {
    pub(super) family: Family,
    pub(super) ports: Box<[SlicePort]>,
    /// The endpoints with a usable address. ClusterIPs among them are refused later.
    pub(super) endpoints: Box<[ParsedEndpoint]>,
    pub(super) faults: Faults,
}

/// What an endpoint's `nodeName` says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum EndpointNode {
    /// The endpoint is on this node.
    This,
    /// The endpoint is on another node.
    Other,
    /// There is no `nodeName`.
    Unnamed,
}

/// An endpoint of a slice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ParsedEndpoint {
    /// Its address, of the slice's family.
    pub(super) address: IpAddr,
    /// Its index in the slice.
    pub(super) index: u16,
    pub(super) conditions: Conditions,
    pub(super) node: EndpointNode,
    pub(super) node_hint: NodeHint,
    /// Its zone hints, if it has any.
    pub(super) zones: Option<Arc<ZoneSet>>,
}

/// Parses `slice` from the point of view of the node named `node`.
pub(super) fn parse_slice(slice: &EndpointSlice, node: &str, names: &mut Interners) -> Slice {
    let mut faults = Faults::default();
    let family = match slice.address_type.as_str() {
        "IPv4" => Family::Ipv4,
        "IPv6" => Family::Ipv6,
        other => {
            faults.add("addressType", format_args!("unknown type {other:?}; the slice is skipped"));
            return Slice { family: Family::Ipv4, ports: Box::default(), endpoints: Box::default(), faults };
        }
    };
    let ports = parse_slice_ports(slice.ports.as_deref().unwrap_or_default(), names, &mut faults);
    let endpoints = slice.endpoints.iter().flatten().enumerate();
    let endpoints = endpoints.filter_map(|(index, api)| {
        let address = parse_endpoint_address(api, index, family, &mut faults)?;
        Some(ParsedEndpoint {
            address,
            index: u16::try_from(index).unwrap_or(u16::MAX),
            conditions: conditions(api),
            node: endpoint_node(api, node),
            node_hint: api.hints.as_ref().map_or(NodeHint::Absent, |hints| node_hint(hints, node)),
            zones: api.hints.as_ref().and_then(|hints| zones(hints, names)),
        })
    });
    Slice { family, endpoints: endpoints.collect(), ports, faults }
}

/// Returns the endpoint's first address; `None` if it can't be used.
fn parse_endpoint_address(api: &Endpoint, index: usize, family: Family, faults: &mut Faults) -> Option<IpAddr> {
    let field = format_args!("endpoints[{index}].addresses[0]").to_string();
    let address = faults.check(&field, parse_address(api.addresses.as_ref()?.first()?))?;
    if Family::of(address) != family {
        faults.add(field, format_args!("{address} is not of the slice's addressType; skipped"));
        return None;
    }
    match endpoint_fault(address) {
        Some(reason) => {
            faults.add(field, format_args!("{address} is {reason}; skipped"));
            None
        }
        None => Some(address),
    }
}

fn endpoint_node(api: &Endpoint, node: &str) -> EndpointNode {
    match api.node_name.as_deref() {
        None => EndpointNode::Unnamed,
        Some(name) if name == node => EndpointNode::This,
        Some(_) => EndpointNode::Other,
    }
}

fn conditions(api: &Endpoint) -> Conditions {
    let given = api.conditions.as_ref();
    Conditions {
        ready: given.and_then(|given| given.ready).unwrap_or(true),
        serving: given.and_then(|given| given.serving).unwrap_or(true),
        terminating: given.and_then(|given| given.terminating).unwrap_or(false),
    }
}

fn node_hint(hints: &EndpointHints, node: &str) -> NodeHint {
    let hints = hints.for_nodes.as_deref().unwrap_or_default();
    if hints.is_empty() {
        NodeHint::Absent
    } else if hints.iter().any(|hint| hint.name == node) {
        NodeHint::This
    } else {
        NodeHint::Others
    }
}

fn zones(hints: &EndpointHints, names: &mut Interners) -> Option<Arc<ZoneSet>> {
    let hints = hints.for_zones.as_deref().filter(|hints| !hints.is_empty())?;
    let zones = hints.iter().map(|Hint { name }| names.texts.intern(name)).collect();
    Some(names.zone_sets.intern(&ZoneSet(zones)))
}
