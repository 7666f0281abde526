//! Writes Events (events.k8s.io/v1). The caller limits their number. An Event that can't be written is dropped: nothing waits for
//! it, and the failure does not count for the server's health.

use std::{fmt::Debug, sync::Arc};

use k8s_openapi::api::core::v1::ObjectReference;
use kube::{
    Api, Client, Resource,
    api::ListParams,
    client::Body,
    runtime::events::{Event, EventType, Recorder, Reporter},
};
use serde::de::DeserializeOwned;
use tokio::{sync::mpsc, time::timeout};
use tower::{BoxError, service_fn};
use tracing::{debug, warn};

use super::link::Link;
use crate::{
    logging::errors::Report,
    objects::{ApiEvent, Kind, Node, Service, Severity},
};

/// The name of the reporting controller.
const CONTROLLER: &str = "waggle";
/// The API server's limit for a note, in bytes.
const NOTE: usize = 1024;

/// Writes Events until all senders are dropped.
pub(super) async fn write_events(link: Arc<Link>, node_name: String, mut events: mpsc::Receiver<ApiEvent>) {
    let client = client(link);
    let reporter = Reporter { controller: CONTROLLER.to_owned(), instance: Some(node_name) };
    let recorder = Recorder::new(client.clone(), reporter);
    let mut has_warned = false;
    while let Some(event) = events.recv().await {
        let Err(error) = write(&client, &recorder, &event).await else { continue };
        if is_forbidden(&error) && !std::mem::replace(&mut has_warned, true) {
            warn!(
                error = %Report(&error),
                "Events can't be written, and the log has what they would say: give the agent's account the verbs create and patch \
                 for events of events.k8s.io"
            );
        }
        debug!(object = %event.object, reason = event.reason.word(), error = %Report(&error), "failed to write an Event");
    }
}

fn is_forbidden(error: &kube::Error) -> bool {
    matches!(error, kube::Error::Api(status) if [401, 403].contains(&status.code))
}

/// Returns a client that uses the link's connections, but does not report results to the link.
fn client(link: Arc<Link>) -> Client {
    let service = service_fn(move |request: http::Request<Body>| {
        let (client, limit) = (link.current(), link.timing().response_timeout);
        async move { Ok::<_, BoxError>(timeout(limit, client.send(request)).await??) }
    });
    Client::new(service, "default")
}

async fn write(client: &Client, recorder: &Recorder, event: &ApiEvent) -> Result<(), kube::Error> {
    let Some(about) = reference(client, event).await? else { return Ok(()) };
    let word = event.reason.word();
    let type_ = match event.reason.severity() {
        Severity::Normal => EventType::Normal,
        Severity::Warning => EventType::Warning,
    };
    let note = Some(event.note[..event.note.floor_char_boundary(NOTE)].to_owned());
    let event = Event { type_, reason: word.to_owned(), note, action: "Program".to_owned(), secondary: None };
    recorder.publish(&event, &about).await
}

/// Returns a reference to the object with its uid, by which `kubectl describe` finds its Events; `None` if it is gone.
async fn reference(client: &Client, event: &ApiEvent) -> Result<Option<ObjectReference>, kube::Error> {
    let (namespace, name) = (&event.object.namespace, &event.object.name);
    match event.object.kind {
        Kind::Service => find(Api::<Service>::namespaced(client.clone(), namespace), name).await,
        _ => find(Api::<Node>::all(client.clone()), name).await,
    }
}

/// Finds an object by a list request, for which the agent has the permission anyway.
async fn find<K>(api: Api<K>, name: &str) -> Result<Option<ObjectReference>, kube::Error>
where
    K: Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned,
{
    let found = api.list(&ListParams::default().fields(&format!("metadata.name={name}"))).await?;
    Ok(found.items.first().map(|object| object.object_ref(&())))
}
