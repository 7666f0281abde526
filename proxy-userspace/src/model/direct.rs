//! Real addresses where Services could be: those of this node, of its networks, its pods and of endpoints keep their own
//! meaning inside a ServiceCIDR, and a ClusterIP that this node has itself is answered by the node: NodeLocal DNSCache
//! in its default form.
//!
//! The cluster's whole pod range is not asked: some put the ServiceCIDR inside it on purpose, where no node's part is.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    net::IpAddr,
};

use ipnet::IpNet;

use super::{Model, faults::Faults, networks::Networks, state::ServiceState};
use crate::desired::NetworkKind;

/// Addresses of endpoints inside ServiceCIDRs, with the number of endpoints. Nearly always none.
#[derive(Debug, Default)]
pub(super) struct RealEndpoints(HashMap<IpAddr, usize>);

impl RealEndpoints {
    /// All of them, after a change of ServiceCIDRs.
    pub(super) fn new<'a>(networks: &Networks, services: impl Iterator<Item = &'a ServiceState>) -> Self {
        let mut found = Self::default();
        let addresses = services.flat_map(ServiceState::endpoints).map(|endpoint| endpoint.address);
        addresses.for_each(|address| _ = found.put(networks, address));
        found
    }

    /// One more endpoint at `address`. Whether it is the first inside a ServiceCIDR.
    pub(super) fn put(&mut self, networks: &Networks, address: IpAddr) -> bool {
        if !networks.covers(address) {
            return false;
        }
        let count = self.0.entry(address).or_default();
        *count += 1;
        *count == 1
    }

    /// One less. Whether it was the last.
    pub(super) fn remove(&mut self, address: IpAddr) -> bool {
        let Some(count) = self.0.get_mut(&address) else { return false };
        *count -= 1;
        *count == 0 && self.0.remove(&address).is_some()
    }
}

impl Model {
    /// Whether `address` is a ClusterIP that this node has itself: the node's listener answers there.
    pub(super) fn is_answered_here(&self, address: IpAddr) -> bool {
        self.local.all.contains(&address) && self.claims.is_cluster_ip(address)
    }

    /// Whether a Service that gets or loses `address` as its ClusterIP changes what is real.
    pub(super) fn is_overlapped(&self, address: IpAddr) -> bool {
        self.endpoints_in_cidrs.0.contains_key(&address)
            || self.local.all.contains(&address)
            || self.local.pods.contains(&address)
            || self.real_networks().any(|net| net.contains(&address))
    }

    /// Replaces the addresses of pods here. They come and go all the time, and nearly always outside every ServiceCIDR.
    pub(super) fn set_pods(&mut self, pods: &BTreeSet<IpAddr>) {
        let mut changed = self.local.pods.symmetric_difference(pods);
        self.touched.networks |= changed.any(|address| self.networks.covers(*address));
        self.local.pods.clone_from(pods);
    }

    /// Takes the real addresses out of the ServiceCIDRs in `networks`, and leaves the ClusterIPs among them in.
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

    /// What is wrong with the ServiceCIDR of these prefixes: `faults`, and that it overlaps what is real.
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

    /// Networks of this node's devices and pods that lie within a ServiceCIDR, not around it.
    fn real_networks(&self) -> impl Iterator<Item = IpNet> {
        let nets = self.local.networks.iter().chain(&self.node.pods).copied();
        nets.filter(|net| self.networks.encloses(net))
    }

    /// Addresses of this node, its pods and endpoints inside ServiceCIDRs that are no Service's.
    fn real_addresses(&self) -> impl Iterator<Item = IpAddr> {
        let own =
            self.local.all.iter().chain(&self.local.pods).copied().filter(|address| self.networks.covers(*address));
        let real = own.chain(self.endpoints_in_cidrs.0.keys().copied());
        real.filter(|address| !self.claims.is_cluster_ip(*address))
    }
}
