//! The backends of a service port: their chance to be chosen, and their part of the open flows. The maps count no connections of
//! a backend, so it has no rate. Pure.

use std::{cmp::Reverse, collections::BTreeMap};

use proxy_common::{Backend, List, SlotRange, State};

use super::sample::Sample;
use crate::{
    commands::get::{FlowRow, ServicePort, Snapshot, flows, service_ports},
    maps::encode,
};

/// A backend of a service port.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct BackendShare {
    /// Address and port, or `id=N` if the maps don't contain the backend, which means that they are damaged.
    pub address: String,
    /// Whether the backend is on this node.
    pub is_local: bool,
    /// The chance that a new flow of the Cluster list gets the backend: its part of the slots. `None` if it is not in the list.
    pub cluster: Option<f64>,
    /// Likewise for the Local list.
    pub local: Option<f64>,
    /// Open flows of the service port to the backend: of those that `waggle get flows` shows, the ones that have not ended.
    /// `None` if they have not been read.
    pub flows: Option<u64>,
}

/// Returns the backends of a service port as a sample knows them; see [`shares`].
pub fn backends(sample: &Sample, port: &ServicePort) -> Vec<BackendShare> {
    let flows = sample.tracked.as_ref().map(|tracked| flows(&sample.snapshot, tracked));
    shares(&sample.snapshot, flows.as_deref(), port)
}

/// Returns the backends of a service port, those with the most open flows first. Backends that have left the lists, but still
/// have open flows, are among them.
pub fn shares(snapshot: &Snapshot, flows: Option<&[FlowRow]>, port: &ServicePort) -> Vec<BackendShare> {
    let mut found = BTreeMap::new();
    for ((_, list), range) in ranges(snapshot, port) {
        for id in snapshot.ids(range) {
            let backend = add(&mut found, snapshot, id);
            let chance = if list == List::Cluster { &mut backend.cluster } else { &mut backend.local };
            *chance = Some(chance.unwrap_or_default() + 1.0 / f64::from(range.length));
        }
    }
    if let Some(flows) = flows {
        for backend in found.values_mut() {
            backend.flows = Some(0);
        }
        for flow in flows.iter().filter(|flow| flow.service_port == *port && is_open(flow)) {
            let new = BackendShare { address: flow.backend.clone(), flows: Some(0), ..BackendShare::default() };
            let backend = found.entry(flow.backend.clone()).or_insert(new);
            backend.flows = backend.flows.map(|flows| flows + 1);
        }
    }
    let mut backends: Vec<_> = found.into_values().collect();
    backends.sort_by_key(|backend| Reverse(backend.flows));
    backends
}

/// Whether a flow has not ended. A connection that has ended is tracked for some time, in case that late packets come.
pub fn is_open(flow: &FlowRow) -> bool {
    ![State::Closed, State::Reset].map(State::label).contains(&flow.state)
}

/// Returns the slots of a port's lists, of each family: two frontends that use one list have equal slots.
fn ranges(snapshot: &Snapshot, port: &ServicePort) -> BTreeMap<(u32, List), SlotRange> {
    let ids = service_ports(snapshot).remove(port).unwrap_or_default();
    let services = snapshot.services.values().filter(|service| ids.contains(&service.id));
    let lists = |is_internal| {
        services.clone().map(move |service| {
            let (range, list) = service.list(is_internal);
            ((service.id, list), range)
        })
    };
    lists(true).chain(lists(false)).collect()
}

fn add<'a>(found: &'a mut BTreeMap<String, BackendShare>, snapshot: &Snapshot, id: u32) -> &'a mut BackendShare {
    let backend = snapshot.backends.get(&id);
    let address = backend.map_or_else(|| format!("id={id}"), |backend| encode::backend_address(backend).to_string());
    let is_local = backend.is_some_and(Backend::is_local);
    let new = BackendShare { address: address.clone(), is_local, ..BackendShare::default() };
    found.entry(address).or_insert(new)
}
