//! Services as rows state them, and the table that the agent's model would make of them.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
};

use ipnet::IpNet;
use proxy_common::{Address, Frontend, FrontendKind, List, Protocol};
use proxy_userspace::desired::{
    self, BackendList, FrontendEntry, NetworkKind, Owner, OwnerKind, PortEntry, PortKey, ServiceName, ServiceTable,
    SourceRanges, Table,
};

use super::places::SERVICE_CIDRS;
use crate::{
    packet::{End, Place},
    scene::Family,
};

/// A Service with one port, in both families.
#[derive(Clone, Debug)]
pub struct Service {
    name: &'static str,
    pub(super) protocol: Protocol,
    pub(super) port: u16,
    pub(super) node_port: Option<u16>,
    pub(super) addresses: Vec<(FrontendKind, Place)>,
    pub(super) ranges: Vec<IpNet>,
    pub(super) backends: Vec<(End, bool)>,
    draining: Vec<End>,
    pub(super) internal: List,
    pub(super) external: List,
    affinity_timeout: u32,
}

/// A Service with TCP port 80.
pub fn service(name: &'static str) -> Service {
    Service {
        name,
        protocol: Protocol::Tcp,
        port: 80,
        node_port: None,
        addresses: Vec::new(),
        ranges: Vec::new(),
        backends: Vec::new(),
        draining: Vec::new(),
        internal: List::Cluster,
        external: List::Cluster,
        affinity_timeout: 0,
    }
}

impl Service {
    /// With another name.
    #[must_use]
    pub fn named(mut self, name: &'static str) -> Self {
        self.name = name;
        self
    }

    /// With this port and node port, and without its addresses.
    #[must_use]
    pub fn on_port(mut self, port: u16, node_port: u16) -> Self {
        (self.port, self.node_port) = (port, Some(node_port));
        self.addresses.clear();
        self
    }

    /// With another protocol.
    #[must_use]
    pub fn protocol(mut self, protocol: Protocol) -> Self {
        self.protocol = protocol;
        self
    }

    /// With another port.
    #[must_use]
    pub fn port(mut self, port: u16) -> Self {
        self.port = port;
        self
    }

    /// With a node port.
    #[must_use]
    pub fn node_port(mut self, port: u16) -> Self {
        self.node_port = Some(port);
        self
    }

    /// With a cluster IP.
    #[must_use]
    pub fn cluster_ip(mut self, place: Place) -> Self {
        self.addresses.push((FrontendKind::ClusterIp, place));
        self
    }

    /// With an externalIP.
    #[must_use]
    pub fn external_ip(mut self, place: Place) -> Self {
        self.addresses.push((FrontendKind::ExternalIp, place));
        self
    }

    /// With a load balancer's address.
    #[must_use]
    pub fn load_balancer(mut self, place: Place) -> Self {
        self.addresses.push((FrontendKind::LoadBalancer, place));
        self
    }

    /// With `loadBalancerSourceRanges`.
    #[must_use]
    pub fn ranges(mut self, ranges: &[&str]) -> Self {
        self.ranges = ranges.iter().map(|range| range.parse().expect("a prefix")).collect();
        self
    }

    /// With one more backend on another node.
    #[must_use]
    pub fn remote(mut self, backend: End) -> Self {
        self.backends.push((backend, false));
        self
    }

    /// With one more backend on this node.
    #[must_use]
    pub fn local(mut self, backend: End) -> Self {
        self.backends.push((backend, true));
        self
    }

    /// With a backend that terminates but serves, while others are ready.
    #[must_use]
    pub fn draining(mut self, backend: End) -> Self {
        self.draining.push(backend);
        self
    }

    /// With `internalTrafficPolicy: Local`.
    #[must_use]
    pub fn internal_local(mut self) -> Self {
        self.internal = List::Local;
        self
    }

    /// With `externalTrafficPolicy: Local`.
    #[must_use]
    pub fn external_local(mut self) -> Self {
        self.external = List::Local;
        self
    }

    /// With session affinity by client.
    #[must_use]
    pub fn affinity(mut self, seconds: u32) -> Self {
        self.affinity_timeout = seconds;
        self
    }

    /// All its backends.
    pub fn backends(&self, family: Family) -> Vec<SocketAddr> {
        self.list(family, List::Cluster)
    }

    fn key(&self, family: Family) -> PortKey {
        let family = if family == Family::Ipv4 { desired::Family::Ipv4 } else { desired::Family::Ipv6 };
        PortKey { name: "".into(), protocol: self.protocol, family }
    }

    fn list(&self, family: Family, list: List) -> Vec<SocketAddr> {
        let chosen = self.backends.iter().filter(|(_, local)| *local || list == List::Cluster);
        let mut backends: Vec<_> = chosen.map(|(end, _)| end.socket(family)).collect();
        backends.sort();
        backends
    }

    fn leaving(&self, family: Family) -> BTreeMap<List, Vec<SocketAddr>> {
        let leaving: BTreeSet<SocketAddr> = self.draining.iter().map(|end| end.socket(family)).collect();
        if leaving.is_empty() { BTreeMap::new() } else { [(List::Cluster, leaving.into_iter().collect())].into() }
    }

    fn frontends(&self, family: Family) -> Vec<(Frontend, FrontendEntry)> {
        let entry = |kind, internal, external| FrontendEntry { port: self.key(family), kind, internal, external };
        let frontend = |address: Address, port| Frontend::new(address, port, self.protocol as u8);
        let mut frontends: Vec<_> = self
            .addresses
            .iter()
            .map(|(kind, place)| {
                let entry = match kind {
                    FrontendKind::ClusterIp => entry(*kind, self.internal, self.internal),
                    _ => entry(*kind, List::Cluster, self.external),
                };
                (frontend(place.address(family).into(), self.port), entry)
            })
            .collect();
        let any = if family == Family::Ipv4 { Address::ANY_IPV4 } else { Address::ANY_IPV6 };
        frontends.extend(
            self.node_port
                .map(|port| (frontend(any, port), entry(FrontendKind::NodePort, List::Cluster, self.external))),
        );
        frontends
    }

    /// The source ranges of its load-balancer IPs in this family; `None` where every client is allowed (S21).
    fn sources(&self, family: Family) -> Option<Box<SourceRanges>> {
        let is_one = |net: &&IpNet| net.addr().is_ipv4() == (family == Family::Ipv4);
        let nets: BTreeSet<IpNet> = self.ranges.iter().filter(is_one).copied().collect();
        let everyone = nets.iter().any(|net| net.prefix_len() == 0);
        let limited = !nets.is_empty() && !everyone;
        limited.then(|| Box::new(SourceRanges { nets: nets.into_iter().collect(), ..SourceRanges::default() }))
    }

    fn table(&self) -> ServiceTable {
        let mut table = ServiceTable::default();
        for family in Family::BOTH {
            let frontends = self.frontends(family);
            let used = frontends.iter().flat_map(|(_, entry)| [entry.internal, entry.external]);
            let lists: BTreeMap<_, _> = used.map(|list| (list, self.list(family, list))).collect();
            let local = self.backends.iter().filter(|(_, local)| *local).map(|(end, _)| end.socket(family));
            let entry = PortEntry {
                affinity_timeout: self.affinity_timeout,
                usable: !self.backends.is_empty(),
                lists: lists.into_iter().map(packed).collect(),
                draining: self.leaving(family).into_iter().map(packed).collect(),
                local: local.collect::<BTreeSet<_>>().into_iter().collect(),
                sources: self.sources(family),
            };
            table.ports.insert(self.key(family), entry);
            table.frontends.extend(frontends);
            table.owned.extend(self.addresses.iter().map(|(kind, place)| {
                let kind = if *kind == FrontendKind::ClusterIp { OwnerKind::ClusterIp } else { OwnerKind::External };
                (place.address(family), Owner { kind, usable: !self.backends.is_empty() })
            }));
        }
        table
    }
}

/// The table that an agent on `node` would have in force with these Services.
pub fn table(services: &[Service], node: Place) -> Table {
    let mut table = Table::default();
    for service in services {
        table.services.insert(ServiceName::new("default", service.name), service.table());
    }
    let cidrs = SERVICE_CIDRS.map(|cidr| (cidr.parse().expect("a prefix"), NetworkKind::ServiceCidr));
    table.networks.extend(cidrs);
    table.networks.extend(Family::BOTH.map(|family| (IpNet::from(node.address(family)), NetworkKind::Node)));
    table
}

fn packed((list, backends): (List, Vec<SocketAddr>)) -> (List, BackendList) {
    (list, backends.into_iter().collect())
}
