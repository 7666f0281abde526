//! `healthCheckNodePort` (S22): load balancers ask a node whether it has backends of a Service with the external policy
//! Local. The agent publishes the state after each change of the data plane, and a listener on each port responds with
//! it.

mod blocked;
mod connections;
mod listener;
mod published;
mod response;

use std::{collections::BTreeMap, sync::Arc};

use tokio::{
    sync::{mpsc, watch},
    task::{AbortHandle, JoinSet},
};

use self::listener::listen;
pub use self::published::Published;
use crate::{config::NodePortAddresses, desired::ServiceName};

/// The health check that a Service asks for, and its ready endpoints.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Check {
    /// The port that load balancers ask.
    pub port: u16,
    /// Ready endpoints on this node.
    pub endpoints: usize,
}

/// The health of a Service, as its port reports it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceHealth {
    service: ServiceName,
    /// Ready endpoints on this node.
    endpoints: usize,
    /// Whether the data plane has everything that the Service asks for.
    in_force: bool,
}

/// The health of Services by port.
pub type HealthByPort = Arc<BTreeMap<u16, ServiceHealth>>;

/// Listens on every port in `health`, on the addresses that `chosen` allows, until the sender of `health` is dropped.
pub async fn serve(mut health: watch::Receiver<HealthByPort>, chosen: NodePortAddresses) {
    let (mut tasks, mut running) = (JoinSet::new(), BTreeMap::new());
    let (blocked, reports) = mpsc::unbounded_channel();
    tokio::spawn(blocked::log_all(reports));
    loop {
        let wanted = health.borrow_and_update().clone();
        let ended = running.extract_if(.., |port, _: &mut AbortHandle| !wanted.contains_key(port));
        for (_, task) in ended.collect::<Vec<_>>() {
            task.abort();
            // The port is free before it may be needed again. No other task ends.
            let _ = tasks.join_next().await;
        }
        for port in wanted.keys() {
            let listen = || tasks.spawn(listen(*port, chosen.clone(), health.clone(), blocked.clone()));
            running.entry(*port).or_insert_with(listen);
        }
        if health.changed().await.is_err() {
            return;
        }
    }
}
