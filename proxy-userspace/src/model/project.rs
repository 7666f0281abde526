//! Projects the model to the touched part of the table, with diagnostics and health checks.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
};

use ipnet::{IpNet, Ipv4Net};
use proxy_common::{Frontend, FrontendKind, List};

use super::{
    Model, Touched,
    endpoints::{EndpointNode, Slice},
    faults::Faults,
    frontends::frontends,
    service::ParsedService,
    sources::{NodeSources, source_ranges},
    state::ServiceState,
};
use crate::{
    desired::{
        BackendList, FrontendEntry, NetworkKind, Owner, OwnerKind, PortEntry, PortKey, ServiceName, ServiceTable,
        SourceRanges, Table, sorted::SortedMap,
    },
    model::health::Check,
    model::{
        diagnostic::Diagnostic,
        topology::{Candidate, Lists, deduplicate},
    },
    objects::{Kind, ObjectRef},
};

/// The desired state of what was touched.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Projection {
    /// The touched Services that have something to serve, and all networks if they were touched.
    pub table: Table,
    /// Every fault of the touched objects. An object without faults has an empty set, so that its earlier diagnostics
    /// are dropped.
    pub diagnostics: BTreeMap<ObjectRef, BTreeSet<Diagnostic>>,
    /// The Services of the EndpointSlices with faults.
    pub services: BTreeMap<ObjectRef, ServiceName>,
    /// The health checks of the touched Services.
    pub checks: BTreeMap<ServiceName, Check>,
}

impl Model {
    /// Projects `touched`. The cost depends on what was touched, not on the size of the cluster.
    pub fn project(&self, touched: &Touched) -> Projection {
        let mut projection = Projection::default();
        for object in &touched.objects {
            projection.diagnostics.entry(object.clone()).or_default();
        }
        for name in &touched.services {
            if let Some(state) = self.services.get(name) {
                self.project_service(name, state, &mut projection);
            }
        }
        if touched.networks {
            self.project_networks(&mut projection);
        }
        projection
    }

    /// Returns everything that can be projected.
    pub fn all(&self) -> Touched {
        Touched { services: self.services.keys().cloned().collect(), networks: true, ..Touched::default() }
    }

    fn project_service(&self, name: &ServiceName, state: &ServiceState, projection: &mut Projection) {
        let mut faults = state.faults.clone();
        if let Some(spec) = &state.spec {
            let table = self.service_table(name, state, spec, &mut faults);
            if table != ServiceTable::default() {
                projection.table.services.insert(name.clone(), table);
            }
            projection
                .checks
                .extend(self.health_check(name, state, spec, &mut faults).map(|check| (name.clone(), check)));
        }
        projection.note(Kind::Service, &name.namespace, &name.name, &faults);
        for (slice_name, slice) in state.slices() {
            let faults = self.slice_faults(slice);
            let object = projection.note(Kind::EndpointSlice, &name.namespace, slice_name, &faults);
            if !faults.is_empty() {
                projection.services.insert(object, name.clone());
            }
        }
    }

    /// Returns what the Service `name` gets of what its spec asks for. The rest is noted in `faults`.
    fn service_table(
        &self,
        name: &ServiceName,
        state: &ServiceState,
        spec: &ParsedService,
        faults: &mut Faults,
    ) -> ServiceTable {
        let mut table = ServiceTable::default();
        let other_holder = |claim: &Frontend| self.claims.holder(claim).filter(|holder| *holder != name);
        for (frontend, origin) in frontends(spec) {
            if let Some(other_holder) = other_holder(&frontend) {
                let what = origin.describe(&frontend);
                faults.add(
                    origin.field(),
                    format_args!("{what} is served by {other_holder}, which comes first; skipped"),
                );
            } else if let Some(reason) = self.guarded(&frontend, origin.kind) {
                faults.add(origin.field(), format_args!("{} {reason}; skipped", origin.describe(&frontend)));
            } else if !(origin.kind == FrontendKind::ClusterIp && self.is_answered_here(frontend.address.into())) {
                table.frontends.insert(frontend, origin.entry(spec));
            }
        }
        table.ports = self.port_entries(state, spec, &table.frontends);
        for address in &spec.cluster_ips {
            if let Some(other_holder) = other_holder(&Frontend::owner((*address).into())) {
                faults.add("spec.clusterIPs", format_args!("{address} belongs to {other_holder}, which comes first"));
            } else if self.is_answered_here(*address) {
                faults.add(
                    "spec.clusterIPs",
                    format_args!("{address} is an address of this node: left to the node's own listener"),
                );
            } else {
                let usable = is_usable_at(*address, &table) == Some(true);
                table.owned.insert(*address, Owner { kind: OwnerKind::ClusterIp, usable });
            }
        }
        for address in spec.external_addresses().filter(|address| !self.local.all.contains(address)) {
            if let Some(usable) = is_usable_at(address, &table)
                && !table.owned.contains_key(&address)
            {
                table.owned.insert(address, Owner { kind: OwnerKind::External, usable });
            }
        }
        table
    }

    /// Returns the ports that `frontends` need, each with the lists that they need.
    fn port_entries(
        &self,
        state: &ServiceState,
        spec: &ParsedService,
        frontends: &SortedMap<Frontend, FrontendEntry>,
    ) -> SortedMap<PortKey, PortEntry> {
        let mut needed: BTreeMap<&PortKey, BTreeSet<List>> = BTreeMap::new();
        for entry in frontends.values() {
            needed.entry(&entry.port).or_default().extend([entry.internal, entry.external]);
        }
        let zone = self.node.zone.as_deref();
        let entry = |(port, needed): (&PortKey, BTreeSet<List>)| {
            let candidates = self.candidates(state, port);
            let mut local = self.on_this_node(&candidates);
            let all = Lists::new(&candidates, zone);
            let usable = all.usable();
            let (mut lists, mut draining) = (SortedMap::new(), SortedMap::new());
            for list in needed {
                let (usable, leaving) = match list {
                    List::Cluster => (&all.cluster, &all.cluster_draining),
                    List::Local => (&all.local, &all.local_draining),
                };
                lists.insert(list, usable.iter().copied().collect::<BackendList>());
                if !leaving.is_empty() {
                    draining.insert(list, leaving.iter().copied().collect());
                }
            }
            local.retain(|address| lists.values().any(|list| list.contains_sorted(*address)));
            let sources = self.sources(port, spec, frontends).map(Box::new);
            let (affinity_timeout, local) = (spec.affinity_timeout, local.into_iter().collect());
            (port.clone(), PortEntry { affinity_timeout, usable, lists, draining, local, sources })
        };
        needed.into_iter().map(entry).collect()
    }

    /// Returns the source ranges of the load-balancer IPs among `frontends` for `port`; `None` if it has no such IP or every
    /// client may use them.
    fn sources(
        &self,
        port: &PortKey,
        spec: &ParsedService,
        frontends: &SortedMap<Frontend, FrontendEntry>,
    ) -> Option<SourceRanges> {
        let ranges = spec.sources.get(&port.family)?;
        let of_port = |entry: &FrontendEntry| entry.kind == FrontendKind::LoadBalancer && entry.port == *port;
        let mut ips = frontends.iter().filter(|(_, entry)| of_port(entry)).map(|(frontend, _)| frontend.address.into());
        ips.clone().next()?;
        let place = NodeSources { own: self.node.own_address(port.family, &self.local), pods: &self.node.pods };
        Some(source_ranges(ranges, ips.by_ref(), &place, port.family))
    }

    /// Returns the addresses of the candidates that are on this node: an endpoint says so, or the address is the node's own.
    fn on_this_node(&self, candidates: &[Candidate<'_>]) -> BTreeSet<SocketAddr> {
        let is_here = |candidate: &&Candidate<'_>| candidate.local || self.local.all.contains(&candidate.address.ip());
        candidates.iter().filter(is_here).map(|candidate| candidate.address).collect()
    }

    /// Returns the endpoints of `port` (S4), one for each address (S8), without ClusterIPs (S7).
    pub(super) fn candidates<'a>(&self, state: &'a ServiceState, port: &PortKey) -> Vec<Candidate<'a>> {
        let mut candidates = Vec::new();
        for slice in state.slices().map(|(_, slice)| slice).filter(|slice| slice.family == port.family) {
            for joined in slice.ports.iter().filter(|own| own.name == port.name && own.protocol == port.protocol) {
                let allowed = slice.endpoints.iter().filter(|endpoint| !self.claims.is_cluster_ip(endpoint.address));
                candidates.extend(allowed.map(|endpoint| Candidate {
                    address: SocketAddr::new(endpoint.address, joined.port),
                    conditions: endpoint.conditions,
                    local: endpoint.node == EndpointNode::This,
                    node_hint: endpoint.node_hint,
                    zones: endpoint.zones.as_deref().map_or(&[], |zones| &zones.0),
                }));
            }
        }
        deduplicate(&mut candidates);
        candidates
    }

    fn slice_faults(&self, slice: &Slice) -> Faults {
        let mut faults = slice.faults.clone();
        for endpoint in slice.endpoints.iter().filter(|endpoint| self.claims.is_cluster_ip(endpoint.address)) {
            let field = format_args!("endpoints[{}].addresses[0]", endpoint.index).to_string();
            faults.add(field, format_args!("{} is a Service's ClusterIP; skipped", endpoint.address));
        }
        faults
    }

    fn project_networks(&self, projection: &mut Projection) {
        let networks = &mut projection.table.networks;
        networks.extend(self.networks.prefixes().map(|net| (net, NetworkKind::ServiceCidr)));
        self.carve(networks);
        let own = self.node.nodeport_addresses(&self.config.nodeport_addresses, &self.local);
        networks.extend(own.map(|address| (IpNet::from(address), NetworkKind::Node)));
        let loopback = Ipv4Net::new_assert(Ipv4Addr::new(127, 0, 0, 0), 8);
        networks
            .extend([loopback.into(), IpAddr::V6(Ipv6Addr::LOCALHOST).into()].map(|net| (net, NetworkKind::Loopback)));
        projection.note(Kind::Node, "", &self.config.node_name, &self.node.faults);
        for (name, cidrs) in self.networks.objects() {
            projection.note(Kind::ServiceCidr, "", name, &self.overlap_faults(&cidrs.nets, &cidrs.faults));
        }
    }
}

/// Whether some port at `address` has a usable backend; `None` if no port is there.
fn is_usable_at(address: IpAddr, table: &ServiceTable) -> Option<bool> {
    let ports = table.frontends.iter().filter(|(frontend, _)| frontend.address == address.into());
    let usable = ports.map(|(_, entry)| table.ports.get(&entry.port).is_some_and(|port| port.usable));
    usable.reduce(|any, usable| any | usable)
}

impl Projection {
    fn note(&mut self, kind: Kind, namespace: &str, name: &str, faults: &Faults) -> ObjectRef {
        let object = ObjectRef { kind, namespace: namespace.to_owned(), name: name.to_owned() };
        let diagnostics = faults.diagnostics(&object);
        self.diagnostics.insert(object.clone(), diagnostics);
        object
    }
}
