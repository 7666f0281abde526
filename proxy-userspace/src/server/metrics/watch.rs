//! Metrics of the agent's requests to the API server. With a folder of manifests they have no series.

use std::{fmt, time::Instant};

use super::page::Page;
use crate::{agent::status::Status, objects::Kind, watch::contact::Contact};

pub(super) fn write(page: &mut Page<'_>, status: &Status) -> fmt::Result {
    let now = Instant::now();
    let by_kind = || Kind::ALL.into_iter().filter_map(|kind| status.contact.as_ref().map(|contact| (kind, contact)));
    let label = |kind: Kind| [("kind", kind.to_string())];
    page.gauges(
        "waggle_watch_age_seconds",
        "Seconds since the API server last sent anything for the kind of objects. A watch of objects that never change is silent \
         for up to five minutes",
        by_kind().map(|(kind, contact)| (label(kind), contact.age(kind, now).as_secs_f64())),
    )?;
    page.counters(
        "waggle_lists",
        "How often all objects of the kind were listed: once at the start, and again whenever a watch could not be resumed",
        by_kind().map(|(kind, contact)| (label(kind), contact.lists(kind))),
    )?;
    let responses = status.contact.as_ref().map(Contact::responses).unwrap_or_default();
    let responses = responses.into_iter().map(|(code, count)| {
        let code = code.map_or_else(|| "<error>".to_owned(), |code| code.to_string());
        ([("code", code), ("method", "GET".to_owned())], count)
    });
    page.counters("rest_client_requests", "Requests to the API server, by the code of the response", responses)
}
