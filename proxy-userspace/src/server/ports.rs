//! The agent's own two ports: health (`/healthz`, `/livez`) and metrics (`/metrics`, `/configz`, `/proxyMode`). A port that is taken, by a
//! kube-proxy that is still there, is served when it is free.

use std::{
    io,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Instant, SystemTime},
};

use http::{Request, StatusCode};
use hyper::body::Incoming;
use tokio::{net::TcpListener, sync::watch};
use tracing::{info, warn};

use super::{
    health::{self, Question},
    listener::{self, HttpResponse, bind, bind_patiently},
    metrics::Metrics,
    respond::{JSON, PLAIN, missing, text},
    scraped::Scraped,
};
use crate::{agent::status::Status, config::BindAddresses, logging::errors::Report};

/// How often each question about health has got each answer.
#[derive(Debug, Default)]
pub(super) struct Asked {
    counts: [[AtomicU64; 2]; 2],
}

impl Asked {
    fn count(&self, question: Question, code: StatusCode) {
        self.counts[question as usize][usize::from(code != StatusCode::OK)].fetch_add(1, Ordering::Relaxed);
    }

    /// How often it was 200, and how often 503.
    pub(super) fn counts(&self, question: Question) -> [(StatusCode, u64); 2] {
        let [fine, not] = &self.counts[question as usize];
        [(StatusCode::OK, fine), (StatusCode::SERVICE_UNAVAILABLE, not)]
            .map(|(code, count)| (code, count.load(Ordering::Relaxed)))
    }
}

/// A port can't be bound, and that is fatal by `bindAddressHardFail`.
#[derive(Debug, thiserror::Error)]
#[error("bind the {name} port to {address} (--bind-address-hard-fail=false waits until it is free)")]
pub struct BindError {
    name: &'static str,
    address: SocketAddr,
    source: io::Error,
}

/// A port of the agent, and the flag that names its address.
#[derive(Clone, Copy, Debug)]
struct Port {
    name: &'static str,
    flag: &'static str,
}

const HEALTH: Port = Port { name: "health", flag: "--healthz-bind-address" };
const METRICS: Port = Port { name: "metrics", flag: "--metrics-bind-address" };

/// Serves both ports for ever.
pub fn serve(
    status: watch::Receiver<Status>,
    addresses: BindAddresses,
    scraped: Scraped,
) -> impl Future<Output = Result<(), BindError>> + Send {
    let asked = Arc::new(Asked::default());
    let counts = Arc::clone(&asked);
    let metrics = Metrics::new(scraped, asked);
    async move {
        let first = |port, address| first_try(port, address, addresses.hard_fail);
        let tries = [first(HEALTH, addresses.health)?, first(METRICS, addresses.metrics)?];
        warn_of_taken(&tries);
        let [health, of_metrics] = tries;
        tokio::join!(
            serve_port(health, move |request| answer_health(request, &status, &counts)),
            serve_port(of_metrics, move |request| answer_metrics(request, &metrics)),
        );
        Ok(())
    }
}

/// What the first try to bind a port has led to.
enum Try {
    /// The port is turned off.
    Off,
    Bound(TcpListener),
    Taken(Port, SocketAddr, io::Error),
}

fn first_try(port: Port, address: Option<SocketAddr>, hard_fail: bool) -> Result<Try, BindError> {
    let Some(address) = address else { return Ok(Try::Off) };
    match bind(address) {
        Ok(listener) => Ok(Try::Bound(listener)),
        Err(source) if hard_fail => Err(BindError { name: port.name, address, source }),
        Err(error) => Ok(Try::Taken(port, address, error)),
    }
}

/// One warning, also when both are taken: a kube-proxy that is still there has both.
fn warn_of_taken(tries: &[Try]) {
    let taken = tries.iter().filter_map(|tried| match tried {
        Try::Taken(port, address, error) => Some((port, address, error)),
        Try::Off | Try::Bound(_) => None,
    });
    match taken.collect::<Vec<_>>().as_slice() {
        [] => {}
        [(Port { name, flag }, address, error)] => warn!(
            %address,
            error = %Report(*error),
            "the {name} port is not served: another process has it (kube-proxy?), and it is served once that is gone; {flag} \
             names another, or 0 for none"
        ),
        several => {
            let list =
                |of: fn(&Port) -> &str| several.iter().map(|(port, ..)| of(port)).collect::<Vec<_>>().join(" and ");
            let addresses = several.iter().map(|(_, address, error)| format!("{address}: {}", Report(*error)));
            warn!(
                addresses = addresses.collect::<Vec<_>>().join(", "),
                "the {} ports are not served: other processes have them (kube-proxy?), and each is served once it is free; {} \
                 name others, or 0 for none",
                list(|port| port.name),
                list(|port| port.flag),
            );
        }
    }
}

/// Serves one port, unless it is turned off, as soon as it is free.
async fn serve_port(tried: Try, respond: impl Fn(&Request<Incoming>) -> HttpResponse + Clone + Send + Sync + 'static) {
    let listener = match tried {
        Try::Off => return,
        Try::Bound(listener) => listener,
        Try::Taken(Port { name, .. }, address, _) => {
            let listener = bind_patiently(address, |_| ()).await;
            info!(%address, "the {name} port is served");
            listener
        }
    };
    listener::serve(listener, |_| true, respond).await;
}

fn answer_health(request: &Request<Incoming>, status: &watch::Receiver<Status>, asked: &Asked) -> HttpResponse {
    let question = match request.uri().path() {
        "/healthz" => Question::Health,
        "/livez" => Question::Life,
        _ => return missing("/healthz and /livez"),
    };
    let answer = health::response(question, &status.borrow(), (Instant::now(), SystemTime::now()));
    asked.count(question, answer.status());
    answer
}

fn answer_metrics(request: &Request<Incoming>, metrics: &Metrics) -> HttpResponse {
    match request.uri().path() {
        "/metrics" => metrics.response(request.headers()),
        "/configz" => text(StatusCode::OK, JSON, metrics.configuration()),
        // What kube-proxy's users look for: none of its modes is this one's.
        "/proxyMode" => text(StatusCode::OK, PLAIN, "ebpf"),
        "/healthz" => text(StatusCode::OK, PLAIN, "ok"),
        _ => missing("/metrics, /configz and /proxyMode"),
    }
}
