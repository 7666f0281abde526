//! `waggle explain --object`: how each frontend of a Service is served. Pure.

use proxy_common::{Counter, DropReason, RejectReason};
use serde::Serialize;

use super::{
    dialled::is_of,
    question::{QuestionError, ServiceRef},
    wrap::{Topic, columns},
};
use crate::{
    commands::get::{ListCell, ServiceRow, Snapshot, SourcesCell, services, services::duration},
    maps::encode,
};

/// A Service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ObjectReport {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub service: String,
    /// Its frontends in force.
    pub frontends: Vec<FrontendReport>,
    /// Its ports that have no frontend in force.
    pub ports_without_frontend: Vec<String>,
}

/// A frontend.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct FrontendReport {
    /// `ClusterIP`, `NodePort`, `ExternalIP` or `LoadBalancer`.
    pub r#type: String,
    /// Address and port; a node port is `*:PORT` (IPv4) or `[*]:PORT` (IPv6).
    pub address: String,
    /// `TCP`, `UDP` or `SCTP`.
    pub protocol: String,
    /// The port's name; empty for an unnamed port.
    pub port: String,
    /// When the port's backends or source ranges last changed, in RFC 3339; `None` if that is not known.
    pub changed: Option<String>,
    /// How clients on this node are served.
    pub clients_here: ListReport,
    /// How clients outside are served.
    pub clients_outside: ListReport,
    /// The timeout of session affinity in seconds; 0 means no affinity.
    pub affinity_seconds: u32,
    /// The clients that are admitted; `None` if all are.
    pub sources: Option<SourcesCell>,
}

/// How some clients of a frontend are served.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ListReport {
    /// The list that they get: `Cluster` or `Local`.
    pub list: &'static str,
    /// The backends in it.
    pub backends: Vec<String>,
    /// Why new connections are refused, as in `waggle get drops`; `None` if they are not.
    pub refusal: Option<&'static str>,
    /// That reason in words.
    pub meaning: Option<&'static str>,
}

/// Returns how a Service is served.
pub fn object(snapshot: &Snapshot, service: &ServiceRef) -> Result<ObjectReport, QuestionError> {
    if !snapshot.names.keys().any(|id| is_of(snapshot, *id, service)) {
        return Err(QuestionError::UnknownService(service.to_string()));
    }
    let rows = services(snapshot).into_iter();
    let own =
        rows.filter(|row| row.service_port.namespace == service.namespace && row.service_port.name == service.name);
    Ok(ObjectReport {
        namespace: service.namespace.clone(),
        service: service.name.clone(),
        frontends: own.map(frontend).collect(),
        ports_without_frontend: ports_without_frontend(snapshot, service),
    })
}

/// The ports of a Service that have an id and no frontend.
fn ports_without_frontend(snapshot: &Snapshot, service: &ServiceRef) -> Vec<String> {
    let is_without = |id: &u32| !snapshot.services.values().any(|found| found.id == *id);
    let own = snapshot.names.iter().filter(|(id, _)| is_of(snapshot, **id, service) && is_without(id));
    let describe = |port: crate::desired::PortId| {
        let name = if port.port.name.is_empty() { "unnamed" } else { &*port.port.name };
        format!("{name} ({}, IPv{})", port.port.protocol, port.port.family.number())
    };
    own.filter_map(|(_, name)| encode::port_id(name)).map(describe).collect()
}

fn frontend(row: ServiceRow) -> FrontendReport {
    let empty = if row.when_empty == "drops" {
        DropReason::NoLocalBackend.counter()
    } else {
        RejectReason::NoBackend.counter()
    };
    FrontendReport {
        r#type: row.r#type,
        address: row.address,
        protocol: row.service_port.protocol,
        port: row.service_port.port,
        changed: row.changed,
        clients_here: list(row.internal, empty),
        clients_outside: list(row.external, empty),
        affinity_seconds: row.affinity_seconds,
        sources: row.sources,
    }
}

fn list(cell: ListCell, empty: Counter) -> ListReport {
    let refusal = match (cell.backends.is_empty(), cell.damaged) {
        (false, _) => None,
        (true, 0) => Some(empty),
        (true, _) => Some(DropReason::MissingBackend.counter()),
    };
    ListReport {
        list: cell.policy,
        backends: cell.backends,
        refusal: refusal.map(|counter| counter.label().1),
        meaning: refusal.map(Counter::meaning),
    }
}

/// Formats a Service for people. Every line ends with a newline.
pub fn text(report: &ObjectReport) -> String {
    let mut parts = vec![format!("Service {}/{}\n", report.namespace, report.service)];
    for (number, frontend) in (1..).zip(&report.frontends) {
        let FrontendReport { r#type, address, protocol, port, changed, .. } = frontend;
        let port = if port.is_empty() { String::new() } else { format!(", port {port}") };
        let since = changed.as_ref().map(|time| format!(", unchanged since {time}")).unwrap_or_default();
        parts.push(format!("{number:2}  {type} {address}/{protocol}{port}: programmed{since}\n"));
        parts.push(columns(&of_frontend(frontend)));
    }
    let lost = "has no frontend in force: other Services have its addresses, or a map is full";
    parts.extend(report.ports_without_frontend.iter().map(|port| format!("    port {port} {lost}\n")));
    parts.concat()
}

fn of_frontend(frontend: &FrontendReport) -> Vec<Topic> {
    let topic = |name: &str, line: String| Topic { name: format!("    {name}"), lines: vec![line] };
    let (here, outside) = (&frontend.clients_here, &frontend.clients_outside);
    let mut topics = if here == outside {
        vec![topic("all clients", of_list(here))]
    } else {
        vec![topic("clients here", of_list(here)), topic("clients outside", of_list(outside))]
    };
    if frontend.affinity_seconds != 0 {
        let line = format!("a client keeps its backend for {} (S24)", duration(frontend.affinity_seconds));
        topics.push(topic("affinity", line));
    }
    topics.extend(frontend.sources.as_ref().map(|sources| topic("admitted", of_sources(sources))));
    topics
}

fn of_list(list: &ListReport) -> String {
    match (list.refusal, list.meaning) {
        (Some(reason), Some(meaning)) => format!("{} list, which is empty: refused, {reason}: {meaning}", list.list),
        _ => format!("{} list: {}", list.list, list.backends.join(", ")),
    }
}

fn of_sources(sources: &SourcesCell) -> String {
    let ranges = if sources.ranges.is_empty() { "no client".to_owned() } else { sources.ranges.join(", ") };
    let word = |admitted| if admitted { "yes" } else { "no" };
    format!("{ranges}; this node: {}, its pods: {} (S21)", word(sources.node), word(sources.pods))
}
