//! Follows one kind of object: turns the events of kube's watcher into the source's events, and its errors into pauses.
//! It knows nothing of connections.

use std::{fmt::Debug, pin::pin, sync::Arc, time::Duration};

use futures::{Stream, StreamExt as _};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::{
    Api, Resource,
    runtime::watcher::{self, Config, watcher},
};
use serde::de::DeserializeOwned;
use tokio::{
    sync::mpsc,
    time::{Instant, sleep},
};
use tracing::{debug, error, info, warn};

use super::{
    backoff::BackOff,
    known::{Known, Seen},
    link::Link,
    partial::Partial,
    unreadable::UnreadableLog,
};
use crate::{
    logging::errors::Report,
    objects::{Event, Kind, Object},
};

/// How often to check whether waiting log lines may be written.
const AGAIN: Duration = Duration::from_secs(2);

/// One kind of object to follow.
pub(super) struct Follow {
    pub(super) kind: Kind,
    /// Label selector; empty selects all.
    pub(super) labels: String,
    /// Field selector; empty selects all.
    pub(super) fields: String,
    pub(super) link: Arc<Link>,
    pub(super) events: mpsc::Sender<Event>,
}

/// The receiver of events is gone.
#[derive(Debug)]
struct Gone;

/// What to do after an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Remedy {
    /// Let the watcher try again.
    Retry,
    /// List again from the beginning.
    Relist,
    /// The API server does not have or show the resource: report it as empty, and ask again later.
    Absent,
}

impl Follow {
    /// Follows until the receiver is gone. `wrap` turns a decoded object into an [`Object`].
    pub(super) async fn run<K>(self, wrap: fn(K) -> Object)
    where
        K: Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned + Send + 'static,
    {
        let api = Api::<Partial<K>>::all(self.link.client(self.kind));
        let timing = self.link.timing();
        let mut progress = Progress {
            known: Known::new(self.kind),
            unreadable: UnreadableLog::about(self.kind),
            backoff: BackOff::new(timing.first_retry, timing.longest_retry),
            plural: K::plural(&()).into_owned(),
            listed: false,
            refused: None,
            retried: None,
            follow: self,
        };
        while progress.stream(api.clone(), wrap).await.is_ok() {}
    }
}

/// The state of following one kind.
struct Progress {
    follow: Follow,
    known: Known,
    unreadable: UnreadableLog,
    backoff: BackOff,
    plural: String,
    /// Whether `Listed` has been reported.
    listed: bool,
    /// The status code of the last refusal that was logged.
    refused: Option<u16>,
    /// When the last pause after a failure ended.
    retried: Option<Instant>,
}

impl Progress {
    /// Handles one watcher's events until everything must be listed again.
    async fn stream<K>(&mut self, api: Api<Partial<K>>, wrap: fn(K) -> Object) -> Result<(), Gone>
    where
        K: Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned + Send + 'static,
    {
        let mut stream = pin!(watcher(api, self.watcher_config()));
        while let Some(event) = self.next(&mut stream).await {
            let remedy = match event {
                Ok(event) => {
                    self.take(event, wrap).await?;
                    continue;
                }
                Err(error) => self.judge(&error),
            };
            if remedy == Remedy::Absent {
                self.report_nothing().await?;
                sleep(jittered(self.follow.link.timing().absent)).await;
            } else {
                sleep(self.pause()).await;
                self.follow.link.wait_as_asked().await;
                self.retried = Some(Instant::now());
            }
            if remedy != Remedy::Retry {
                break;
            }
        }
        Ok(())
    }

    /// The watcher's next event. While it waits, it logs unreadable as the rate limit allows.
    async fn next<E>(&mut self, stream: &mut (impl Stream<Item = E> + Unpin)) -> Option<E> {
        loop {
            tokio::select! {
                event = stream.next() => return event,
                () = sleep(AGAIN), if self.unreadable.is_waiting() && self.listed => self.unreadable.log(),
            }
        }
    }

    fn watcher_config(&self) -> Config {
        let seconds = jittered(self.follow.link.timing().watch).as_secs().max(1);
        let mut config = Config::default().timeout(u32::try_from(seconds).unwrap_or(u32::MAX));
        if !self.follow.labels.is_empty() {
            config = config.labels(&self.follow.labels);
        }
        if !self.follow.fields.is_empty() {
            config = config.fields(&self.follow.fields);
        }
        config
    }

    async fn take<K: Resource>(
        &mut self,
        event: watcher::Event<Partial<K>>,
        wrap: fn(K) -> Object,
    ) -> Result<(), Gone> {
        match event {
            watcher::Event::Init => {
                self.follow.link.note_list(self.follow.kind);
                self.known.begin_list();
            }
            watcher::Event::InitApply(object) => {
                self.known.listed(seen(self.follow.kind, &object.metadata));
                self.apply(object, wrap).await?;
            }
            watcher::Event::InitDone => self.end_list().await?,
            watcher::Event::Apply(object) => {
                self.backoff.reset();
                if self.known.changed(seen(self.follow.kind, &object.metadata)) {
                    self.apply(object, wrap).await?;
                    self.unreadable.log();
                }
            }
            watcher::Event::Delete(object) => {
                self.backoff.reset();
                if let Some(gone) = self.known.deleted(seen(self.follow.kind, &object.metadata)) {
                    self.send(Event::Deleted(gone)).await?;
                }
            }
        }
        Ok(())
    }

    /// Reports an object. If it can't be read, its last readable content stays in force.
    async fn apply<K: Resource>(&mut self, object: Partial<K>, wrap: fn(K) -> Object) -> Result<(), Gone> {
        let Seen { namespace, name, .. } = seen(self.follow.kind, &object.metadata);
        match object.into_object() {
            Ok(object) => {
                self.known.note_unreadable(&namespace, &name, false);
                self.send(Event::Applied(Box::new(wrap(object)))).await
            }
            Err(reason) => {
                if self.known.note_unreadable(&namespace, &name, true) {
                    self.unreadable.add(namespace, name, reason);
                }
                Ok(())
            }
        }
    }

    async fn end_list(&mut self) -> Result<(), Gone> {
        self.unreadable.log();
        for gone in self.known.end_list() {
            self.send(Event::Deleted(gone)).await?;
        }
        if self.refused.take().is_some() {
            info!(resource = self.plural, "the API server shows the resource now");
        }
        self.listed = true;
        self.send(Event::Listed(self.follow.kind)).await
    }

    /// Reports a resource that can't be seen as empty, unless it has been seen before.
    async fn report_nothing(&mut self) -> Result<(), Gone> {
        if self.listed {
            return Ok(());
        }
        self.listed = true;
        self.send(Event::Listed(self.follow.kind)).await
    }

    async fn send(&self, event: Event) -> Result<(), Gone> {
        self.follow.events.send(event).await.map_err(|_| Gone)
    }

    fn pause(&mut self) -> Duration {
        let settled = self.follow.link.timing().settled;
        // A complete list does not reset the series: the watch after it may fail every time.
        if self.retried.is_some_and(|retried| retried.elapsed() >= settled) {
            self.backoff.reset();
        }
        self.backoff.next()
    }

    fn judge(&mut self, error: &watcher::Error) -> Remedy {
        debug!(resource = self.plural, error = %Report(error), "list or watch failed");
        let (status, verb) = match error {
            watcher::Error::InitialListFailed(kube::Error::Api(status)) => (status, "list"),
            watcher::Error::WatchStartFailed(kube::Error::Api(status)) => (status, "watch"),
            _ => return Remedy::Retry,
        };
        match status.code {
            403 | 404 => self.refuse(status.code, verb, &status.message),
            // The watcher would ask for the same version for ever.
            400 | 410 | 422 | 504 if verb == "watch" => Remedy::Relist,
            _ => Remedy::Retry,
        }
    }

    /// Logs once what to correct.
    fn refuse(&mut self, code: u16, verb: &str, message: &str) -> Remedy {
        let optional = self.follow.kind == Kind::ServiceCidr;
        let resource = &self.plural;
        if self.refused.replace(code) != Some(code) {
            match (code, optional) {
                (403, true) => warn!(
                    verb,
                    resource,
                    message,
                    "the API server forbids ServiceCIDRs: unowned ClusterIPs will not be refused; let the agent's \
                     ClusterRole allow list and watch on servicecidrs.networking.k8s.io"
                ),
                (_, true) => warn!(
                    verb,
                    resource,
                    message,
                    "the API server has no ServiceCIDRs: unowned ClusterIPs will not be refused; Kubernetes has them \
                     since 1.33"
                ),
                (403, false) => error!(
                    verb,
                    resource,
                    message,
                    "the API server forbids what the agent needs: let its ClusterRole allow list and watch on the \
                     resource"
                ),
                _ => error!(verb, resource, message, "the API server has no such resource: is this its URL?"),
            }
        }
        match (optional, verb) {
            (true, _) => Remedy::Absent,
            (false, "watch") => Remedy::Relist,
            (false, _) => Remedy::Retry,
        }
    }
}

pub(super) fn seen(kind: Kind, metadata: &ObjectMeta) -> Seen {
    Seen {
        namespace: metadata.namespace.clone().filter(|_| kind.has_namespaces()).unwrap_or_default(),
        name: metadata.name.clone().unwrap_or_default(),
        version: metadata.resource_version.as_ref().and_then(|version| version.parse().ok()),
    }
}

/// Between three quarters and all of `whole`, so that nodes that started together drift apart.
fn jittered(whole: Duration) -> Duration {
    whole.mul_f64(0.75 + fastrand::f64() / 4.0)
}
