//! `/labels`: the labels of the Services that the agent serves, as one JSON document. `waggle get` and `waggle top` ask for it
//! where they select by labels or show them, since the maps have none. They ask again and again: the entity tag (RFC 9110, 8.8.3)
//! of the labels that they have avoids sending the document again while nothing changes.

use std::collections::BTreeMap;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use serde::{Deserialize, Serialize};
use tokio::{sync::watch, task::block_in_place};

use super::{
    listener::HttpResponse,
    respond::{JSON, text},
    scraped::Scraped,
};
use crate::agent::{
    labels::{Document, ServiceLabels},
    status::Status,
};

/// The path of the document.
pub const PATH: &str = "/labels";

/// The document.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LabelReport {
    /// The name of the instance.
    pub instance: String,
    /// The labels of each Service that is served, by `namespace/name`: empty for one without labels. `None` until the agent has
    /// programmed what it has listed.
    pub services: Option<BTreeMap<String, BTreeMap<String, String>>>,
}

/// [`LabelReport`], made of the texts that the agent keeps.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Body<'a> {
    instance: &'a str,
    services: Option<&'a ServiceLabels>,
}

/// The source of the document.
#[derive(Clone)]
pub(super) struct LabelPage {
    instance: String,
    status: watch::Receiver<Status>,
    labels: ServiceLabels,
}

impl LabelPage {
    pub(super) fn new(scraped: &Scraped) -> Self {
        Self {
            instance: scraped.identity.instance.clone(),
            status: scraped.status.clone(),
            labels: scraped.labels.clone(),
        }
    }

    /// Responds with the document, or with 304 if the client has it.
    pub(super) fn response(&self, request: &HeaderMap) -> HttpResponse {
        // With very many Services it may take a while.
        let Document { body, hash } = block_in_place(|| self.document());
        let tag = HeaderValue::try_from(format!("\"{hash:016x}\"")).ok();
        let has_it = tag.is_some() && request.get(header::IF_NONE_MATCH) == tag.as_ref();
        let mut response =
            if has_it { text(StatusCode::NOT_MODIFIED, JSON, Bytes::new()) } else { text(StatusCode::OK, JSON, body) };
        response.headers_mut().extend(tag.map(|tag| (header::ETAG, tag)));
        response
    }

    fn document(&self) -> Document {
        let is_programmed = self.status.borrow().generation != 0;
        if is_programmed {
            self.labels.document(|| self.make(Some(&self.labels)))
        } else {
            Document::new(self.make(None))
        }
    }

    fn make(&self, services: Option<&ServiceLabels>) -> Bytes {
        // Serializing can't fail: all keys are strings.
        let body = serde_json::to_vec(&Body { instance: &self.instance, services }).unwrap_or_default();
        // The body may be kept for long, so the vector's spare capacity is dropped.
        body.into_boxed_slice().into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::objects::{Event, Object, Service};

    fn served(name: &str, labels: BTreeMap<String, String>) -> Event {
        let mut service = Service::default();
        service.metadata.namespace = Some("shop".to_owned());
        service.metadata.name = Some(name.to_owned());
        service.metadata.labels = Some(labels);
        service.spec.cluster_ip = Some("10.96.0.10".to_owned());
        Event::Applied(Box::new(Object::Service(service)))
    }

    #[test]
    fn labels_are_unknown_until_something_is_programmed() {
        let (sender, status) = watch::channel(Status::new());
        let page = LabelPage { instance: "lab".to_owned(), status, labels: ServiceLabels::default() };
        let report = || serde_json::from_slice::<LabelReport>(&page.document().body).unwrap();
        let app = BTreeMap::from([("app".to_owned(), "web".to_owned())]);
        page.labels.note(&served("web", app.clone()));
        assert_eq!(report(), LabelReport { instance: "lab".to_owned(), services: None });
        sender.send_modify(|status| status.generation = 1);
        let mut services = BTreeMap::from([("shop/web".to_owned(), app)]);
        assert_eq!(report(), LabelReport { instance: "lab".to_owned(), services: Some(services.clone()) });
        page.labels.note(&served("bare", BTreeMap::new()));
        services.insert("shop/bare".to_owned(), BTreeMap::new());
        assert_eq!(report(), LabelReport { instance: "lab".to_owned(), services: Some(services) });
    }

    #[test]
    fn a_client_that_has_the_labels_does_not_get_them_again() {
        let (sender, status) = watch::channel(Status::new());
        sender.send_modify(|status| status.generation = 1);
        let page = LabelPage { instance: "lab".to_owned(), status, labels: ServiceLabels::default() };
        let ask = |tag: Option<&HeaderValue>| {
            let request = tag.map(|tag| (header::IF_NONE_MATCH, tag.clone())).into_iter().collect();
            let response = page.response(&request);
            (response.status(), response.headers()[header::ETAG].clone())
        };
        let (code, empty) = ask(None);
        assert_eq!(code, StatusCode::OK);
        assert_eq!(ask(Some(&empty)), (StatusCode::NOT_MODIFIED, empty.clone()));
        page.labels.note(&served("web", BTreeMap::new()));
        let (code, with_web) = ask(Some(&empty));
        assert_eq!(code, StatusCode::OK);
        assert_eq!(ask(Some(&with_web)), (StatusCode::NOT_MODIFIED, with_web.clone()));
    }
}
