//! Watches: a stream of changes from a version on. It must not know of connections.

use std::{future::pending, sync::Arc};

use axum::body::Bytes;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep_until};

use super::{
    body::{Closed, Writer},
    faults::Lists,
    list::selected,
    query::Query,
    resource::Target,
    shared::{Shared, State},
    status::Refusal,
    store::Change,
};

/// A watch in progress.
pub(super) struct Watch {
    shared: Arc<Shared>,
    target: Target,
    query: Query,
    /// The version up to which everything has been sent.
    version: u64,
    /// The number of the test's bookmarks that have been sent.
    bookmarks: u64,
    /// Events to send before any change.
    initial: Vec<Value>,
}

impl Watch {
    /// Begins a watch. If the test wants that, an expired one is refused with HTTP 410.
    pub(super) fn begin(shared: &Arc<Shared>, target: Target, query: Query) -> Result<Self, Refusal> {
        let mut state = shared.state();
        if query.initial_events && state.faults.lists == Lists::RefusedStreams {
            let why =
                "Forbidden: sendInitialEvents is forbidden for watch unless the WatchList feature gate is enabled";
            return Err(Refusal::invalid_options("sendInitialEvents", why));
        }
        let no_stream = query.initial_events && state.faults.lists == Lists::EndedStreams;
        let current = state.store.version();
        let synthetic = query.initial_events || query.version.unwrap_or_default() == 0;
        let mut initial = Vec::new();
        if synthetic {
            let objects = state.store.snapshot(target.resource, current)?;
            let objects = objects.values().filter(|object| selected(&target, &query, object));
            initial.extend(objects.map(|object| event("ADDED", object)));
        }
        if query.initial_events {
            let mut end = bookmark(&target, current);
            end["object"]["metadata"]["annotations"] = json!({"k8s.io/initial-events-end": "true"});
            initial.push(end);
        }
        if no_stream {
            let why = "a watch stream was requested by the client but the required storage feature RequestWatchProgress is disabled";
            let status = json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": 500, "reason": "InternalError", "message": why});
            initial = vec![event("ERROR", &status)];
        }
        // A future version is granted: the watch begins with the next change.
        let latest = if state.faults.awaits_future { u64::MAX } else { current };
        let mut version = if synthetic { current } else { query.version.unwrap_or(current).min(latest) };
        if state.faults.take_rewind() {
            version = state.store.oldest();
        }
        if state.faults.expire_by_status {
            state.store.changes_after(target.resource, version)?;
        }
        let bookmarks = state.bookmarks;
        drop(state);
        Ok(Self { shared: Arc::clone(shared), target, query, version, bookmarks, initial })
    }

    /// Sends events until the time is over or the client has closed the connection.
    pub(super) async fn run(self, writer: Writer) {
        tokio::select! {
            _ = self.send_all(&writer) => {}
            () = writer.closed() => {}
        }
    }

    async fn send_all(mut self, writer: &Writer) -> Result<(), Closed> {
        let deadline = self.query.timeout.map(|timeout| Instant::now() + timeout);
        let mut changed = self.shared.changed.subscribe();
        for event in std::mem::take(&mut self.initial) {
            writer.write(line(&event)).await?;
        }
        if self.is_ended() {
            return Ok(());
        }
        loop {
            let (events, ended) = self.next_events();
            for event in events {
                writer.write(line(&event)).await?;
            }
            if ended {
                return Ok(());
            }
            tokio::select! {
                _ = changed.changed() => {}
                () = at(deadline) => {
                    if self.query.bookmarks && !self.awaits_future() {
                        writer.write(line(&bookmark(&self.target, self.version))).await?;
                    }
                    return writer.unless_silent().await;
                }
            }
        }
    }

    /// Whether it ends after its initial events.
    fn is_ended(&self) -> bool {
        let faults = &self.shared.state().faults;
        faults.ended.contains(self.target.resource.plural)
            || self.query.initial_events && faults.lists == Lists::EndedStreams
    }

    /// Whether the watch began at a future version.
    fn awaits_future(&self) -> bool {
        self.version > self.shared.state().store.version()
    }

    /// The events since the last call, and whether the watch ends with them.
    fn next_events(&mut self) -> (Vec<Value>, bool) {
        let shared = Arc::clone(&self.shared);
        let state: &State = &shared.state();
        let changes = match state.store.changes_after(self.target.resource, self.version) {
            Ok(changes) => changes,
            Err(refusal) => return (vec![json!({"type": "ERROR", "object": refusal.body()})], true),
        };
        let mut events: Vec<Value> = changes.iter().filter_map(|change| self.translate(change)).collect();
        self.version = self.version.max(state.store.version());
        if self.query.bookmarks && self.bookmarks < state.bookmarks && self.version == state.store.version() {
            events.push(bookmark(&self.target, self.version));
        }
        self.bookmarks = state.bookmarks;
        (events, false)
    }

    /// A change as this watch's selectors show it.
    fn translate(&self, change: &Change) -> Option<Value> {
        let seen = |object: &&Arc<Value>| selected(&self.target, &self.query, object);
        match (change.before.as_ref().filter(seen), change.after.as_ref().filter(seen)) {
            (None, Some(after)) => Some(event("ADDED", after)),
            (Some(_), Some(after)) => Some(event("MODIFIED", after)),
            (Some(before), None) => {
                let mut last = Value::clone(before);
                last["metadata"]["resourceVersion"] = json!(change.version.to_string());
                Some(event("DELETED", &last))
            }
            (None, None) => None,
        }
    }
}

fn event(kind: &str, object: &Value) -> Value {
    json!({"type": kind, "object": object})
}

fn bookmark(target: &Target, version: u64) -> Value {
    json!({"type": "BOOKMARK", "object": {
        "kind": target.resource.kind,
        "apiVersion": target.resource.api_version,
        "metadata": {"resourceVersion": version.to_string(), "creationTimestamp": null},
    }})
}

/// The event as a line. Clients decode in one pass, and may rely on the type coming first as in the real API.
fn line(event: &Value) -> Bytes {
    Bytes::from(format!("{{\"type\":{},\"object\":{}}}\n", event["type"], event["object"]))
}

async fn at(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => sleep_until(deadline).await,
        None => pending().await,
    }
}
