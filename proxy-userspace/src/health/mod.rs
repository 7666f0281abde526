//! `healthCheckNodePort` (S22): load balancers ask a node whether it has backends of a Service whose external policy is Local.
//! The agent publishes what it knows, after each change of the data plane; a listener for each port answers from that.

mod answer;
mod blocked;
mod connections;
mod listener;
mod published;

use std::{collections::BTreeMap, sync::Arc};

use tokio::{
    sync::{mpsc, watch},
    task::{AbortHandle, JoinSet},
};

use self::listener::listen;
pub use self::published::Published;
use crate::{config::NodePortAddresses, desired::ServiceName};

/// What a Service asks for, and what there is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Check {
    /// Where load balancers ask.
    pub port: u16,
    /// Ready endpoints on this node.
    pub endpoints: usize,
}

/// What is answered at a port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    service: ServiceName,
    /// Ready endpoints on this node.
    endpoints: usize,
    /// The data plane has all that the Service asks for.
    in_force: bool,
}

/// Answers by port.
pub type Answers = Arc<BTreeMap<u16, Answer>>;

/// Listens at every port that has an answer, on the addresses that `chosen` allows, until the sender of `answers` is dropped.
pub async fn serve(mut answers: watch::Receiver<Answers>, chosen: NodePortAddresses) {
    let (mut tasks, mut running) = (JoinSet::new(), BTreeMap::new());
    let (blocked, news) = mpsc::unbounded_channel();
    tokio::spawn(blocked::tell(news));
    loop {
        let wanted = answers.borrow_and_update().clone();
        let ended = running.extract_if(.., |port, _: &mut AbortHandle| !wanted.contains_key(port));
        for (_, task) in ended.collect::<Vec<_>>() {
            task.abort();
            // Its port is free before anybody wants it again. No other task ends.
            let _ = tasks.join_next().await;
        }
        for port in wanted.keys() {
            let listen = || tasks.spawn(listen(*port, chosen.clone(), answers.clone(), blocked.clone()));
            running.entry(*port).or_insert_with(listen);
        }
        if answers.changed().await.is_err() {
            return;
        }
    }
}
