//! Metrics of the agent's requests to the API server. With a folder of manifests they have no series.

use std::{fmt, time::Instant};

use super::page::Page;
use crate::{agent::status::Status, objects::Kind, watch::contact::Contact};

/// Writes how the agent follows the API server.
pub(super) fn write(page: &mut Page<'_>, status: &Status) -> fmt::Result {
    let now = Instant::now();
    let by_kind = || Kind::ALL.into_iter().filter_map(|kind| status.contact.as_ref().map(|contact| (kind, contact)));
    page.gauges(
        "waggle_watch_age_seconds",
        "Seconds since the API server last sent anything for a kind of objects; refused requests don't count. A watch of objects \
         that never change is silent for up to five minutes",
        ["kind"],
        by_kind().map(|(kind, contact)| ([kind.to_string()], contact.age(kind, now).as_secs_f64())),
    )?;
    page.counters(
        "waggle_lists",
        "How often all objects of a kind were listed: once at the start, and again whenever a watch could not be resumed",
        ["kind"],
        by_kind().map(|(kind, contact)| ([kind.to_string()], contact.lists(kind))),
    )
}

/// Writes the requests, by client-go's name.
pub(super) fn requests(page: &mut Page<'_>, status: &Status) -> fmt::Result {
    let responses = status.contact.as_ref().map(Contact::responses).unwrap_or_default();
    let responses = responses.into_iter().map(|(code, count)| {
        let code = code.map_or_else(|| "<error>".to_owned(), |code| code.to_string());
        ([code, "GET".to_owned()], count)
    });
    page.counters(
        "rest_client_requests",
        "Requests to the API server for lists and watches, by the code of the response, or <error> where no response came. Events \
         are not counted",
        ["code", "method"],
        responses,
    )
}
