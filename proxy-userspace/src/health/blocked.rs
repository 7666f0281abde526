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

/// A port that can't be listened at.
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
                "healthCheckNodePort is not answered, so that load balancers pass this node by: the port can't be listened \
                 at; free it if something else on this node has it; trying again"
            );
        }),
        Told::Sum(services, some) => {
            let example = |Blocked { service, port, error }: &Blocked| format!("{service} {port}: {error}");
            let examples: Vec<_> = some.iter().map(example).collect();
            warn!(
                services,
                examples = examples.join(", "),
                "healthCheckNodePorts are not answered, so that load balancers pass this node by: the ports can't be \
                 listened at; free them if something else on this node has them; trying again"
            );
        }
    }
}
