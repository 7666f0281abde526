//! Excludes real addresses from ServiceCIDRs. Addresses of this node, its networks, its pods and endpoints that are inside a
//! ServiceCIDR but are not ClusterIPs keep their own meaning: packets to them pass. A ClusterIP that is also an address of this
//! node is left to the node's listener (NodeLocal DNSCache by default).
//!
//! The cluster's pod range as a whole is not excluded: some clusters put the ServiceCIDR into a part of it that no node uses.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    net::IpAddr,
};

use ipnet::IpNet;

use super::{Model, faults::Faults, networks::Networks, state::ServiceState};
use crate::desired::NetworkKind;

/// The endpoint addresses inside ServiceCIDRs, each with the number of its endpoints. Nearly always empty.
#[derive(Debug, Default)]
pub(super) struct RealEndpoints(HashMap<IpAddr, usize>);

impl RealEndpoints {
    /// Counts all endpoints again, after a change of the ServiceCIDRs.
    pub(super) fn new<'a>(networks: &Networks, services: impl Iterator<Item = &'a ServiceState>) -> Self {
        let mut found = Self::default();
        let addresses = services.flat_map(ServiceState::endpoints).map(|endpoint| endpoint.address);
        addresses.for_each(|address| _ = found.put(networks, address));
        found
    }

    /// Counts one more endpoint at `address`. Returns whether it is the first there, and inside a ServiceCIDR.
    pub(super) fn put(&mut self, networks: &Networks, address: IpAddr) -> bool {
        if !networks.covers(address) {
            return false;
        }
        let count = self.0.entry(address).or_default();
        *count += 1;
        *count == 1
    }

    /// Counts one endpoint less at `address`. Returns whether it was the last.
    pub(super) fn remove(&mut self, address: IpAddr) -> bool {
        let Some(count) = self.0.get_mut(&address) else { return false };
        *count -= 1;
        *count == 0 && self.0.remove(&address).is_some()
    }
}

impl Model {
    /// Whether `address` is a ClusterIP that is also an address of this node, where the node's own listener answers.
    pub(super) fn is_answered_here(&self, address: IpAddr) -> bool {
        self.local.all.contains(&address) && self.claims.is_cluster_ip(address)
    }

    /// Whether the networks change when a Service gets or loses the ClusterIP `address`.
    pub(super) fn is_overlapped(&self, address: IpAddr) -> bool {
        self.endpoints_in_cidrs.0.contains_key(&address)
            || self.local.all.contains(&address)
            || self.local.pods.contains(&address)
            || self.real_networks().any(|net| net.contains(&address))
    }

    /// Replaces the addresses of pods on this node. They change often, but nearly always outside every ServiceCIDR.
    pub(super) fn set_pods(&mut self, pods: &BTreeSet<IpAddr>) {
        let mut changed = self.local.pods.symmetric_difference(pods);
        self.touched.networks |= changed.any(|address| self.networks.covers(*address));
        self.local.pods.clone_from(pods);
    }

    /// Excludes the real addresses from the ServiceCIDRs in `networks`, but keeps the ClusterIPs among them.
    pub(super) fn carve(&self, networks: &mut BTreeMap<IpNet, NetworkKind>) {
        for net in self.real_networks() {
            networks.insert(net, NetworkKind::Direct);
            let inside = self.claims.cluster_ips().filter(|address| net.contains(address));
            networks.extend(inside.map(|address| (IpNet::from(address), NetworkKind::ServiceCidr)));
        }
        networks.extend(self.real_addresses().map(|address| (IpNet::from(address), NetworkKind::Direct)));
        let answered = self.local.all.iter().filter(|address| self.is_answered_here(**address));
        networks.extend(answered.map(|address| (IpNet::from(*address), NetworkKind::Direct)));
    }

    /// Returns the faults of a ServiceCIDR with these prefixes: `faults`, and one for each prefix that covers real addresses.
    pub(super) fn overlap_faults(&self, nets: &[IpNet], faults: &Faults) -> Faults {
        let mut faults = faults.clone();
        for (index, net) in nets.iter().enumerate() {
            let is_overlapped = self.real_networks().any(|real| net.contains(&real))
                || self.real_addresses().any(|address| net.contains(&address));
            if is_overlapped {
                let reason = "covers addresses of this node, its networks, its pods or endpoints, which keep their meaning; \
                              choose a range for Services that nothing else uses";
                faults.add(format_args!("spec.cidrs[{index}]"), format_args!("{net} {reason}"));
            }
        }
        faults
    }

    /// Returns the networks of this node's devices and pods that are a proper part of a ServiceCIDR.
    fn real_networks(&self) -> impl Iterator<Item = IpNet> {
        let nets = self.local.networks.iter().chain(&self.node.pods).copied();
        nets.filter(|net| self.networks.encloses(net))
    }

    /// Returns the addresses of this node, its pods and endpoints that are inside ServiceCIDRs and are not ClusterIPs.
    fn real_addresses(&self) -> impl Iterator<Item = IpAddr> {
        let own =
            self.local.all.iter().chain(&self.local.pods).copied().filter(|address| self.networks.covers(*address));
        let real = own.chain(self.endpoints_in_cidrs.0.keys().copied());
        real.filter(|address| !self.claims.is_cluster_ip(*address))
    }
}
