//! ServiceCIDRs, and the ClusterIPs outside of them (S20).

use std::{
    collections::{BTreeMap, BTreeSet},
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

use ipnet::IpNet;

use super::faults::Faults;
use crate::objects::{ServiceCidr, address::parse_cidr};

/// `::ffff:0:0`, the prefix that the maps give IPv4 addresses.
const MAPPED: Ipv6Addr = Ipv6Addr::new(0, 0, 0, 0, 0, 0xffff, 0, 0);

/// The content of one ServiceCIDR object.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Cidrs {
    pub(super) nets: Vec<IpNet>,
    pub(super) faults: Faults,
}

/// The ServiceCIDRs by object name, and the ClusterIPs that are outside of all of them.
#[derive(Debug, Default)]
pub(super) struct Networks {
    cidrs: BTreeMap<String, Cidrs>,
    outside: BTreeSet<IpAddr>,
}

/// Parses a ServiceCIDR.
pub(super) fn parse_service_cidr(object: &ServiceCidr) -> Cidrs {
    let mut faults = Faults::default();
    let mut nets = Vec::new();
    for (index, text) in object.spec.cidrs.iter().flatten().enumerate() {
        let field = format!("spec.cidrs[{index}]");
        match faults.check(&field, parse_cidr(text)) {
            Some(net) if covers_loopback(&net) => {
                faults.add(field, format_args!("{net} covers this host's loopback addresses, or all of IPv4; skipped"));
            }
            net => nets.extend(net),
        }
    }
    Cidrs { nets, faults }
}

impl Networks {
    /// Replaces the ranges of the object `name`. `cluster_ips` are those of all Services. Returns whether anything
    /// changed.
    pub(super) fn set_cidrs(
        &mut self,
        name: &str,
        cidrs: Option<Cidrs>,
        cluster_ips: impl Iterator<Item = IpAddr>,
    ) -> bool {
        if self.cidrs.get(name) == cidrs.as_ref() {
            return false;
        }
        match cidrs {
            Some(cidrs) => self.cidrs.insert(name.to_owned(), cidrs),
            None => self.cidrs.remove(name),
        };
        self.outside = cluster_ips.filter(|address| !self.covers(*address)).collect();
        true
    }

    /// Notes whether `address` is a Service's ClusterIP. Returns whether the ClusterIPs outside of ServiceCIDRs
    /// changed.
    pub(super) fn set_cluster_ip(&mut self, address: IpAddr, is_claimed: bool) -> bool {
        if is_claimed && !self.covers(address) { self.outside.insert(address) } else { self.outside.remove(&address) }
    }

    /// Returns the prefixes in which an address that no Service owns is unreachable: ServiceCIDRs, and ClusterIPs outside of them.
    pub(super) fn prefixes(&self) -> impl Iterator<Item = IpNet> {
        let hosts = self.outside.iter().map(|address| IpNet::from(*address));
        self.cidrs.values().flat_map(|cidrs| cidrs.nets.iter().copied()).chain(hosts)
    }

    /// Returns the ServiceCIDR objects by name.
    pub(super) fn objects(&self) -> impl Iterator<Item = (&str, &Cidrs)> {
        self.cidrs.iter().map(|(name, cidrs)| (name.as_str(), cidrs))
    }

    /// Whether `net` is a proper part of a ServiceCIDR.
    pub(super) fn encloses(&self, net: &IpNet) -> bool {
        self.cidrs.values().flat_map(|cidrs| &cidrs.nets).any(|cidr| cidr != net && cidr.contains(net))
    }

    /// Whether `address` is inside a ServiceCIDR.
    pub(super) fn covers(&self, address: IpAddr) -> bool {
        self.cidrs.values().flat_map(|cidrs| &cidrs.nets).any(|net| net.contains(&address))
    }
}

fn covers_loopback(net: &IpNet) -> bool {
    [Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into(), IpAddr::V6(MAPPED)].iter().any(|own| net.contains(own))
}
