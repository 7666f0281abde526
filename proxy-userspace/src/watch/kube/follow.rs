//! Follows one kind of object: turns the events of kube's watcher into the source's events, and its errors into pauses.
//! Knows nothing about connections.

use std::{fmt::Debug, pin::pin, sync::Arc, time::Duration};

use futures::{Stream, StreamExt as _};
use kube::{
    Api, Resource,
    runtime::watcher::{self, Config, watcher},
};
use serde::de::DeserializeOwned;
use tokio::{
    sync::mpsc,
    time::{Instant, sleep},
};
use tracing::{debug, info};

use super::{
    backoff::{BackOff, jittered},
    known::{Known, Seen},
    link::Link,
    partial::Partial,
    refusal,
    remedy::{Remedy, is_optional, remedy},
    unreadable::UnreadableLog,
};
use crate::{
    logging::errors::Report,
    objects::{Event, Kind, Object},
};

/// How often to check whether waiting log lines may be written.
const LOG_CHECK_PERIOD: Duration = Duration::from_secs(2);

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
struct AgentGone;

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
            streams: true,
            list: ListProgress::Requested,
            listed: false,
            refused: None,
            retried: None,
            follow: self,
        };
        while progress.stream(api.clone(), wrap).await.is_ok() {}
    }
}

/// The progress of the current list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ListProgress {
    Requested,
    Startup,
    Complete,
}

/// The state of following one kind.
struct Progress {
    follow: Follow,
    known: Known,
    unreadable: UnreadableLog,
    backoff: BackOff,
    plural: String,
    /// Whether lists are requested as streams.
    streams: bool,
    list: ListProgress,
    /// Whether `Listed` has been reported.
    listed: bool,
    /// The status code of the last refusal that was logged.
    refused: Option<u16>,
    /// When the last pause after a failure ended.
    retried: Option<Instant>,
}

impl Progress {
    /// Handles one watcher's events until everything must be listed again.
    async fn stream<K>(&mut self, api: Api<Partial<K>>, wrap: fn(K) -> Object) -> Result<(), AgentGone>
    where
        K: Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned + Send + 'static,
    {
        let mut stream = pin!(watcher(api, self.watcher_config()));
        self.list = ListProgress::Requested;
        while let Some(event) = self.next(&mut stream).await {
            let remedy = match event {
                Ok(event) => {
                    self.take(event, wrap).await?;
                    continue;
                }
                Err(error) => self.handle_error(&error),
            };
            if self.list != ListProgress::Complete {
                self.list = ListProgress::Requested;
            }
            if remedy == Remedy::ReadPages {
                self.streams = false;
                break;
            }
            if remedy == Remedy::Absent {
                self.report_empty_list().await?;
                sleep(jittered(self.follow.link.timing().absent)).await;
            } else {
                sleep(self.pause()).await;
                self.follow.link.wait_retry_after().await;
                self.retried = Some(Instant::now());
            }
            if remedy != Remedy::Retry {
                break;
            }
        }
        Ok(())
    }

    /// Waits for the watcher's next event; `None` if a streamed list has stalled. Meanwhile logs unreadable objects as the rate
    /// limit allows.
    async fn next<E>(&mut self, stream: &mut (impl Stream<Item = E> + Unpin)) -> Option<E> {
        let limit = self.follow.link.timing().response_timeout;
        loop {
            tokio::select! {
                event = stream.next() => return event,
                // For pages, the link has this limit. It can't tell which part of a stream belongs to the list.
                () = sleep(limit), if self.streams && self.list == ListProgress::Startup => {
                    debug!(resource = self.plural, ?limit, "a streamed list has stalled");
                    sleep(self.pause()).await;
                    return None;
                }
                () = sleep(LOG_CHECK_PERIOD), if self.unreadable.is_waiting() && self.listed => self.unreadable.log(),
            }
        }
    }

    fn watcher_config(&self) -> Config {
        let seconds = jittered(self.follow.link.timing().watch).as_secs().max(1);
        let mut config = Config::default().timeout(u32::try_from(seconds).unwrap_or(u32::MAX));
        if self.streams {
            config = config.streaming_lists();
        }
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
    ) -> Result<(), AgentGone> {
        match event {
            watcher::Event::Init => {
                // If a stream ends before the list is complete, the watcher starts another at once.
                if self.list == ListProgress::Startup {
                    sleep(self.pause()).await;
                }
                self.list = ListProgress::Startup;
                self.follow.link.note_list(self.follow.kind);
                self.known.begin_list();
            }
            watcher::Event::InitApply(object) => {
                self.known.listed(&Seen::of(self.follow.kind, &object.metadata));
                self.apply(object, wrap).await?;
            }
            watcher::Event::InitDone => self.end_list().await?,
            watcher::Event::Apply(object) => {
                self.backoff.reset();
                if self.known.changed(&Seen::of(self.follow.kind, &object.metadata)) {
                    self.apply(object, wrap).await?;
                    self.unreadable.log();
                }
            }
            watcher::Event::Delete(object) => {
                self.backoff.reset();
                if let Some(gone) = self.known.deleted(Seen::of(self.follow.kind, &object.metadata)) {
                    self.send(Event::Deleted(gone)).await?;
                }
            }
        }
        self.follow.link.note_unreadable(self.follow.kind, self.known.unreadable());
        Ok(())
    }

    /// Reports an object. If it can't be read, its last readable content stays in force.
    ///
    /// Fails if the receiver is gone.
    async fn apply<K: Resource>(&mut self, object: Partial<K>, wrap: fn(K) -> Object) -> Result<(), AgentGone> {
        let Seen { namespace, name, .. } = Seen::of(self.follow.kind, &object.metadata);
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

    async fn end_list(&mut self) -> Result<(), AgentGone> {
        self.list = ListProgress::Complete;
        self.unreadable.log();
        for gone in self.known.end_list() {
            self.send(Event::Deleted(gone)).await?;
        }
        if self.refused.take().is_some() {
            info!(resource = self.plural, "the API server serves the resource now");
        }
        self.listed = true;
        self.send(Event::Listed(self.follow.kind)).await
    }

    /// Reports a resource that the API server does not show as empty, unless it has been listed before.
    async fn report_empty_list(&mut self) -> Result<(), AgentGone> {
        if self.listed {
            return Ok(());
        }
        self.listed = true;
        self.send(Event::Listed(self.follow.kind)).await
    }

    async fn send(&self, event: Event) -> Result<(), AgentGone> {
        self.follow.events.send(event).await.map_err(|_| AgentGone)
    }

    fn pause(&mut self) -> Duration {
        let settled = self.follow.link.timing().settled;
        // A complete list does not reset the series: the watch after it may fail every time.
        if self.retried.is_some_and(|retried| retried.elapsed() >= settled) {
            self.backoff.reset();
        }
        self.backoff.next()
    }

    fn handle_error(&mut self, error: &watcher::Error) -> Remedy {
        let asks_for_stream = self.streams && self.list != ListProgress::Complete;
        let refused = match error {
            watcher::Error::WatchError(status) if asks_for_stream => Some((status, "watch")),
            watcher::Error::InitialListFailed(kube::Error::Api(status)) => Some((status, "list")),
            watcher::Error::WatchStartFailed(kube::Error::Api(status)) => Some((status, "watch")),
            _ => None,
        };
        let is_optional = is_optional(self.follow.kind);
        let remedy = remedy(refused.map(|(status, verb)| (status.code, verb)), asks_for_stream, is_optional);
        let resource = &self.plural;
        if remedy == Remedy::ReadPages {
            debug!(resource, error = %Report(error), "the API server does not stream lists: reading pages");
        } else {
            debug!(resource, error = %Report(error), "list or watch failed");
        }
        // Logs once what to correct.
        if let Some((status, verb)) = refused.filter(|(status, _)| matches!(status.code, 403 | 404))
            && self.refused.replace(status.code) != Some(status.code)
        {
            refusal::log((status.code, is_optional), verb, resource, &status.message);
        }
        remedy
    }
}
