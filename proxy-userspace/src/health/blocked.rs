//! Ports that can't be listened at: said once each, in few lines. Beside another service proxy it is all of them.

use std::{
    io,
    time::{Duration, Instant},
};

use tokio::{sync::mpsc, time::sleep};
use tracing::warn;

use crate::few::{Few, Told};

/// How long news are gathered.
const GATHER: Duration = Duration::from_secs(1);

/// A port that somebody else has.
#[derive(Debug)]
pub(super) struct Blocked {
    pub(super) service: String,
    pub(super) port: u16,
    pub(super) error: io::Error,
}

/// Says what comes, until nobody can send any more.
pub(super) async fn tell(mut news: mpsc::UnboundedReceiver<Blocked>) {
    let mut few = Few::default();
    loop {
        tokio::select! {
            blocked = news.recv() => match blocked {
                Some(blocked) => few.add("", blocked),
                None => return,
            },
            () = sleep(GATHER), if few.is_waiting() => {
                few.tell(Instant::now()).into_iter().for_each(|(_, told)| say(told));
            }
        }
    }
}

fn say(told: Told<Blocked>) {
    match told {
        Told::Each(all) => all.into_iter().for_each(|Blocked { service, port, error }| {
            warn!(
                service,
                port,
                %error,
                "healthCheckNodePort is not answered, so that load balancers pass this node by: something else on it has \
                 the port; trying again"
            );
        }),
        Told::Sum(services, some) => {
            let examples: Vec<_> = some.iter().map(|blocked| format!("{} {}", blocked.service, blocked.port)).collect();
            warn!(
                services,
                examples = examples.join(", "),
                "healthCheckNodePorts are not answered, so that load balancers pass this node by: something else on it has \
                 the ports; trying again"
            );
        }
    }
}
