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
use tokio::sync::watch;
use tracing::{info, warn};

use super::{
    health::{self, Question},
    listener::{self, Answer, bind, bind_patiently},
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
    let hard_fail = addresses.hard_fail;
    let health = port(HEALTH, (addresses.health, hard_fail), move |request| answer_health(request, &status, &counts));
    let metrics = Metrics::new(scraped, asked);
    let metrics = port(METRICS, (addresses.metrics, hard_fail), move |request| answer_metrics(request, &metrics));
    async {
        tokio::try_join!(health, metrics)?;
        Ok(())
    }
}

/// Serves one port, unless it is turned off.
async fn port(
    Port { name, flag }: Port,
    (address, hard_fail): (Option<SocketAddr>, bool),
    respond: impl Fn(&Request<Incoming>) -> Answer + Clone + Send + Sync + 'static,
) -> Result<(), BindError> {
    let Some(address) = address else { return Ok(()) };
    let mut was_taken = false;
    let taken = |error: io::Error| {
        was_taken = true;
        warn!(
            %address,
            error = %Report(&error),
            "the {name} port is not served: it is when whoever has it is gone (kube-proxy?); {flag} names another, or 0 for none"
        );
    };
    let listener = if hard_fail {
        bind(address).map_err(|source| BindError { name, address, source })?
    } else {
        bind_patiently(address, taken).await
    };
    if was_taken {
        info!(%address, "the {name} port is served");
    }
    listener::serve(listener, |_| true, respond).await;
    Ok(())
}

fn answer_health(request: &Request<Incoming>, status: &watch::Receiver<Status>, asked: &Asked) -> Answer {
    let question = match request.uri().path() {
        "/healthz" => Question::Health,
        "/livez" => Question::Life,
        _ => return missing("/healthz and /livez"),
    };
    let answer = health::response(question, &status.borrow(), (Instant::now(), SystemTime::now()));
    asked.count(question, answer.status());
    answer
}

fn answer_metrics(request: &Request<Incoming>, metrics: &Metrics) -> Answer {
    match request.uri().path() {
        "/metrics" => metrics.response(request.headers()),
        "/configz" => text(StatusCode::OK, JSON, metrics.configuration()),
        // What kube-proxy's users look for: none of its modes is this one's.
        "/proxyMode" => text(StatusCode::OK, PLAIN, "ebpf"),
        "/healthz" => text(StatusCode::OK, PLAIN, "ok"),
        _ => missing("/metrics, /configz and /proxyMode"),
    }
}
