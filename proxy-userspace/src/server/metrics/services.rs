//! Metrics of Services and backends, which are read from the maps.

use std::{fmt, net::SocketAddr};

use proxy_common::{BackendCounters, ServiceCounters};

use super::{
    IP_FAMILY, Sources,
    counted::Counted,
    maps::ip_family,
    page::{Page, whole},
};
use crate::{agent::status::Status, desired::PortId, maps::counters};

impl Sources {
    /// Writes the metrics of Services and backends.
    pub(super) fn write_services(&self, page: &mut Page<'_>, status: &Status) -> fmt::Result {
        let (limit, ports) = (self.scraped.limits.services, status.size.ports);
        let read = self.is_readable(status).then(|| counters::of_services(&self.scraped.folder, limit, ports));
        let services = read.map(|read| self.or_nothing(status, read)).unwrap_or_default();
        of_services(page, &services)?;
        page.gauge(
            "waggle_service_ports_without_series",
            "Service ports in force that have no series of their own, because there are more than --metrics-services",
            whole(ports.saturating_sub(services.len()) as u64),
        )?;
        source_ports(page, self.counted(status).as_ref())
    }
}

fn of_services(page: &mut Page<'_>, services: &[(PortId, ServiceCounters)]) -> fmt::Result {
    let mut of = |name, help, value: fn(&ServiceCounters) -> u64| {
        let series = services.iter().map(|(id, counters)| {
            let labels = [
                id.service.namespace.to_string(),
                id.service.name.to_string(),
                id.port.name.to_string(),
                id.port.protocol.name().to_owned(),
                ip_family(id.port.family).to_owned(),
            ];
            (labels, value(counters))
        });
        page.counters(name, help, ["namespace", "service", "port", "protocol", IP_FAMILY], series)
    };
    of(
        "waggle_service_connections",
        "Connections and flows that were sent to a backend of the service port",
        |counters| counters.connections,
    )?;
    of(
        "waggle_service_packets",
        "Packets that were translated for the service port. Sockets translate none: what processes on the node send is not in it",
        |counters| counters.packets,
    )?;
    of(
        "waggle_service_bytes",
        "Bytes of the packets that were translated for the service port, from the Ethernet header on",
        |counters| counters.bytes,
    )
}

/// Writes how hard it is to find source ports.
fn source_ports(page: &mut Page<'_>, counted: Option<&Counted>) -> fmt::Result {
    let backends = counted.map(|counted| counted.backends.as_slice()).unwrap_or_default();
    let mut of = |name, help, value: fn(&BackendCounters) -> u64| {
        let series = backends.iter().map(|(backend, counters)| ([SocketAddr::to_string(backend)], value(counters)));
        page.counters(name, help, ["backend"], series)
    };
    of(
        "waggle_backend_source_port_flows",
        "Flows to the backend (address and port) that were given a source port of this node",
        |counters| counters.flows,
    )?;
    of(
        "waggle_backend_source_port_collisions",
        "Source ports that were tried for flows to the backend but taken by other flows: this rises long before ports run out",
        |counters| counters.taken,
    )?;
    of(
        "waggle_backend_source_port_exhausted",
        "Flows to the backend that were dropped because every source port tried was taken",
        |counters| counters.exhausted,
    )?;
    let others = counted.map_or(0, |counted| counted.other_backends);
    page.gauge(
        "waggle_backends_without_series",
        "Backends with flows from source ports of this node that have no series of their own, because there are more than \
         --metrics-backends",
        whole(others as u64),
    )
}
