//! `healthCheckNodePort` (S22): load balancers ask a node whether it has backends of a Service with the external policy
//! Local. The agent publishes its status after each change of the data plane, and a listener on each port responds from
//! it. Listeners bind all addresses of both families: some load balancers send health checks to the balanced address,
//! which the node may have only by a route.

mod blocked;
mod response;

use std::{collections::BTreeMap, io, net::SocketAddr, time::Instant};

use tokio::{
    sync::{mpsc, watch},
    task::{AbortHandle, JoinSet},
};

use self::{
    blocked::{Blocked, log_all},
    response::response,
};
use super::listener::{self, bind_with_retries, everywhere};
use crate::{agent::status::Status, config::NodePortAddresses, logging::errors::Report};

/// Serves every health check port until the agent ends. Connections to an address outside `chosen` are reset, unless the address
/// is a load-balancer IP of the Service.
pub async fn serve(mut status: watch::Receiver<Status>, chosen: NodePortAddresses) {
    let (mut tasks, mut running) = (JoinSet::new(), BTreeMap::new());
    let (blocked, reports) = mpsc::unbounded_channel();
    tokio::spawn(log_all(reports));
    loop {
        let wanted = status.borrow_and_update().checks.clone();
        let ended = running.extract_if(.., |port, _: &mut AbortHandle| !wanted.contains_key(port));
        for (port, task) in ended.collect::<Vec<_>>() {
            task.abort();
            // Waits until the listener is closed, since the port may be needed again. Only aborted tasks end.
            let _ = tasks.join_next().await;
            status.borrow().blocked.free(port);
        }
        for port in wanted.keys() {
            let listen = || tasks.spawn(listen(*port, chosen.clone(), status.clone(), blocked.clone()));
            running.entry(*port).or_insert_with(listen);
        }
        if status.changed().await.is_err() {
            return;
        }
    }
}

/// Serves health checks on `port` until the task is aborted.
async fn listen(
    port: u16,
    chosen: NodePortAddresses,
    status: watch::Receiver<Status>,
    blocked: mpsc::UnboundedSender<Blocked>,
) {
    let name = || status.borrow().checks.get(&port).map(|check| check.service.to_string()).unwrap_or_default();
    let report = |error: io::Error| {
        status.borrow().blocked.block(port, format!("listen on {}: {}", everywhere(port), Report(&error)));
        drop(blocked.send(Blocked { service: name(), port, error }));
    };
    let listener = bind_with_retries(everywhere(port), report).await;
    status.borrow().blocked.free(port);
    let asked = status.clone();
    let is_chosen = move |local: SocketAddr| {
        let address = local.ip().to_canonical();
        // A load balancer that probes its own address knows the port, but not the node's addresses.
        let is_balancers =
            || asked.borrow().checks.get(&port).is_some_and(|it| it.load_balancer_ips.contains(&address));
        chosen.allows(address) || is_balancers()
    };
    let respond = move |_: &_| {
        let status = status.borrow();
        response(status.checks.get(&port), status.is_serving(Instant::now()))
    };
    listener::serve(listener, is_chosen, respond).await;
}
