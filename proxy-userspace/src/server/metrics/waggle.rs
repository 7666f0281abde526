//! Metrics of the agent's own state.

use std::{fmt, time::Instant};

use super::page::{Page, whole};
use crate::{agent::status::Status, objects::Kind};

pub(super) fn write(page: &mut Page<'_>, status: &Status) -> fmt::Result {
    let build = [([env!("CARGO_PKG_VERSION")], 1.0)];
    page.gauges("waggle_build_info", "1, with the version of the agent", ["version"], build)?;
    health(page, status)?;
    skipped(page, status)?;
    let size = &status.size;
    page.gauge("waggle_services", "Services in force", whole(size.services as u64))?;
    page.gauge(
        "waggle_service_ports",
        "Service ports in force; one of both families counts twice",
        whole(size.ports as u64),
    )?;
    page.gauge(
        "waggle_frontends",
        "Addresses and ports that lead to the Services in force",
        whole(size.frontends as u64),
    )?;
    page.gauge("waggle_backends", "Backends in force", whole(size.backends as u64))?;
    page.counter("waggle_plans", "Plans that have been written", status.generation)?;
    page.histograms(
        "waggle_programming_duration_seconds",
        "Seconds that each phase of a plan took: model (from events to what the cluster wants), plan (the difference to what is \
         in force), and apply (writing the difference)",
        "phase",
        ["model", "plan", "apply"].into_iter().zip(&status.durations.phases),
    )
}

/// Writes whether the node is served.
fn health(page: &mut Page<'_>, status: &Status) -> fmt::Result {
    let healthy = status.problems(Instant::now()).is_empty();
    page.gauge("waggle_healthy", "1 if /livez responds 200, else 0", f64::from(u8::from(healthy)))?;
    page.gauge(
        "waggle_node_eligible",
        "1 if load balancers may send packets to the node, 0 if its Node object is about to be removed",
        f64::from(u8::from(status.eligible)),
    )?;
    let degraded: usize = status.refused.values().map(|refused| refused.parts).sum();
    page.gauge(
        "waggle_degraded",
        "Services and networks of which a part is not in force, because a map is full or a write fails",
        whole(degraded as u64),
    )?;
    page.gauge(
        "waggle_hooks_missing",
        "Hooks of the cgroup, and devices that should be served for clients outside, that do not have their programs",
        whole(status.missing.count() as u64),
    )?;
    page.gauge(
        "waggle_pod_devices_missing",
        "Devices of pods (--pod-interfaces, and those that SCTP needs) that should be served but do not have their programs. The \
         log names them; they make no node unhealthy",
        whole(status.missing.pods() as u64),
    )
}

fn skipped(page: &mut Page<'_>, status: &Status) -> fmt::Result {
    let labels = |kind: Kind, part: &str| [kind.to_string(), part.to_owned()];
    let count = |kind| status.skipped.get(&kind).copied().unwrap_or(0) as u64;
    let fields = Kind::ALL.into_iter().map(|kind| (labels(kind, "field"), count(kind)));
    let objects = status
        .contact
        .iter()
        .flat_map(|contact| Kind::ALL.into_iter().map(move |kind| (labels(kind, "object"), contact.unreadable(kind))));
    page.gauges(
        "waggle_skipped",
        "What is not served of objects of a kind. With part=field: ports, addresses and other fields that are malformed, refused \
         or another Service's (S6, S7); the rest of the object is served. With part=object: whole objects that can't be read; \
         their last readable content is served",
        ["kind", "part"],
        fields.chain(objects).map(|(labels, count)| (labels, whole(count))),
    )
}
