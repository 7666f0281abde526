//! The clients that may use a Service's load-balancer IPs (S21). As in kube-proxy 1.36, only
//! `spec.loadBalancerSourceRanges` counts: the annotation with the same meaning is for the load balancer's controller.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
};

use ipnet::IpNet;

use super::faults::Faults;
use crate::{
    desired::{Family, SourceRanges},
    objects::{ServiceSpec, address::parse_cidr},
};

/// The ranges by family. A family without an entry is open to every client.
pub(super) type Sources = BTreeMap<Family, BTreeSet<IpNet>>;

/// The properties of this node that source ranges depend on.
pub(super) struct NodeSources<'a> {
    /// The node's own address of the family.
    pub(super) own: Option<IpAddr>,
    /// The prefixes of its pods' addresses, of all families.
    pub(super) pods: &'a [IpNet],
}

/// Parses a Service's ranges. A range that can't be parsed admits no client; its family stays closed to all others.
pub(super) fn parse_sources(spec: &ServiceSpec, faults: &mut Faults) -> Sources {
    let mut sources = Sources::new();
    for (index, text) in spec.load_balancer_source_ranges.iter().flatten().enumerate() {
        let net = faults.check(format_args!("spec.loadBalancerSourceRanges[{index}]"), parse_cidr(text));
        let is_ipv6 = net.map_or_else(|| text.contains(':'), |net| net.addr().is_ipv6());
        let family = if is_ipv6 { Family::Ipv6 } else { Family::Ipv4 };
        sources.entry(family).or_default().extend(net);
    }
    sources.retain(|_, ranges| ranges.iter().all(|net| net.prefix_len() != 0));
    sources
}

/// Returns what `ranges` mean on this node for the given load-balancer IPs, all of one family.
pub(super) fn source_ranges(
    ranges: &BTreeSet<IpNet>,
    load_balancer_ips: impl Iterator<Item = IpAddr>,
    this_node: &NodeSources<'_>,
    family: Family,
) -> SourceRanges {
    let node = this_node.own.is_some_and(|own| ranges.iter().any(|net| net.contains(&own)));
    let mut pods = this_node.pods.iter().filter(|pods| Family::of(pods.addr()) == family).peekable();
    let joined = IpNet::aggregate(&ranges.iter().copied().collect());
    let pods = pods.peek().is_some() && pods.all(|pods| joined.iter().any(|net| net.contains(pods)));
    let mut nets = ranges.clone();
    if node {
        // The node's packets to such an address may have that address as their source.
        nets.extend(load_balancer_ips.map(IpNet::from));
    }
    SourceRanges { nets: nets.into_iter().collect(), node, pods }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nets(texts: &[&str]) -> Vec<IpNet> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    fn parsed(texts: &[&str]) -> (Sources, Faults) {
        let ranges = texts.iter().map(|text| (*text).to_owned()).collect();
        let spec = ServiceSpec { load_balancer_source_ranges: Some(ranges), ..ServiceSpec::default() };
        let mut faults = Faults::default();
        (parse_sources(&spec, &mut faults), faults)
    }

    #[test]
    fn s21_each_family_has_its_ranges_or_is_for_everybody() {
        let (sources, faults) = parsed(&[" 010.1.0.0/16", "10.2.3.4/24"]);
        assert_eq!(sources, [(Family::Ipv4, nets(&["10.1.0.0/16", "10.2.3.0/24"]).into_iter().collect())].into());
        assert!(faults.is_empty());
        assert_eq!(parsed(&[]).0, Sources::new());
        assert_eq!(parsed(&["10.0.0.0/8", "0.0.0.0/0", "fd00::/8"]).0.into_keys().collect::<Vec<_>>(), [Family::Ipv6]);
    }

    #[test]
    fn s6_s21_a_range_that_cannot_be_read_opens_nothing() {
        let (sources, faults) = parsed(&["10.0.0.0", "fd00::/8"]);
        assert!(sources[&Family::Ipv4].is_empty() && sources[&Family::Ipv6].len() == 1);
        assert!(!faults.is_empty());
        assert_eq!(parsed(&["fd00::"]).0, [(Family::Ipv6, BTreeSet::new())].into());
    }

    #[test]
    fn s21_node_and_pods_are_judged_by_their_addresses() {
        let judge = |ranges: &[&str], own: Option<&str>, pods: &[&str]| {
            let this_node = NodeSources { own: own.map(|own| own.parse().unwrap()), pods: &nets(pods) };
            let ranges = nets(ranges).into_iter().collect();
            let lb = ["203.0.113.1".parse().unwrap()];
            let found = source_ranges(&ranges, lb.into_iter(), &this_node, Family::Ipv4);
            (found.nets.len() - ranges.len(), found.node, found.pods)
        };
        assert_eq!(judge(&["10.0.0.0/8"], Some("10.9.9.9"), &["10.1.0.0/24"]), (1, true, true));
        assert_eq!(judge(&["10.0.0.0/8"], Some("192.0.2.1"), &["10.1.0.0/24", "192.0.2.0/24"]), (0, false, false));
        assert_eq!(judge(&["10.1.0.0/25", "10.1.0.128/25"], None, &["10.1.0.0/24", "fd00::/64"]), (0, false, true));
        assert_eq!(judge(&["10.1.0.0/25"], None, &["10.1.0.0/24"]), (0, false, false));
        assert_eq!(judge(&["10.1.0.0/25"], None, &["fd00::/64"]), (0, false, false));
        assert_eq!(judge(&[], Some("10.9.9.9"), &[]), (0, false, false));
    }
}
