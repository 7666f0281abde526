//! This node: its zone (S15), and which of its addresses serve node ports (S19).

use std::{collections::BTreeSet, net::IpAddr, sync::Arc};

use ipnet::IpNet;

use super::{Model, faults::Faults, names::Interners};
use crate::{
    config::NodePortAddresses,
    desired::Family,
    objects::{
        LocalAddresses, Node, NodeSpec, ObjectRef, Taint,
        address::{parse_address, parse_cidr},
    },
};

const ZONE_LABEL: &str = "topology.kubernetes.io/zone";

/// The content of this node's object.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct NodeState {
    pub(super) zone: Option<Arc<str>>,
    /// Its internal and external addresses.
    pub(super) addresses: BTreeSet<IpAddr>,
    /// Its internal addresses, in the object's order.
    pub(super) internal: Vec<IpAddr>,
    /// The prefixes of its pods' addresses.
    pub(super) pods: Vec<IpNet>,
    /// The port of its kubelet.
    pub(super) kubelet_port: Option<u16>,
    /// Whether the node is about to be removed.
    pub(super) leaving: bool,
    pub(super) faults: Faults,
}

/// Parses this node's object.
pub(super) fn parse_node(node: &Node, names: &mut Interners) -> NodeState {
    let zone = node.metadata.labels.as_ref().and_then(|labels| labels.get(ZONE_LABEL));
    let mut faults = Faults::default();
    let given = node.status.addresses.iter().flatten().enumerate();
    let given = given.filter(|(_, given)| matches!(given.r#type.as_str(), "InternalIP" | "ExternalIP"));
    let (mut addresses, mut internal) = (BTreeSet::new(), Vec::new());
    for (index, given) in given {
        let field = format_args!("status.addresses[{index}].address").to_string();
        let Some(address) = faults.check(field, parse_address(&given.address)) else { continue };
        addresses.insert(address);
        if given.r#type == "InternalIP" {
            internal.push(address);
        }
    }
    let zone = zone.filter(|zone| !zone.is_empty()).map(|zone| names.texts.intern(zone));
    let pods = parse_pod_cidrs(&node.spec, &mut faults);
    let kubelet = node.status.daemon_endpoints.as_ref().and_then(|daemons| daemons.kubelet_endpoint.as_ref());
    let kubelet_port = kubelet.and_then(|kubelet| u16::try_from(kubelet.port).ok()).filter(|port| *port != 0);
    let leaving = node.metadata.deletion_timestamp.is_some() || node.spec.taints.iter().flatten().any(is_of_autoscaler);
    NodeState { zone, addresses, internal, pods, kubelet_port, leaving, faults }
}

/// Whether the cluster autoscaler is about to remove the node that has this taint.
fn is_of_autoscaler(taint: &Taint) -> bool {
    taint.key == "ToBeDeletedByClusterAutoscaler"
}

fn parse_pod_cidrs(spec: &NodeSpec, faults: &mut Faults) -> Vec<IpNet> {
    let all = spec.pod_cidrs.as_deref().unwrap_or_default().iter().map(String::as_str).enumerate();
    let mut cidrs: Vec<_> = all.map(|(index, text)| (format!("spec.podCIDRs[{index}]"), text)).collect();
    if let Some(only) = spec.pod_cidr.as_deref().filter(|only| !only.is_empty() && cidrs.is_empty()) {
        cidrs.push(("spec.podCIDR".to_owned(), only));
    }
    cidrs.into_iter().filter_map(|(field, text)| faults.check(field, parse_cidr(text))).collect()
}

impl Model {
    /// Replaces this node's object.
    pub(super) fn set_node(&mut self, reference: ObjectRef, state: NodeState) {
        let own = self.own_addresses();
        let before = std::mem::replace(&mut self.node, state);
        if before == self.node {
            return;
        }
        self.touched.networks = true;
        self.touched.objects.insert(reference);
        if before.kubelet_port != self.node.kubelet_port {
            let own = self.local.all.clone();
            self.touch_external(|address| own.contains(&address));
        }
        if before.zone != self.node.zone {
            self.touch_where(|state| state.endpoints().any(|endpoint| endpoint.zones.is_some()));
        }
        if before.pods != self.node.pods || self.own_addresses() != own {
            self.touch_where(|state| state.spec.as_deref().is_some_and(|spec| !spec.sources.is_empty()));
        }
    }
}

impl NodeState {
    /// Returns the address of a family that this node uses as its own: the first InternalIP of the Node object that this
    /// machine has, else the kernel's choice.
    pub(super) fn own_address(&self, family: Family, local: &LocalAddresses) -> Option<IpAddr> {
        let mut internal = self.internal.iter().filter(|address| local.all.contains(address));
        let mut primary = local.primary.iter();
        let is_of_family = |address: &&IpAddr| Family::of(**address) == family;
        internal.find(is_of_family).or_else(|| primary.find(is_of_family)).copied()
    }

    /// Returns the addresses that serve node ports to all clients. Loopback addresses are not among them: they serve node
    /// ports to this node's own processes only.
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
