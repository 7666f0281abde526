//! The agent's own ports: health (`/healthz`, `/livez`), metrics (`/metrics`, `/status`, `/labels`, `/configz`, `/proxyMode`) and,
//! if it is asked for, the page. A port that is taken, for example by a kube-proxy that still runs, is served as soon as it is
//! free.

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
    health::{self, Probe},
    labels::{self, LabelPage},
    listener::{self, HttpResponse, bind, bind_with_retries},
    metrics::{LastCount, Metrics},
    page::{Documents, PageServer},
    respond::{JSON, PLAIN, missing, text},
    scraped::Scraped,
    status::{self, StatusPage},
};
use crate::{agent::status::Status, config::BindAddresses, logging::errors::Report};

/// How often each health path was answered with each status code.
#[derive(Debug, Default)]
pub(super) struct HealthCounts {
    counts: [[AtomicU64; 2]; 2],
}

impl HealthCounts {
    fn count(&self, probe: Probe, code: StatusCode) {
        self.counts[probe as usize][usize::from(code != StatusCode::OK)].fetch_add(1, Ordering::Relaxed);
    }

    /// Returns how often the answer was 200, and how often 503.
    pub(super) fn counts(&self, probe: Probe) -> [(StatusCode, u64); 2] {
        let [ok, unavailable] = &self.counts[probe as usize];
        [(StatusCode::OK, ok), (StatusCode::SERVICE_UNAVAILABLE, unavailable)]
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
const PAGE: Port = Port { name: "page", flag: "--page" };

/// Serves the ports and never returns `Ok` unless all are turned off. Fails if a port for health or metrics can't be bound and
/// [`BindAddresses::hard_fail`] is set. `documents` is what the page shows beside the status.
pub fn serve(
    status: watch::Receiver<Status>,
    addresses: BindAddresses,
    scraped: Scraped,
    documents: Arc<dyn Documents>,
) -> impl Future<Output = Result<(), BindError>> + Send {
    let health = Arc::new(HealthCounts::default());
    let counts = Arc::clone(&health);
    let count = LastCount::default();
    let of_status = StatusPage::new(&scraped, count.clone());
    let of_labels = LabelPage::new(&scraped);
    let page = addresses.page.map(|bound| {
        warn_of_exposed(bound);
        PageServer::new(bound, &scraped, of_status.clone(), documents)
    });
    let metrics = Metrics::new(scraped, health, count);
    async move {
        let bind = |port, address| try_bind(port, address, addresses.hard_fail);
        let attempts = [
            bind(HEALTH, addresses.health)?,
            bind(METRICS, addresses.metrics)?,
            try_bind(PAGE, addresses.page, false)?,
        ];
        warn_of_taken(&attempts);
        let [health, of_metrics, of_page] = attempts;
        tokio::join!(
            serve_port(health, move |request| answer_health(request, &status, &counts)),
            serve_port(of_metrics, move |request| answer_metrics(request, &metrics, &of_status, &of_labels)),
            serve_port(of_page, move |request| answer_page(request, page.as_ref())),
        );
        Ok(())
    }
}

/// The outcome of the first attempt to bind a port.
enum BindAttempt {
    /// The port is turned off.
    Off,
    Bound(TcpListener),
    Taken(Port, SocketAddr, io::Error),
}

fn try_bind(port: Port, address: Option<SocketAddr>, hard_fail: bool) -> Result<BindAttempt, BindError> {
    let Some(address) = address else { return Ok(BindAttempt::Off) };
    match bind(address) {
        Ok(listener) => Ok(BindAttempt::Bound(listener)),
        Err(source) if hard_fail => Err(BindError { name: port.name, address, source }),
        Err(error) => Ok(BindAttempt::Taken(port, address, error)),
    }
}

/// Warns of a page that other machines may reach.
fn warn_of_exposed(bound: SocketAddr) {
    if !bound.ip().is_loopback() {
        warn!(
            address = %bound,
            "the page asks for no password: whoever reaches this address sees Services, backends and clients; --page without a \
             value serves it to this machine only"
        );
    }
}

/// Logs one warning even if several ports are taken, as by a kube-proxy that still runs.
fn warn_of_taken(attempts: &[BindAttempt]) {
    let taken = attempts.iter().filter_map(|attempt| match attempt {
        BindAttempt::Taken(port, address, error) => Some((port, address, error)),
        BindAttempt::Off | BindAttempt::Bound(_) => None,
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
async fn serve_port(
    attempt: BindAttempt,
    respond: impl Fn(&Request<Incoming>) -> HttpResponse + Clone + Send + Sync + 'static,
) {
    let listener = match attempt {
        BindAttempt::Off => return,
        BindAttempt::Bound(listener) => listener,
        BindAttempt::Taken(Port { name, .. }, address, _) => {
            let listener = bind_with_retries(address, |_| ()).await;
            info!(%address, "the {name} port is served");
            listener
        }
    };
    listener::serve(listener, |_| true, respond).await;
}

fn answer_health(request: &Request<Incoming>, status: &watch::Receiver<Status>, counts: &HealthCounts) -> HttpResponse {
    let probe = match request.uri().path() {
        "/healthz" => Probe::Healthz,
        "/livez" => Probe::Livez,
        _ => return missing("/healthz and /livez"),
    };
    let response = health::response(probe, &status.borrow(), (Instant::now(), SystemTime::now()));
    counts.count(probe, response.status());
    response
}

fn answer_page(request: &Request<Incoming>, page: Option<&PageServer>) -> HttpResponse {
    // Without a page its port is not bound.
    page.map_or_else(|| missing("no page"), |page| page.response(request.method(), request.uri(), request.headers()))
}

fn answer_metrics(
    request: &Request<Incoming>,
    metrics: &Metrics,
    status: &StatusPage,
    labels: &LabelPage,
) -> HttpResponse {
    match request.uri().path() {
        "/metrics" => metrics.response(request.headers()),
        status::PATH => status.response(),
        labels::PATH => labels.response(request.headers()),
        "/configz" => text(StatusCode::OK, JSON, metrics.configuration()),
        // kube-proxy responds with its mode, but none of its modes fits.
        "/proxyMode" => text(StatusCode::OK, PLAIN, "ebpf"),
        "/healthz" => text(StatusCode::OK, PLAIN, "ok"),
        _ => missing("/metrics, /status, /labels, /configz and /proxyMode"),
    }
}
