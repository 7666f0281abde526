//! What the agent knows of the cluster, from the point of view of one node: events in, the touched part of the desired
//! [`Table`](crate::desired::Table) out. Pure: no I/O, no clock, no map ids.
//!
//! Objects are parsed once, when they arrive, and their faults are kept beside them, so a Service is projected again
//! without parsing. The result depends on the objects alone, never on the order in which they came.

mod claims;
mod config;
pub mod diagnostic;
mod direct;
mod endpoints;
mod faults;
mod frontends;
mod guard;
pub mod health;
mod names;
mod networks;
mod node;
mod ports;
mod presence;
mod project;
mod service;
mod sources;
mod state;
pub mod topology;
mod touched;

use std::{
    collections::{BTreeSet, HashMap},
    mem,
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

pub(crate) use self::service::is_served;
use self::{
    claims::Claims,
    direct::RealEndpoints,
    endpoints::{Slice, parse_slice},
    faults::Faults,
    names::Interners,
    networks::{Cidrs, Networks, parse_service_cidr},
    node::{NodeState, parse_node},
    service::{ParsedService, parse_service},
    state::ServiceState,
};
pub use self::{config::ModelConfig, touched::Touched};
use crate::{
    desired::ServiceName,
    objects::{EndpointSlice, Event, Kind, LocalAddresses, Object, ObjectRef},
};

/// The objects, and what has changed since the last [`Model::take_touched`].
#[derive(Debug)]
pub struct Model {
    config: ModelConfig,
    names: Interners,
    services: HashMap<ServiceName, ServiceState>,
    /// The Service that each EndpointSlice belongs to.
    slices: HashMap<SliceName, ServiceName>,
    claims: Claims,
    networks: Networks,
    /// The endpoints of the API server's own Service.
    api_endpoints: BTreeSet<SocketAddr>,
    endpoints_in_cidrs: RealEndpoints,
    node: NodeState,
    /// Whether this node's object exists, and whether it ever has.
    has_node: bool,
    had_node: bool,
    local: LocalAddresses,
    listed: BTreeSet<Kind>,
    touched: Touched,
    /// ClusterIPs and addresses of this node that appeared or disappeared since the last `take_touched`: Services with
    /// an endpoint at one of them must be projected again.
    changed_addresses: BTreeSet<IpAddr>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct SliceName {
    namespace: Arc<str>,
    name: Arc<str>,
}

impl Model {
    /// A model without objects.
    pub fn new(config: ModelConfig) -> Self {
        Self {
            config,
            names: Interners::default(),
            services: HashMap::new(),
            slices: HashMap::new(),
            claims: Claims::default(),
            networks: Networks::default(),
            api_endpoints: BTreeSet::new(),
            endpoints_in_cidrs: RealEndpoints::default(),
            node: NodeState::default(),
            has_node: false,
            had_node: false,
            local: LocalAddresses::default(),
            listed: BTreeSet::new(),
            touched: Touched { networks: true, ..Touched::default() },
            changed_addresses: BTreeSet::new(),
        }
    }

    /// Applies an event of a source, and notes which parts of the table it may change. It projects nothing.
    pub fn apply(&mut self, event: Event) {
        match event {
            Event::Applied(object) => self.apply_object(&object),
            Event::Deleted(reference) => self.delete_object(&reference),
            Event::Listed(kind) => {
                let was_listed = self.is_listed();
                self.listed.insert(kind);
                if self.is_listed() && !was_listed {
                    self.touched.networks = true;
                    self.touched.services.extend(self.services.keys().cloned());
                }
            }
        }
    }

    /// Replaces the addresses that this node has (S19).
    pub fn set_node_addresses(&mut self, addresses: LocalAddresses) {
        self.set_pods(&addresses.pods);
        if self.local != addresses {
            // Backends at these addresses are now on this node, or no longer.
            let moved: BTreeSet<IpAddr> = self.local.all.symmetric_difference(&addresses.all).copied().collect();
            let before = self.own_addresses();
            self.local = addresses;
            let is_own_same = self.own_addresses() == before;
            self.touch_where(|state| {
                state.spec.as_deref().is_some_and(|spec| {
                    let mut addresses = spec.external_addresses().chain(spec.cluster_ips.iter().copied());
                    let is_moved = addresses.any(|address| moved.contains(&address));
                    is_moved || !(is_own_same || spec.sources.is_empty())
                })
            });
            self.changed_addresses.extend(moved);
            self.touched.networks = true;
        }
    }

    /// Whether load balancers may send packets to this node (KEP-3836): its Node object was not deleted, and the node is not about
    /// to be removed. True if no Node object was ever seen.
    pub fn is_eligible(&self) -> bool {
        !self.node.leaving && (self.has_node || !self.had_node)
    }

    /// Returns this node's addresses and devices.
    pub fn local(&self) -> &LocalAddresses {
        &self.local
    }

    /// Whether every kind has been listed once. Nothing may be programmed before (S30).
    pub fn is_listed(&self) -> bool {
        self.listed.len() == Kind::ALL.len()
    }

    /// Returns what was touched since the last call.
    pub fn take_touched(&mut self) -> Touched {
        let changed_addresses = mem::take(&mut self.changed_addresses);
        // The end of the first lists touches every Service anyway.
        if self.is_listed() && !changed_addresses.is_empty() {
            self.touch_where(|state| state.has_endpoint_in(&changed_addresses));
        }
        mem::take(&mut self.touched)
    }

    fn apply_object(&mut self, object: &Object) {
        let reference = object.reference();
        match object {
            Object::Service(service) => {
                let mut faults = Faults::default();
                let spec = parse_service(service, &self.config.external_ips, &mut self.names, &mut faults);
                self.set_service(reference, spec, faults);
            }
            Object::EndpointSlice(slice) => self.apply_slice(reference, slice),
            Object::Node(node) if reference.name == self.config.node_name => {
                self.has_node = true;
                self.had_node = true;
                let state = parse_node(node, &mut self.names);
                self.set_node(reference, state);
            }
            Object::Node(_) => {}
            Object::ServiceCidr(cidr) => self.set_cidrs(reference, Some(parse_service_cidr(cidr))),
        }
    }

    fn delete_object(&mut self, reference: &ObjectRef) {
        let reference = reference.clone();
        match reference.kind {
            Kind::Service => self.set_service(reference, None, Faults::default()),
            Kind::EndpointSlice => self.set_slice(reference, None),
            Kind::Node if reference.name == self.config.node_name => {
                self.has_node = false;
                self.set_node(reference, NodeState::default());
            }
            Kind::Node => {}
            Kind::ServiceCidr => self.set_cidrs(reference, None),
        }
    }

    fn set_service(&mut self, reference: ObjectRef, spec: Option<ParsedService>, faults: Faults) {
        let name = self.service_name(&reference.namespace, &reference.name);
        let state = self.services.entry(name.clone()).or_default();
        if state.spec.as_deref() != spec.as_ref() || state.faults != faults {
            let change = self.claims.replace(&name, state.spec.as_deref(), spec.as_ref());
            state.spec = spec.map(Box::new);
            state.faults = faults;
            self.touched.objects.insert(reference);
            self.touched.services.insert(name.clone());
            self.touched.services.extend(change.other_claimants);
            for address in change.cluster_ips {
                let is_claimed = self.claims.is_cluster_ip(address);
                self.touched.networks |=
                    self.networks.set_cluster_ip(address, is_claimed) || self.is_overlapped(address);
                self.changed_addresses.insert(address);
            }
        }
        self.forget_if_empty(&name);
    }

    fn apply_slice(&mut self, reference: ObjectRef, slice: &EndpointSlice) {
        let filed = slice.service().map(|service| {
            let service = self.service_name(&reference.namespace, service);
            (service, parse_slice(slice, &self.config.node_name, &mut self.names))
        });
        self.set_slice(reference, filed);
    }

    /// Files a slice under its Service, and removes it from the Service that it belonged to before.
    fn set_slice(&mut self, reference: ObjectRef, filed: Option<(ServiceName, Slice)>) {
        let namespace = self.names.texts.intern(&reference.namespace);
        let key = SliceName { namespace, name: reference.name.as_str().into() };
        self.count_endpoints(&key, filed.as_ref());
        let before = match &filed {
            Some((service, _)) => self.slices.insert(key.clone(), service.clone()),
            None => self.slices.remove(&key),
        };
        let target = filed.as_ref().map(|(service, _)| service);
        let is_of_api_server = target.into_iter().chain(&before).any(guard::is_api_server);
        if let Some(before) = before.filter(|before| Some(before) != target) {
            if let Some(state) = self.services.get_mut(&before) {
                state.remove_slice(&key.name);
            }
            self.forget_if_empty(&before);
            self.touched.services.insert(before);
            self.touched.objects.insert(reference.clone());
        }
        if let Some((service, slice)) = filed
            && self.services.entry(service.clone()).or_default().put_slice(key.name, slice)
        {
            self.touched.services.insert(service);
            self.touched.objects.insert(reference);
        }
        if is_of_api_server {
            self.refresh_api_endpoints();
        }
    }

    /// Counts the endpoints inside ServiceCIDRs, before `filed` replaces the slice `key`.
    fn count_endpoints(&mut self, key: &SliceName, filed: Option<&(ServiceName, Slice)>) {
        let before = self.slices.get(key).and_then(|service| self.services.get(service)?.slice(&key.name));
        let addresses = |slice: &Slice| slice.endpoints.iter().map(|endpoint| endpoint.address).collect::<Vec<_>>();
        // The new addresses are put before the old ones are removed: an address in both is then neither first nor last.
        for address in filed.map(|(_, slice)| addresses(slice)).unwrap_or_default() {
            self.touched.networks |= self.endpoints_in_cidrs.put(&self.networks, address);
        }
        for address in before.map(addresses).unwrap_or_default() {
            self.touched.networks |= self.endpoints_in_cidrs.remove(address);
        }
    }

    fn set_cidrs(&mut self, reference: ObjectRef, cidrs: Option<Cidrs>) {
        if self.networks.set_cidrs(&reference.name, cidrs, self.claims.cluster_ips()) {
            self.endpoints_in_cidrs = RealEndpoints::new(&self.networks, self.services.values());
            self.touched.networks = true;
            self.touched.objects.insert(reference);
        }
    }

    fn touch_where(&mut self, is_concerned: impl Fn(&ServiceState) -> bool) {
        let services = self.services.iter().filter(|(_, state)| is_concerned(state));
        self.touched.services.extend(services.map(|(name, _)| name.clone()));
    }

    fn service_name(&mut self, namespace: &str, name: &str) -> ServiceName {
        ServiceName::new(self.names.texts.intern(namespace), self.names.texts.intern(name))
    }

    fn forget_if_empty(&mut self, name: &ServiceName) {
        if self.services.get(name).is_some_and(ServiceState::is_empty) {
            self.services.remove(name);
        }
    }
}

#[cfg(test)]
mod tests;
