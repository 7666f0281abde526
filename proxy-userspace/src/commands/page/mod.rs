//! The documents of the page, as `server::page` serves them. They are read from the pinned maps like the output of `waggle get`,
//! `waggle top` and `waggle explain`, and change nothing.

mod explain;
mod look;
mod picture;
mod rates;
mod refusals;
mod service;
mod services;
#[cfg(test)]
mod tests;

use http::StatusCode;
use serde::Serialize;

use self::{look::Looks, services::Asked};
use crate::{
    commands::get::{InspectError, ServicePort},
    logging::errors::Report,
    server::page::{Documents, Parameters, Refusal},
};

/// Makes the documents about one instance.
#[derive(Debug)]
pub(super) struct PageDocuments {
    instance: String,
    looks: Looks,
}

impl PageDocuments {
    pub(super) fn new(instance: &str) -> Self {
        Self { instance: instance.to_owned(), looks: Looks::new(instance) }
    }

    fn services(&self, parameters: &Parameters) -> Result<Vec<u8>, Refusal> {
        let asked = Asked::parse(parameters).map_err(|text| Refusal { code: StatusCode::BAD_REQUEST, text })?;
        self.looks.show(|look| Ok(written(&services::document(look, &asked)))).map_err(unreadable)
    }

    fn service(&self, parameters: &Parameters) -> Result<Vec<u8>, Refusal> {
        let [namespace, name, port, protocol] =
            ["namespace", "name", "port", "protocol"].map(|field| parameters.get(field).to_owned());
        let port = ServicePort { namespace, name, port, protocol };
        let document = self.looks.show(|look| {
            look.read_flows(&port)?;
            Ok(service::document(look, &port).map(|document| written(&document)))
        });
        let text = format!("nothing of {port} {} is in force, or not any more", port.protocol);
        document.map_err(unreadable)?.ok_or(Refusal { code: StatusCode::NOT_FOUND, text })
    }

    fn refusals(&self) -> Result<Vec<u8>, Refusal> {
        self.looks.show(|look| Ok(written(&refusals::document(look)))).map_err(unreadable)
    }
}

impl Documents for PageDocuments {
    fn document(&self, name: &str, parameters: &Parameters) -> Option<Result<Vec<u8>, Refusal>> {
        match name {
            "services" => Some(self.services(parameters)),
            "service" => Some(self.service(parameters)),
            "refusals" => Some(self.refusals()),
            "explain" => Some(explain::explain(&self.instance, parameters).map(|explained| written(&explained))),
            _ => None,
        }
    }
}

/// Returns a value as JSON. That can't fail: all keys are strings.
fn written(value: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(value).unwrap_or_default()
}

/// The maps can't be read now: there may be none before the first plan is in force.
#[expect(clippy::needless_pass_by_value, reason = "it is the function that map_err calls")]
fn unreadable(error: InspectError) -> Refusal {
    Refusal { code: StatusCode::SERVICE_UNAVAILABLE, text: Report(&error).to_string() }
}
