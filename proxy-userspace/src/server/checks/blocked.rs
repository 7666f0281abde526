//! Logs ports that can't be listened on, once each and rate-limited: next to another service proxy that is all of them.

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
const GATHER: Duration = Duration::from_secs(1);

/// A port that can't be listened on.
#[derive(Debug)]
pub(super) struct Blocked {
    pub(super) service: String,
    pub(super) port: u16,
    pub(super) error: io::Error,
}

/// Logs the reports until all senders are gone.
pub(super) async fn log_all(mut reports: mpsc::UnboundedReceiver<Blocked>) {
    let mut log = LogLimit::default();
    loop {
        tokio::select! {
            blocked = reports.recv() => match blocked {
                Some(blocked) => log.add("", blocked),
                None => return,
            },
            () = sleep(GATHER), if log.is_waiting() => {
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
                 it if something else on this node uses it; trying again"
            );
        }),
        Lines::Summary(services, some) => {
            let example = |Blocked { service, port, error }: &Blocked| format!("{service} {port}: {}", Report(error));
            let examples: Vec<_> = some.iter().map(example).collect();
            warn!(
                services,
                examples = examples.join(", "),
                "healthCheckNodePorts are not answered, so load balancers skip this node: can't listen on the ports; \
                 free them if something else on this node uses them; trying again"
            );
        }
    }
}
