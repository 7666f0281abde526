//! `waggle get services`: one row for each frontend. Pure.

use std::net::IpAddr;

use proxy_common::{Address, Frontend, FrontendKind, List, Service, SlotRange, Verdict};
use serde::Serialize;

use super::{Name, Snapshot, labels::Labels, output::Row, service_port::ServicePort};
use crate::maps::encode;

/// A frontend and its Service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ServiceRow {
    /// The service port.
    #[serde(flatten)]
    pub service_port: ServicePort,
    /// The kind of the frontend, in the words of `kubectl get services`.
    pub r#type: String,
    /// The address that clients dial. A node port is `*:PORT` (IPv4) or `[*]:PORT` (IPv6).
    pub address: String,
    /// The list that clients on this node use.
    pub internal: ListCell,
    /// The list that packets from outside use.
    pub external: ListCell,
    /// What happens to new flows while their list is empty: `rejects` or `drops` (S16).
    pub when_empty: &'static str,
    /// The timeout of session affinity in seconds; 0 means no affinity.
    pub affinity_seconds: u32,
    /// The clients that may use the frontend; `None` if all may (S21).
    pub sources: Option<SourcesCell>,
    /// Flows that got a backend through any frontend of this service port, since the port got its id.
    pub connections: u64,
    /// When the service port's backends or source ranges last changed, in RFC 3339; `None` if that is not known.
    pub changed: Option<String>,
    /// The labels of the Service; `None` unless they are to be shown.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub labels: Option<Labels>,
}

/// One of a frontend's two lists.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ListCell {
    /// `Cluster` or `Local`: the traffic policy in force.
    pub policy: &'static str,
    /// Addresses and ports of the backends.
    pub backends: Vec<String>,
    /// Slots without a backend, which means that the maps are damaged.
    pub damaged: u32,
}

/// The clients that may use a load-balancer IP.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SourcesCell {
    /// The source ranges.
    pub ranges: Vec<String>,
    /// Whether processes in the node's own network namespace may use it.
    pub node: bool,
    /// Whether all pods of this node may use it.
    pub pods: bool,
}

/// Returns the frontends by namespace, name, port, type and address.
pub fn services(snapshot: &Snapshot) -> Vec<ServiceRow> {
    let frontends = snapshot.services.iter().filter(|(frontend, _)| !is_owner(frontend));
    let mut rows: Vec<ServiceRow> = frontends.map(|(frontend, service)| row(snapshot, frontend, service)).collect();
    rows.sort_by(|a, b| order(a).cmp(&order(b)));
    rows
}

fn order(row: &ServiceRow) -> (&ServicePort, &str) {
    (&row.service_port, &row.r#type)
}

/// True if an entry only marks an address as owned and is not a frontend.
pub(crate) fn is_owner(frontend: &Frontend) -> bool {
    *frontend == Frontend::owner(frontend.address)
}

fn row(snapshot: &Snapshot, frontend: &Frontend, service: &Service) -> ServiceRow {
    ServiceRow {
        service_port: ServicePort::new(Name::of(service.id, &snapshot.names), frontend.protocol),
        r#type: kind(service.kind),
        address: dialled(frontend),
        internal: list(snapshot, service.internal_list(), service.internal),
        external: list(snapshot, service.external_list(), service.external),
        when_empty: if matches!(service.empty_verdict(), Verdict::Drop(_)) { "drops" } else { "rejects" },
        affinity_seconds: service.affinity_timeout,
        sources: (service.flags & Service::SOURCE_RANGES != 0).then(|| SourcesCell {
            ranges: snapshot.sources.get(&service.id).into_iter().flatten().map(ToString::to_string).collect(),
            node: service.admits_socket(true),
            pods: service.admits_socket(false),
        }),
        connections: snapshot.counted.get(&service.id).map_or(0, |counted| counted.connections),
        changed: snapshot.names.get(&service.id).and_then(encode::changed).map(|at| at.to_string()),
        labels: None,
    }
}

fn list(snapshot: &Snapshot, list: List, range: SlotRange) -> ListCell {
    let found = snapshot.ids(range).filter_map(|id| snapshot.backends.get(&id));
    let backends: Vec<String> = found.map(|backend| encode::backend_address(backend).to_string()).collect();
    let found = u32::try_from(backends.len()).unwrap_or(u32::MAX);
    ListCell { policy: policy(list), backends, damaged: range.length.saturating_sub(found) }
}

/// The traffic policy that uses a list.
pub(crate) const fn policy(list: List) -> &'static str {
    match list {
        List::Cluster => "Cluster",
        List::Local => "Local",
    }
}

pub(crate) fn kind(number: u8) -> String {
    match FrontendKind::from_number(number) {
        Some(FrontendKind::ClusterIp) => "ClusterIP".to_owned(),
        Some(FrontendKind::NodePort) => "NodePort".to_owned(),
        Some(FrontendKind::ExternalIp) => "ExternalIP".to_owned(),
        Some(FrontendKind::LoadBalancer) => "LoadBalancer".to_owned(),
        Some(FrontendKind::Owner | FrontendKind::ExternalOwner) | None => format!("kind={number}"),
    }
}

fn dialled(frontend: &Frontend) -> String {
    let port = frontend.port;
    match IpAddr::from(frontend.address) {
        _ if frontend.address == Address::ANY_IPV4 => format!("*:{port}"),
        _ if frontend.address == Address::ANY_IPV6 => format!("[*]:{port}"),
        IpAddr::V4(address) => format!("{address}:{port}"),
        IpAddr::V6(address) => format!("[{address}]:{port}"),
    }
}

impl Row for ServiceRow {
    type Key = (ServicePort, String);

    const KIND: &'static str = "services";
    const WIDE: &'static [&'static str] = &["INTERNAL", "EXTERNAL", "INTERNAL BACKENDS", "EXTERNAL BACKENDS"];
    const NUMBERS: &'static [&'static str] = &["affinitySeconds", "connections"];

    fn titles() -> Vec<&'static str> {
        ServicePort::titles(&["TYPE", "ADDRESS", "BACKENDS", "AFFINITY", "SOURCES", "CONNECTIONS"])
    }

    fn fields() -> Vec<&'static str> {
        ServicePort::fields(&["type", "address", "whenEmpty", "affinitySeconds", "connections", "changed"])
    }

    fn key(&self) -> Self::Key {
        (self.service_port.clone(), self.address.clone())
    }

    fn cells(&self) -> Vec<String> {
        self.service_port.cells([
            self.r#type.clone(),
            self.address.clone(),
            self.backends(),
            duration(self.affinity_seconds),
            self.sources(),
            self.connections.to_string(),
        ])
    }

    fn wide_cells(&self) -> Vec<String> {
        let backends =
            |list: &ListCell| if list.backends.is_empty() { "-".to_owned() } else { list.backends.join(",") };
        let policies = [&self.internal, &self.external].map(|list| list.policy.to_owned());
        policies.into_iter().chain([&self.internal, &self.external].map(backends)).collect()
    }

    fn is_named(&self, name: &str) -> bool {
        self.service_port.name == name
    }

    fn is_in(&self, namespace: &str) -> bool {
        self.service_port.namespace == namespace
    }

    fn service_port(&self) -> Option<&ServicePort> {
        Some(&self.service_port)
    }

    fn set_labels(&mut self, labels: Labels) {
        self.labels = Some(labels);
    }

    fn labels(&self) -> Option<&Labels> {
        self.labels.as_ref()
    }
}

impl ServiceRow {
    /// Formats the clients that may use the frontend; `-` if all may.
    fn sources(&self) -> String {
        match &self.sources {
            None => "-".to_owned(),
            Some(sources) if sources.ranges.is_empty() => "none".to_owned(),
            Some(sources) => sources.ranges.join(","),
        }
    }

    /// Formats the number of backends, or what happens while there are none.
    fn backends(&self) -> String {
        let mut text = match (self.internal.backends.len(), self.when_empty) {
            (0, _) if self.internal.damaged != 0 => "0".to_owned(),
            (0, "drops") => "none here: drops".to_owned(),
            (0, _) => "none: rejects".to_owned(),
            (count, _) => count.to_string(),
        };
        let damaged = self.internal.damaged.max(self.external.damaged);
        let external = self.external.backends.len();
        let notes = [
            (self.external.backends != self.internal.backends).then(|| format!("{external} external")),
            (damaged != 0).then(|| format!("{damaged} damaged")),
        ];
        let notes: Vec<String> = notes.into_iter().flatten().collect();
        if !notes.is_empty() {
            text = format!("{text} ({})", notes.join(", "));
        }
        text
    }
}

/// Formats a duration as `3h`, `1h30m` or `1m30s`; `-` for zero.
pub(crate) fn duration(seconds: u32) -> String {
    let part = |count: u32, unit: &str| if count == 0 { String::new() } else { format!("{count}{unit}") };
    let text = part(seconds / 3600, "h") + &part(seconds / 60 % 60, "m") + &part(seconds % 60, "s");
    if text.is_empty() { "-".to_owned() } else { text }
}

/// Formats the time that is left of something: as [`duration`] does, and `0s` for zero.
pub(crate) fn left(seconds: u32) -> String {
    if seconds == 0 { "0s".to_owned() } else { duration(seconds) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_read_like_kubectls() {
        let texts = [0, 5, 90, 3600, 5400, 10800, 86400].map(duration);
        assert_eq!(texts, ["-", "5s", "1m30s", "1h", "1h30m", "3h", "24h"]);
    }
}
