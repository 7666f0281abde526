//! This node: its zone (S15) and which of its addresses serve node ports (S19).

use std::{collections::BTreeSet, net::IpAddr, sync::Arc};

use super::{
    config::{LocalAddresses, NodePortAddresses, OwnAddresses},
    faults::Faults,
    names::Names,
};
use crate::{addr::parse_address, objects::Node};

const ZONE_LABEL: &str = "topology.kubernetes.io/zone";

/// What the Node object says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct NodeState {
    pub(super) zone: Option<Arc<str>>,
    /// Its internal and external addresses.
    pub(super) addresses: BTreeSet<IpAddr>,
    /// Its internal addresses, in the object's order.
    pub(super) internal: Vec<IpAddr>,
    pub(super) faults: Faults,
}

/// Reads this node's object.
pub(super) fn parse_node(node: &Node, names: &mut Names) -> NodeState {
    let zone = node.metadata.labels.as_ref().and_then(|labels| labels.get(ZONE_LABEL));
    let mut faults = Faults::default();
    let given = node.status.addresses.iter().flatten().enumerate();
    let given = given.filter(|(_, given)| matches!(given.r#type.as_str(), "InternalIP" | "ExternalIP"));
    let addresses = given.filter_map(|(index, given)| {
        faults.check(format_args!("status.addresses[{index}].address"), parse_address(&given.address))
    });
    let addresses = addresses.collect();
    let internal = node.status.addresses.iter().flatten().filter(|given| given.r#type == "InternalIP");
    let internal = internal.filter_map(|given| parse_address(&given.address).ok()).collect();
    let zone = zone.filter(|zone| !zone.is_empty()).map(|zone| names.texts.intern(zone));
    NodeState { zone, addresses, internal, faults }
}

impl NodeState {
    /// This node's own address of each family: the first internal one that it really has, else the kernel's choice.
    pub(super) fn own_addresses(&self, local: &LocalAddresses) -> OwnAddresses {
        let own = |is_wanted: fn(&IpAddr) -> bool| {
            let named = self.internal.iter().find(|address| is_wanted(address) && local.all.contains(address));
            named.or_else(|| local.primary.iter().find(|address| is_wanted(address))).copied()
        };
        OwnAddresses { ipv4: own(IpAddr::is_ipv4), ipv6: own(IpAddr::is_ipv6) }
    }

    /// The addresses that serve node ports to everybody. Loopback addresses serve them too, but to this node
    /// only, and are not among these.
    pub(super) fn nodeport_addresses<'a>(
        &'a self,
        chosen: &'a NodePortAddresses,
        local: &'a LocalAddresses,
    ) -> impl Iterator<Item = IpAddr> + 'a {
        let primary = if self.addresses.is_empty() { &local.primary } else { &self.addresses };
        let is_chosen = move |address: &IpAddr| match chosen {
            NodePortAddresses::Primary => primary.contains(address),
            NodePortAddresses::Cidrs(cidrs) => cidrs.iter().any(|cidr| cidr.contains(address)),
        };
        local
            .all
            .iter()
            .copied()
            .filter(is_chosen)
            .filter(|address| !address.is_loopback() && !address.is_unspecified())
    }
}
