//! Logs health check ports that can't be bound, once each. The log is rate-limited: beside another service proxy, all ports are
//! taken.

use std::{
    io,
    time::{Duration, Instant},
};

use tokio::{sync::mpsc, time::sleep};
use tracing::warn;

use crate::logging::{
    errors::Report,
    limit::{Lines, LogLimit},
};

/// How long reports are collected before they are logged.
const DEBOUNCE: Duration = Duration::from_secs(1);

/// A health check port that can't be bound.
#[derive(Debug)]
pub(super) struct Blocked {
    pub(super) service: String,
    pub(super) port: u16,
    pub(super) error: io::Error,
}

/// Logs reports until all senders are dropped.
pub(super) async fn log_all(mut reports: mpsc::UnboundedReceiver<Blocked>) {
    let mut log = LogLimit::default();
    loop {
        tokio::select! {
            blocked = reports.recv() => match blocked {
                Some(blocked) => log.add("", blocked),
                None => return,
            },
            () = sleep(DEBOUNCE), if log.is_waiting() => {
                log.due(Instant::now()).into_iter().for_each(|(_, lines)| write(lines));
            }
        }
    }
}

fn write(lines: Lines<Blocked>) {
    match lines {
        Lines::Each(all) => all.into_iter().for_each(|Blocked { service, port, error }| {
            warn!(
                service,
                port,
                error = %Report(&error),
                "healthCheckNodePort is not answered, so load balancers skip this node: can't listen on the port; free \
                 it if another process on this node uses it; retrying"
            );
        }),
        Lines::Summary(services, some) => {
            let example = |Blocked { service, port, error }: &Blocked| format!("{service} {port}: {}", Report(error));
            let examples: Vec<_> = some.iter().map(example).collect();
            warn!(
                services,
                examples = examples.join(", "),
                "healthCheckNodePorts are not answered, so load balancers skip this node: can't listen on the ports; \
                 free them if another process on this node uses them; retrying"
            );
        }
    }
}
