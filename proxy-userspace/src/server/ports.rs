//! The agent's own two ports: health (`/healthz`, `/livez`) and metrics (`/metrics`, `/configz`, `/proxyMode`). A port that is
//! taken, for example by a kube-proxy that still runs, is served as soon as it is free.

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

/// How often each health path was answered with each status code.
#[derive(Debug, Default)]
pub(super) struct HealthCounts {
    counts: [[AtomicU64; 2]; 2],
}

impl HealthCounts {
    fn count(&self, question: Question, code: StatusCode) {
        self.counts[question as usize][usize::from(code != StatusCode::OK)].fetch_add(1, Ordering::Relaxed);
    }

    /// Returns how often the answer was 200, and how often 503.
    pub(super) fn counts(&self, question: Question) -> [(StatusCode, u64); 2] {
        let [fine, not] = &self.counts[question as usize];
        [(StatusCode::OK, fine), (StatusCode::SERVICE_UNAVAILABLE, not)]
            .map(|(code, count)| (code, count.load(Ordering::Relaxed)))
    }
}

/// A port can't be bound, and `bindAddressHardFail` makes that fatal.
#[derive(Debug, thiserror::Error)]
#[error("bind the {name} port to {address} (--bind-address-hard-fail=false waits until it is free)")]
pub struct BindError {
    name: &'static str,
    address: SocketAddr,
    source: io::Error,
}

/// One of the agent's ports, and the flag that sets its address.
#[derive(Clone, Copy, Debug)]
struct Port {
    name: &'static str,
    flag: &'static str,
}

const HEALTH: Port = Port { name: "health", flag: "--healthz-bind-address" };
const METRICS: Port = Port { name: "metrics", flag: "--metrics-bind-address" };

/// Serves both ports and never returns `Ok` unless both are turned off. Fails if a port can't be bound and
/// [`BindAddresses::hard_fail`] is set.
pub fn serve(
    status: watch::Receiver<Status>,
    addresses: BindAddresses,
    scraped: Scraped,
) -> impl Future<Output = Result<(), BindError>> + Send {
    let health = Arc::new(HealthCounts::default());
    let counts = Arc::clone(&health);
    let metrics = Metrics::new(scraped, health);
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

/// The outcome of the first attempt to bind a port.
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

/// Logs one warning even if both ports are taken, as by a kube-proxy that still runs.
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
            "the {name} port is not served: another process has it (kube-proxy?); it will be served when it is free; {flag} \
             chooses another port, or 0 for none"
        ),
        several => {
            let list =
                |of: fn(&Port) -> &str| several.iter().map(|(port, ..)| of(port)).collect::<Vec<_>>().join(" and ");
            let addresses = several.iter().map(|(_, address, error)| format!("{address}: {}", Report(*error)));
            warn!(
                addresses = addresses.collect::<Vec<_>>().join(", "),
                "the {} ports are not served: other processes have them (kube-proxy?); each will be served when it is free; {} \
                 choose other ports, or 0 for none",
                list(|port| port.name),
                list(|port| port.flag),
            );
        }
    }
}

/// Serves one port as soon as it is free. Returns at once if the port is turned off.
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

fn answer_health(request: &Request<Incoming>, status: &watch::Receiver<Status>, counts: &HealthCounts) -> HttpResponse {
    let question = match request.uri().path() {
        "/healthz" => Question::Health,
        "/livez" => Question::Life,
        _ => return missing("/healthz and /livez"),
    };
    let answer = health::response(question, &status.borrow(), (Instant::now(), SystemTime::now()));
    counts.count(question, answer.status());
    answer
}

fn answer_metrics(request: &Request<Incoming>, metrics: &Metrics) -> HttpResponse {
    match request.uri().path() {
        "/metrics" => metrics.response(request.headers()),
        "/configz" => text(StatusCode::OK, JSON, metrics.configuration()),
        // kube-proxy responds with its mode, but none of its modes fits.
        "/proxyMode" => text(StatusCode::OK, PLAIN, "ebpf"),
        "/healthz" => text(StatusCode::OK, PLAIN, "ok"),
        _ => missing("/metrics, /configz and /proxyMode"),
    }
}
