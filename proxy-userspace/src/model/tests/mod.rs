//! Tests the model from objects to table, rule by rule. `World` does what the control loop does.

mod claims;
mod direct;
mod endpoints;
mod frontends;
mod guard;
mod health;
mod live;
mod networks;
mod random;
mod service;

use std::{collections::BTreeMap, net::SocketAddr};

use proxy_common::{Address, Frontend, FrontendKind, List, Protocol};
use serde_json::{Value, json};

use super::*;
use crate::{
    apply::Dataplane,
    config::NodePortAddresses,
    desired::{
        BackendList, Family, NetworkKind, OwnerKind, PortEntry, PortKey, ServiceTable, Table, plan::plan,
        sorted::SortedMap,
    },
    maps::memory::Memory,
    model::diagnostic::Diagnostic,
    model::health::Check,
};

const NODE: &str = "here";

/// A model, and the result of its projections so far.
struct World {
    model: Model,
    dataplane: Dataplane<Memory>,
    table: Table,
    diagnostics: BTreeMap<ObjectRef, BTreeSet<Diagnostic>>,
    checks: BTreeMap<ServiceName, Check>,
}

impl World {
    /// A world in which every kind has been listed, without objects.
    fn new() -> Self {
        let mut world = Self::unlisted(NodePortAddresses::Primary);
        world.list_everything();
        world
    }

    fn unlisted(nodeport_addresses: NodePortAddresses) -> Self {
        Self::with(ModelConfig { node_name: NODE.to_owned(), nodeport_addresses, ..ModelConfig::default() })
    }

    fn with(config: ModelConfig) -> Self {
        Self {
            model: Model::new(config),
            dataplane: Dataplane::in_memory(),
            table: Table::default(),
            diagnostics: BTreeMap::new(),
            checks: BTreeMap::new(),
        }
    }

    fn list_everything(&mut self) {
        for kind in Kind::ALL {
            self.model.apply(Event::Listed(kind));
        }
    }

    fn apply(&mut self, object: Object) -> &mut Self {
        self.model.apply(Event::Applied(Box::new(object)));
        self
    }

    fn delete(&mut self, object: &Object) -> &mut Self {
        self.model.apply(Event::Deleted(object.reference()));
        self
    }

    /// Brings table and diagnostics up to date, and returns what was touched.
    fn settle(&mut self) -> Touched {
        let touched = self.model.take_touched();
        let projection = self.model.project(&touched);
        let plan = plan(&touched.part_of(&self.table), &projection.table);
        let outcome = self.dataplane.apply(plan);
        assert!(outcome.refused.is_empty() && outcome.refused_networks.is_empty(), "{outcome:?}");
        self.table.clone_from(self.dataplane.table());
        for (object, diagnostics) in projection.diagnostics {
            self.diagnostics.remove(&object);
            if !diagnostics.is_empty() {
                self.diagnostics.insert(object, diagnostics);
            }
        }
        self.checks.retain(|service, _| !touched.services.contains(service));
        self.checks.extend(projection.checks);
        touched
    }

    /// The settled table of the Service `name`; empty if it has none.
    fn service(&mut self, name: &str) -> ServiceTable {
        self.settle();
        self.table.services.get(&ServiceName::new("default", name)).cloned().unwrap_or_default()
    }

    /// The settled backends of Service `a`'s unnamed or only TCP port, by list.
    fn lists(&mut self) -> SortedMap<List, BackendList> {
        let service = self.service("a");
        assert!(service.ports.len() <= 1, "which port?");
        service.ports.into_values().next().unwrap_or_default().lists
    }

    /// The settled Cluster list of Service `a`, as texts.
    fn cluster(&mut self) -> Vec<String> {
        self.lists().remove(&List::Cluster).unwrap_or_default().iter().map(|backend| backend.to_string()).collect()
    }

    /// The settled diagnostics' fields.
    fn fields(&mut self) -> Vec<String> {
        self.settle();
        self.diagnostics.values().flatten().map(|diagnostic| diagnostic.field.clone()).collect()
    }
}

/// Service `name` in namespace `default`.
fn service(name: &str, spec: Value) -> Object {
    service_with(json!({ "name": name, "namespace": "default" }), spec, json!({}))
}

#[expect(clippy::needless_pass_by_value, reason = "callers make the values on the spot")]
fn service_with(metadata: Value, spec: Value, status: Value) -> Object {
    let object = json!({ "metadata": metadata, "spec": spec, "status": status });
    Object::Service(serde_json::from_value(object).unwrap())
}

/// Service `a` with ClusterIP 10.96.0.1, TCP port 80, and the fields of `more`.
fn service_a(more: Value) -> Object {
    let spec = json!({ "clusterIP": "10.96.0.1", "ports": [{ "port": 80 }] });
    service("a", merged(spec, more))
}

/// An IPv4 slice `name` of Service `a` with port 8080.
#[expect(clippy::needless_pass_by_value, reason = "callers make the value on the spot")]
fn slice(name: &str, endpoints: Value) -> Object {
    slice_with(name, json!({ "endpoints": endpoints }))
}

/// An IPv4 slice `name` of Service `a` with port 8080 and the fields of `more`.
fn slice_with(name: &str, more: Value) -> Object {
    let metadata = json!({ "name": name, "namespace": "default", "labels": { "kubernetes.io/service-name": "a" } });
    let object = json!({ "metadata": metadata, "addressType": "IPv4", "ports": [{ "port": 8080 }] });
    Object::EndpointSlice(serde_json::from_value(merged(object, more)).unwrap())
}

fn endpoint(address: &str) -> Value {
    json!({ "addresses": [address] })
}

fn node(zone: Option<&str>, addresses: &[&str]) -> Object {
    let labels = zone.map(|zone| json!({ "topology.kubernetes.io/zone": zone })).unwrap_or_default();
    let addresses: Vec<_> = addresses.iter().map(|ip| json!({ "type": "InternalIP", "address": ip })).collect();
    let object = json!({ "metadata": { "name": NODE, "labels": labels }, "status": { "addresses": addresses } });
    Object::Node(serde_json::from_value(object).unwrap())
}

fn service_cidr(name: &str, cidrs: &[&str]) -> Object {
    let object = json!({ "metadata": { "name": name }, "spec": { "cidrs": cidrs } });
    Object::ServiceCidr(serde_json::from_value(object).unwrap())
}

/// This node's addresses: all of them, and the primary ones.
fn local(all: &[&str], primary: &[&str]) -> LocalAddresses {
    let set = |texts: &[&str]| texts.iter().map(|text| text.parse().unwrap()).collect();
    LocalAddresses { all: set(all), primary: set(primary), ..LocalAddresses::default() }
}

/// The settled prefixes of a kind.
fn nets(world: &mut World, kind: NetworkKind) -> Vec<String> {
    world.settle();
    let nets = world.table.networks.iter().filter(|(_, other)| **other == kind);
    nets.map(|(net, _)| net.to_string()).collect()
}

fn merged(mut object: Value, more: Value) -> Value {
    if let (Value::Object(fields), Value::Object(more)) = (&mut object, more) {
        fields.extend(more);
    }
    object
}

fn tcp(address: &str, port: u16) -> Frontend {
    Frontend::new(address.parse::<IpAddr>().unwrap().into(), port, Protocol::Tcp as u8)
}

/// A frontend's address, port, kind, internal and external list.
type Row = (String, u16, FrontendKind, List, List);

fn dialled(service: &ServiceTable) -> Vec<Row> {
    let frontends = service.frontends.iter();
    frontends.map(|(key, entry)| (text(key.address), key.port, entry.kind, entry.internal, entry.external)).collect()
}

fn text(address: Address) -> String {
    IpAddr::from(address).to_string()
}
