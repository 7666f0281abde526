//! Addresses inside ServiceCIDRs that are not ClusterIPs: addresses of this node, its networks, its pods and endpoints
//! keep their own meaning there. A ClusterIP that is also an address of this node is left to the node's listener
//! (NodeLocal DNSCache by default).
//!
//! The cluster's pod range does not count as a whole: some clusters put the ServiceCIDR inside it, where no node has
//! its part.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    net::IpAddr,
};

use ipnet::IpNet;

use super::{Model, faults::Faults, networks::Networks, state::ServiceState};
use crate::desired::NetworkKind;

/// The endpoint addresses inside ServiceCIDRs, with their numbers of endpoints. Nearly always empty.
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
    /// Whether `address` is a ClusterIP that is also an address of this node, whose listener answers there.
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

    /// The faults of a ServiceCIDR with these prefixes: `faults`, and whether it covers real addresses.
    pub(super) fn overlap_faults(&self, nets: &[IpNet], faults: &Faults) -> Faults {
        let mut faults = faults.clone();
        for (index, net) in nets.iter().enumerate() {
            let is_overlapped = self.real_networks().any(|real| net.contains(&real))
                || self.real_addresses().any(|address| net.contains(&address));
            if is_overlapped {
                let reason = "covers addresses of this node, its networks, its pods or endpoints: those are left alone; \
                              choose a range for Services that nothing else has";
                faults.add(format_args!("spec.cidrs[{index}]"), format_args!("{net} {reason}"));
            }
        }
        faults
    }

    /// Networks of this node's devices and pods that are part of a ServiceCIDR, not all of it.
    fn real_networks(&self) -> impl Iterator<Item = IpNet> {
        let nets = self.local.networks.iter().chain(&self.node.pods).copied();
        nets.filter(|net| self.networks.encloses(net))
    }

    /// Addresses of this node, its pods and endpoints that are inside ServiceCIDRs and are not ClusterIPs.
    fn real_addresses(&self) -> impl Iterator<Item = IpAddr> {
        let own =
            self.local.all.iter().chain(&self.local.pods).copied().filter(|address| self.networks.covers(*address));
        let real = own.chain(self.endpoints_in_cidrs.0.keys().copied());
        real.filter(|address| !self.claims.is_cluster_ip(*address))
    }
}
