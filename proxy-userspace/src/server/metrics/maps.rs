//! Metrics that are read from the maps.

use std::fmt;

use aya::{
    maps::{MapData, PerCpuArray},
    util::nr_cpus,
};
use proxy_common::{ABI_VERSION, Counter, MAPS, Outcome, Protocol, ServiceCounters, SizedBy, State};

use super::{
    Sources,
    counted::Counted,
    page::{Page, whole},
};
use crate::{
    agent::status::Status,
    config::MapSizes,
    desired::{Family, PortId},
    maps::{self, census::per_element, counters, layouts, open_read_only},
};

const PROTOCOLS: [Protocol; 3] = [Protocol::Tcp, Protocol::Udp, Protocol::Sctp];

/// kube-proxy's label for the family.
const fn label(family: Family) -> &'static str {
    match family {
        Family::Ipv4 => "IPv4",
        Family::Ipv6 => "IPv6",
    }
}

impl Sources {
    /// Writes the metrics that need the maps. Maps of another ABI version are not read: their metrics have no series.
    pub(super) fn write_maps(&self, page: &mut Page<'_>, status: &Status) -> fmt::Result {
        let folder = &self.scraped.folder;
        let is_readable = self.or_nothing(status, maps::abi(folder)) == ABI_VERSION;
        let counters = is_readable.then(|| open_read_only(folder, "COUNTERS"));
        reasons(page, counters.map(|opened| self.or_nothing(status, opened.map(Some))).unwrap_or_default().as_ref())?;
        let (limit, ports) = (self.scraped.limits.services, status.size.ports);
        let services = is_readable.then(|| counters::of_services(folder, limit, ports));
        let services = services.map(|read| self.or_nothing(status, read)).unwrap_or_default();
        page.gauge(
            "waggle_service_ports_without_series",
            "Service ports in force without series of their own (--metrics-services)",
            whole(ports.saturating_sub(services.len()) as u64),
        )?;
        of_services(page, &services)?;
        let counted = if is_readable { self.counted(status) } else { None };
        entries(page, status, counted.as_ref())?;
        limits(page, &self.scraped.map_limits)?;
        flows(page, counted.as_ref())?;
        source_ports(page, counted.as_ref())
    }

    /// Returns the last count if it is fresh, otherwise counts again. `None` if the maps can't be read.
    fn counted(&self, status: &Status) -> Option<Counted> {
        let counted = self.count.get(&self.scraped.folder, self.scraped.limits.backends);
        self.or_nothing(status, counted.map(Some))
    }
}

/// Writes what the programs count by reason.
fn reasons(page: &mut Page<'_>, counters: Option<&PerCpuArray<MapData, u64>>) -> fmt::Result {
    let read = |counter: Counter| {
        let values = counters.and_then(|counters| counters.get(&(counter as u32), 0).ok())?;
        Some(([("reason", counter.label().1)], values.iter().sum::<u64>()))
    };
    let mut of = |outcome: Outcome, name, help| {
        page.counters(
            name,
            help,
            Counter::ALL.into_iter().filter(|counter| counter.label().0 == outcome).filter_map(read),
        )
    };
    of(Outcome::Rejected, "waggle_rejected", "Packets and system calls that were rejected, by reason")?;
    of(Outcome::Dropped, "waggle_dropped", "Packets and system calls that were dropped, by reason")?;
    of(Outcome::Done, "waggle_events", "Other events that the programs count, by kind")
}

fn of_services(page: &mut Page<'_>, services: &[(PortId, ServiceCounters)]) -> fmt::Result {
    let mut of = |name, help, value: fn(&ServiceCounters) -> u64| {
        let series = services.iter().map(|(id, counters)| {
            let labels = [
                ("namespace", id.service.namespace.to_string()),
                ("service", id.service.name.to_string()),
                ("port", id.port.name.to_string()),
                ("protocol", id.port.protocol.name().to_owned()),
                ("ip_family", label(id.port.family).to_owned()),
            ];
            (labels, value(counters))
        });
        page.counters(name, help, series)
    };
    of("waggle_service_connections", "Connections and flows sent to a backend of the service port", |counters| {
        counters.connections
    })?;
    of(
        "waggle_service_packets",
        "Packets translated for the service port, not those that sockets send to it",
        |counters| counters.packets,
    )?;
    of("waggle_service_bytes", "Bytes of the packets translated for the service port", |counters| counters.bytes)
}

/// Writes how full the maps are.
fn entries(page: &mut Page<'_>, status: &Status, counted: Option<&Counted>) -> fmt::Result {
    let known = status.usage.into_iter().filter(|(map, _)| !map.is_empty());
    let census = counted.map(|counted| &counted.census);
    let counted_entries = census.into_iter().flat_map(|census| census.entries.iter().copied());
    page.gauges(
        "waggle_map_entries",
        "Entries of a map. Maps that programs write are counted every ten seconds, or every hundred times as long as counting \
         takes, if that is longer; LRU maps may be full of entries that have expired",
        known.chain(counted_entries).map(|(map, entries)| ([("map", map)], whole(entries))),
    )?;
    let capacities = census.into_iter().flat_map(|census| census.capacities.iter().copied());
    page.gauges(
        "waggle_map_max_entries",
        "The most entries that a map can hold",
        capacities.map(|(map, entries)| ([("map", map)], f64::from(entries))),
    )?;
    let took = counted.map(|counted| ([("part", "maps")], counted.took.as_secs_f64()));
    page.gauges("waggle_count_duration_seconds", "How long the last count of map entries took", took)
}

/// How large maps may become that flags limit, whether they grow or not.
fn limits(page: &mut Page<'_>, limits: &MapSizes) -> fmt::Result {
    let largest = layouts(limits, nr_cpus().unwrap_or(1));
    let limited = MAPS.iter().zip(largest).filter(|(map, _)| map.sized_by != SizedBy::Nothing);
    let series = limited.map(|(map, largest)| {
        let entries = f64::from(largest.max_entries) * f64::from(per_element(map.name));
        ([("map", map.name)], entries)
    });
    page.gauges(
        "waggle_map_limit_entries",
        "Entries that a map may get room for: it grows by itself until then, and a flag (--max-...) sets this limit",
        series,
    )
}

fn flows(page: &mut Page<'_>, counted: Option<&Counted>) -> fmt::Result {
    let all = Family::BOTH.into_iter().flat_map(|family| {
        PROTOCOLS.into_iter().flat_map(move |protocol| State::ALL.map(|state| (family, protocol, state)))
    });
    let series = counted.into_iter().flat_map(|counted| {
        all.clone().map(|(family, protocol, state)| {
            let labels = [("ip_family", label(family)), ("protocol", protocol.name()), ("state", state.label())];
            let count = counted.census.flows.get(&(family, protocol, state as u8)).copied().unwrap_or(0);
            (labels, whole(count))
        })
    });
    page.gauges(
        "waggle_flows",
        "Flows of packets that have not expired, by state; a foreign flow may count once for each direction. Counted as \
         often as waggle_map_entries",
        series,
    )
}

/// Writes how hard it is to find source ports.
fn source_ports(page: &mut Page<'_>, counted: Option<&Counted>) -> fmt::Result {
    let others = counted.map_or(0, |counted| counted.other_backends);
    page.gauge(
        "waggle_backends_without_series",
        "Backends with flows from source ports of this node, but without series of their own (--metrics-backends)",
        whole(others as u64),
    )?;
    let backends = counted.map(|counted| counted.backends.as_slice()).unwrap_or_default();
    let labels = |backend: &std::net::SocketAddr| [("backend", backend.to_string())];
    page.counters(
        "waggle_backend_source_port_flows",
        "Flows to the backend that were given a source port of this node",
        backends.iter().map(|(backend, counters)| (labels(backend), counters.flows)),
    )?;
    page.counters(
        "waggle_backend_source_port_collisions",
        "Source ports that were tried for flows to the backend but taken by other flows",
        backends.iter().map(|(backend, counters)| (labels(backend), counters.taken)),
    )?;
    page.counters(
        "waggle_backend_source_port_exhausted",
        "Flows to the backend that were dropped because every source port tried was taken",
        backends.iter().map(|(backend, counters)| (labels(backend), counters.exhausted)),
    )
}
