//! The connection to the API server that all kinds share: time limits, renewal of credentials, Retry-After, and one log
//! line when the server is lost and one when it is back. Knows nothing about objects.

use std::{
    collections::BTreeSet,
    net::SocketAddr,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, RwLock,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use futures::stream;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, StreamBody, combinators::UnsyncBoxBody};
use kube::{Client, client::Body};
use tokio::time::{Instant, sleep, sleep_until, timeout, timeout_at};
use tower::{BoxError, service_fn};
use tracing::{debug, info, warn};

use super::{
    KubeConfig, KubeError, Timing,
    backoff::BackOff,
    client::{addresses, client},
    query::{self, RequestKind},
    response,
    revisions::{Revisions, Watch},
};
use crate::{logging::errors::Report, objects::Kind};

/// The body of a response.
type ResponseBody = UnsyncBoxBody<Bytes, BoxError>;

/// The connection, shared by all kinds.
pub(super) struct Link {
    settings: KubeConfig,
    current: RwLock<(u64, Client)>,
    health: Mutex<Health>,
}

#[derive(Debug, Default)]
struct Health {
    /// The kinds whose last request failed.
    failing: BTreeSet<Kind>,
    since: Option<Instant>,
    /// No request may be sent before this time, at the server's wish (Retry-After).
    not_before: Option<Instant>,
    /// The last error with the credentials, so that it is logged once.
    credentials: Option<String>,
}

impl std::fmt::Debug for Link {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Link").field("settings", &self.settings).finish_non_exhaustive()
    }
}

impl Link {
    pub(super) async fn new(settings: KubeConfig) -> Result<Self, KubeError> {
        let current = RwLock::new((0, client(&settings).await?));
        Ok(Self { settings, current, health: Mutex::default() })
    }

    pub(super) async fn addresses(&self) -> BTreeSet<SocketAddr> {
        addresses(&self.settings).await
    }

    /// Returns the client with the current credentials.
    pub(super) fn current(&self) -> Client {
        self.current.read().unwrap_or_else(PoisonError::into_inner).1.clone()
    }

    pub(super) fn timing(&self) -> Timing {
        self.settings.timing
    }

    pub(super) fn note_list(&self, kind: Kind) {
        self.settings.contact.note_list(kind);
    }

    pub(super) fn note_unreadable(&self, kind: Kind, count: usize) {
        self.settings.contact.note_unreadable(kind, count);
    }

    /// Returns a client for one kind's requests, which all go over this link.
    pub(super) fn client(self: &Arc<Self>, kind: Kind) -> Client {
        let link = Arc::clone(self);
        let Timing { first_retry, longest_retry, .. } = self.timing();
        let backoff = BackOff::new(first_retry, longest_retry);
        let pace = Arc::new(Mutex::new(Pace { last: None, backoff, revisions: Revisions::default() }));
        let service = service_fn(move |request: Request<Body>| {
            let (link, pace) = (Arc::clone(&link), Arc::clone(&pace));
            async move {
                let request = query::consistent(request);
                let request_kind = query::kind(&request);
                if request_kind == RequestKind::Watch {
                    let pause = lock(&pace).pause(link.timing().settled);
                    sleep(pause).await;
                    let watch = lock(&pace).revisions.may_watch(query::revision(&request), Instant::now());
                    match watch {
                        Watch::Begins => {}
                        Watch::BeginsAfterReset => {
                            info!(%kind, "the API server's revisions have gone back: everything has been listed again");
                        }
                        Watch::NeedsList => {
                            debug!(%kind, "the last watch was silent or ahead of the server: listing again");
                            return Ok(expired());
                        }
                    }
                } else {
                    lock(&pace).revisions.list();
                }
                link.send(kind, request, (request_kind != RequestKind::Pages).then_some(&pace)).await
            }
        });
        Client::new(service, "default")
    }

    /// Waits until the time that the server asked for in Retry-After.
    pub(super) async fn wait_retry_after(&self) {
        let not_before = lock(&self.health).not_before;
        if let Some(instant) = not_before {
            sleep_until(instant).await;
        }
    }

    /// Sends a request. `watch` is the pace of the kind's watches if the request is a watch.
    async fn send(
        &self,
        kind: Kind,
        request: Request<Body>,
        watch: Option<&Mutex<Pace>>,
    ) -> Result<Response<ResponseBody>, BoxError> {
        let (generation, client) = self.current.read().unwrap_or_else(PoisonError::into_inner).clone();
        let limit = self.timing().response_timeout;
        let length = query::watch_length(&request);
        let end = watch.map(|_| Instant::now() + length + self.timing().watch_grace);
        let response = match timeout(limit, client.send(request)).await {
            Ok(Ok(response)) => response,
            Ok(Err(error)) => return Err(self.note_lost(kind, generation, Box::new(error)).await),
            Err(_) => {
                let error = format!("no response within {limit:?}");
                return Err(self.note_lost(kind, generation, error.into()).await);
            }
        };
        let status = response.status();
        self.settings.contact.note_response(Some(status.as_u16()));
        if status == StatusCode::UNAUTHORIZED {
            self.renew(generation).await;
        }
        if let Some(wait) = response::retry_after(&response) {
            lock(&self.health).not_before = Some(Instant::now() + wait.min(LONGEST_WAIT));
        }
        let shows = response::shows(kind, status);
        if shows {
            self.settings.contact.note(kind);
        }
        if response::serves(status) {
            self.note_success(kind);
        } else {
            self.note_failure(kind, &format!("it responded {status}"));
        }
        let received =
            watch.filter(|_| status.is_success()).map(|pace| lock(pace).revisions.granted(Instant::now(), length));
        let contact = Some(self.settings.contact.clone()).filter(|_| shows);
        let on_data = move || contact.iter().for_each(|contact| contact.note(kind));
        Ok(response.map(|body| limited(body, limit, end, received, on_data)))
    }

    async fn note_lost(&self, kind: Kind, generation: u64, error: BoxError) -> BoxError {
        self.settings.contact.note_response(None);
        self.note_failure(kind, &Report(&*error).to_string());
        // The server's address or certificates may have changed.
        self.renew(generation).await;
        error
    }

    /// Reads the credentials again, once for all requests that failed with the credentials of this generation.
    async fn renew(&self, generation: u64) {
        if self.current.read().unwrap_or_else(PoisonError::into_inner).0 != generation {
            return;
        }
        match client(&self.settings).await {
            Ok(client) => {
                let mut current = self.current.write().unwrap_or_else(PoisonError::into_inner);
                if current.0 == generation {
                    *current = (generation + 1, client);
                }
                lock(&self.health).credentials = None;
            }
            Err(error) => {
                let error = Report(&error).to_string();
                let mut health = lock(&self.health);
                if health.credentials.as_ref() != Some(&error) {
                    warn!(error, "can't renew the API server's credentials; keeping the ones in use");
                    health.credentials = Some(error);
                }
            }
        }
    }

    fn note_failure(&self, kind: Kind, error: &str) {
        let mut health = lock(&self.health);
        if health.failing.is_empty() {
            warn!(error, "the API server can't be reached or does not serve; keeping what is known and retrying");
            health.since = Some(Instant::now());
        }
        health.failing.insert(kind);
    }

    fn note_success(&self, kind: Kind) {
        let mut health = lock(&self.health);
        if health.failing.remove(&kind) && health.failing.is_empty() {
            let away = health.since.take().map(|since| since.elapsed()).unwrap_or_default();
            info!(?away, "the API server is back");
        }
    }
}

/// The longest time that the agent waits at the server's wish (Retry-After).
const LONGEST_WAIT: Duration = Duration::from_mins(1);

/// Spaces out watches that end soon after they began.
#[derive(Debug)]
struct Pace {
    last: Option<Instant>,
    backoff: BackOff,
    revisions: Revisions,
}

impl Pace {
    /// Returns the pause before the next watch.
    fn pause(&mut self, settled: Duration) -> Duration {
        let now = Instant::now();
        let short = self.last.is_some_and(|last| now.duration_since(last) < settled);
        if !short {
            self.backoff.reset();
        }
        let pause = if short { self.backoff.next() } else { Duration::ZERO };
        self.last = Some(now + pause);
        pause
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // No change under these locks panics halfway, so the data under a poisoned lock is consistent.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Returns a response that makes the watcher list again.
fn expired() -> Response<ResponseBody> {
    let status = r#"{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","reason":"Expired","code":410,"message":"the revision is not the server's"}"#;
    let body = http_body_util::Full::new(Bytes::from_static(status.as_bytes()));
    let mut response = Response::new(body.map_err(|never| match never {}).boxed_unsync());
    *response.status_mut() = StatusCode::GONE;
    response
}

/// Wraps a body so that it fails when its next bytes take longer than `limit`; if `end` is given, it ends without error at
/// `end` instead. Sets `received` and calls `on_data` when bytes arrive.
fn limited(
    body: Body,
    limit: Duration,
    end: Option<Instant>,
    received: Option<Arc<AtomicBool>>,
    on_data: impl Fn() + Send + 'static,
) -> ResponseBody {
    let frames = stream::try_unfold((body, received, on_data), move |(mut body, received, on_data)| async move {
        let note = || received.iter().for_each(|received| received.store(true, Ordering::Relaxed));
        let frame = match timeout_at(end.unwrap_or_else(|| Instant::now() + limit), body.frame()).await {
            Ok(frame) => frame,
            Err(_) if end.is_some() => {
                // The connection is dead. This does not count as silence: what the server would have sent is unknown.
                note();
                None
            }
            Err(_) => return Err(BoxError::from(format!("the response stalled for {limit:?}"))),
        };
        let Some(frame) = frame.transpose()? else { return Ok(None) };
        note();
        on_data();
        Ok(Some((frame, (body, received, on_data))))
    });
    StreamBody::new(frames).boxed_unsync()
}
