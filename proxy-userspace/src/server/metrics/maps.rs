//! Metrics that are read from the maps.

use std::fmt;

use aya::{
    maps::{MapData, PerCpuArray},
    util::nr_cpus,
};
use proxy_common::{ABI_VERSION, Counter, MAPS, Outcome, Protocol, SizedBy, State};

use super::{
    IP_FAMILY, Sources,
    counted::Counted,
    page::{Page, whole},
};
use crate::{
    agent::status::Status,
    config::MapSizes,
    desired::Family,
    maps::{self, census::per_element, layouts, open_read_only},
};

const PROTOCOLS: [Protocol; 3] = [Protocol::Tcp, Protocol::Udp, Protocol::Sctp];

/// Returns kube-proxy's label for the family.
pub(super) const fn ip_family(family: Family) -> &'static str {
    match family {
        Family::Ipv4 => "IPv4",
        Family::Ipv6 => "IPv6",
    }
}

impl Sources {
    /// Writes what the programs count, and how full the maps are.
    pub(super) fn write_maps(&self, page: &mut Page<'_>, status: &Status) -> fmt::Result {
        let counters = self.is_readable(status).then(|| open_read_only(&self.scraped.folder, "COUNTERS"));
        reasons(page, counters.map(|opened| self.or_nothing(status, opened.map(Some))).unwrap_or_default().as_ref())?;
        let counted = self.counted(status);
        flows(page, counted.as_ref())?;
        entries(page, status, counted.as_ref())?;
        limits(page, &self.scraped.map_limits)?;
        let took = counted.map(|counted| (["maps"], counted.took.as_secs_f64()));
        page.gauges("waggle_count_duration_seconds", "Seconds that the last count of map entries took", ["part"], took)
    }

    /// Whether the maps can be read. Those of another ABI version are not: their metrics have no series.
    pub(super) fn is_readable(&self, status: &Status) -> bool {
        self.or_nothing(status, maps::abi(&self.scraped.folder)) == ABI_VERSION
    }

    /// Returns the last count if it is fresh, otherwise counts again. `None` if the maps can't be read.
    pub(super) fn counted(&self, status: &Status) -> Option<Counted> {
        if !self.is_readable(status) {
            return None;
        }
        let counted = self.count.get(&self.scraped.folder, self.scraped.limits.backends);
        self.or_nothing(status, counted.map(Some))
    }
}

/// Writes what the programs count by reason.
fn reasons(page: &mut Page<'_>, counters: Option<&PerCpuArray<MapData, u64>>) -> fmt::Result {
    let read = |counter: Counter| {
        let values = counters.and_then(|counters| counters.get(&(counter as u32), 0).ok())?;
        Some(([counter.label().1], values.iter().sum::<u64>()))
    };
    let mut of = |outcome: Outcome, name, help| {
        let counters = Counter::ALL.into_iter().filter(|counter| counter.label().0 == outcome);
        page.counters(name, help, ["reason"], counters.filter_map(read))
    };
    of(
        Outcome::Rejected,
        "waggle_rejected",
        "Packets and system calls that were rejected: refused with an error that the client sees at once",
    )?;
    of(
        Outcome::Dropped,
        "waggle_dropped",
        "Packets and system calls that were dropped: packets without a reply, calls as unreachable",
    )?;
    of(Outcome::Done, "waggle_events", "What else the programs count; none of it is a refusal")
}

/// Writes how full the maps are.
fn entries(page: &mut Page<'_>, status: &Status, counted: Option<&Counted>) -> fmt::Result {
    let known = status.usage.into_iter().filter(|(map, _)| !map.is_empty());
    let census = counted.map(|counted| &counted.census);
    let counted_entries = census.into_iter().flat_map(|census| census.entries.iter().copied());
    page.gauges(
        "waggle_map_entries",
        "Entries of a map, where the number varies. Maps that programs write are counted every ten seconds, or every hundred \
         times as long as counting takes, if that is longer; LRU maps may be full of entries that have expired",
        ["map"],
        known.chain(counted_entries).map(|(map, entries)| ([map], whole(entries))),
    )?;
    let capacities = census.into_iter().flat_map(|census| census.capacities.iter().copied());
    page.gauges(
        "waggle_map_max_entries",
        "The most entries that a map can hold at its present size; of SOCKET_CONNECTIONS: sockets",
        ["map"],
        capacities.map(|(map, entries)| ([map], f64::from(entries))),
    )
}

/// How large maps may become that flags limit, whether they grow or not.
fn limits(page: &mut Page<'_>, limits: &MapSizes) -> fmt::Result {
    let largest = layouts(limits, nr_cpus().unwrap_or(1));
    let limited = MAPS.iter().zip(largest).filter(|(map, _)| map.sized_by != SizedBy::Nothing);
    let series = limited.map(|(map, largest)| {
        let entries = f64::from(largest.max_entries) * f64::from(per_element(map.name));
        ([map.name], entries)
    });
    page.gauges(
        "waggle_map_limit_entries",
        "The most entries that a map gets room for: it grows by itself until then. Its flag --max-… sets the limit; the kernel \
         may give an LRU map a little more",
        ["map"],
        series,
    )
}

fn flows(page: &mut Page<'_>, counted: Option<&Counted>) -> fmt::Result {
    let all = Family::BOTH.into_iter().flat_map(|family| {
        PROTOCOLS.into_iter().flat_map(move |protocol| State::ALL.map(|state| (family, protocol, state)))
    });
    let series = counted.into_iter().flat_map(|counted| {
        all.clone().map(|(family, protocol, state)| {
            let count = counted.census.flows.get(&(family, protocol, state as u8)).copied().unwrap_or(0);
            ([ip_family(family), protocol.name(), state.label()], whole(count))
        })
    });
    page.gauges(
        "waggle_flows",
        "Flows of packets that have not expired; those of state=foreign are not translated, and may count once for each \
         direction. Counted as often as waggle_map_entries",
        [IP_FAMILY, "protocol", "state"],
        series,
    )
}
