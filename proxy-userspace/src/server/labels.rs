//! `/labels`: the labels of the Services that the agent serves, as one JSON document. `waggle get` and `waggle top` ask for it
//! where they select by labels or show them, since the maps have none.

use std::collections::BTreeMap;

use http::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use tokio::{sync::watch, task::block_in_place};

use super::{listener::HttpResponse, respond::json, scraped::Scraped};
use crate::agent::status::Status;

/// The path of the document.
pub const PATH: &str = "/labels";

/// The document.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LabelReport {
    /// The name of the instance.
    pub instance: String,
    /// The labels of each Service that has some, by `namespace/name`. `None` until the agent has programmed what it has listed.
    pub services: Option<BTreeMap<String, BTreeMap<String, String>>>,
}

/// [`LabelReport`], made of the texts that the agent keeps.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Body<'a> {
    instance: &'a str,
    services: Option<BTreeMap<&'a str, &'a RawValue>>,
}

/// The source of the document.
#[derive(Clone)]
pub(super) struct LabelPage {
    instance: String,
    status: watch::Receiver<Status>,
}

impl LabelPage {
    pub(super) fn new(scraped: &Scraped) -> Self {
        Self { instance: scraped.identity.instance.clone(), status: scraped.status.clone() }
    }

    /// Responds with the document.
    pub(super) fn response(&self) -> HttpResponse {
        // With very many Services it may take a while.
        block_in_place(|| response(&self.instance, &self.status))
    }
}

fn response(instance: &str, status: &watch::Receiver<Status>) -> HttpResponse {
    let all = {
        let status = status.borrow();
        (status.generation != 0).then(|| status.labels.all())
    };
    let services = all.as_ref().map(|all| all.iter().filter_map(|(name, labels)| Some((&**name, raw(labels)?))));
    json(StatusCode::OK, &Body { instance, services: services.map(Iterator::collect) })
}

/// Returns JSON as it is, to be put into a document.
fn raw(json: &str) -> Option<&RawValue> {
    serde_json::from_str(json).ok()
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt as _;

    use super::*;
    use crate::{
        agent::labels::ServiceLabels,
        objects::{Event, Object, Service},
    };

    async fn report(status: Status) -> LabelReport {
        let (_sender, receiver) = watch::channel(status);
        let body = response("lab", &receiver).into_body().collect().await.unwrap().to_bytes();
        serde_json::from_slice(&body).unwrap()
    }

    #[tokio::test]
    async fn labels_are_unknown_until_something_is_programmed() {
        let labels = ServiceLabels::default();
        let mut service = Service::default();
        service.metadata.namespace = Some("shop".to_owned());
        service.metadata.name = Some("web".to_owned());
        service.metadata.labels = Some([("app".to_owned(), "web".to_owned())].into());
        service.spec.cluster_ip = Some("10.96.0.10".to_owned());
        labels.note(&Event::Applied(Box::new(Object::Service(service))));
        let status = Status { labels, ..Status::new() };
        assert_eq!(report(status.clone()).await, LabelReport { instance: "lab".to_owned(), services: None });
        let labels = BTreeMap::from([("app".to_owned(), "web".to_owned())]);
        let services = Some([("shop/web".to_owned(), labels)].into());
        let expected = LabelReport { instance: "lab".to_owned(), services };
        assert_eq!(report(Status { generation: 1, ..status }).await, expected);
    }
}
