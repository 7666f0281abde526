//! Metrics of the agent's own state.

use std::{fmt, time::Instant};

use super::page::{Page, whole};
use crate::{agent::status::Status, objects::Kind};

pub(super) fn write(page: &mut Page<'_>, status: &Status) -> fmt::Result {
    let size = &status.size;
    let build = [("version", env!("CARGO_PKG_VERSION"))];
    page.gauges("waggle_build_info", "1, with the version of the agent", [(build, 1.0)])?;
    page.gauge("waggle_services", "Services in force", whole(size.services as u64))?;
    page.gauge(
        "waggle_service_ports",
        "Service ports in force; one of both families counts twice",
        whole(size.ports as u64),
    )?;
    page.gauge("waggle_frontends", "Addresses and ports that lead to Services", whole(size.frontends as u64))?;
    page.gauge("waggle_backends", "Backends in force", whole(size.backends as u64))?;
    let degraded: usize = status.refused.values().map(|refused| refused.parts).sum();
    page.gauge("waggle_degraded", "Services and networks of which a part is not in force", whole(degraded as u64))?;
    skipped(page, status)?;
    let missing = whole(status.missing.count() as u64);
    page.gauge("waggle_hooks_missing", "Hooks of the cgroup, and devices, that lack their programs", missing)?;
    let pods = whole(status.missing.pods() as u64);
    page.gauge("waggle_pod_devices_missing", "Devices of pods that should be served but lack their programs", pods)?;
    page.counter("waggle_plans", "Plans that have been written", status.generation)?;
    let healthy = status.problems(Instant::now()).is_empty();
    page.gauge("waggle_healthy", "1 if the agent is healthy, else 0", f64::from(u8::from(healthy)))?;
    let eligible = f64::from(u8::from(status.eligible));
    page.gauge("waggle_node_eligible", "1 if load balancers may send the node packets, else 0", eligible)?;
    page.histograms(
        "waggle_programming_duration_seconds",
        "Seconds that each phase of a plan took: computing the wanted state (model), the difference (plan), and writing it (apply)",
        ["model", "plan", "apply"].map(|phase| [("phase", phase)]).into_iter().zip(&status.durations.phases),
    )
}

fn skipped(page: &mut Page<'_>, status: &Status) -> fmt::Result {
    let label = |kind: Kind, part: &str| [("kind", kind.to_string()), ("part", part.to_owned())];
    let count = |kind| status.skipped.get(&kind).copied().unwrap_or(0) as u64;
    let fields = Kind::ALL.into_iter().map(|kind| (label(kind, "field"), count(kind)));
    let objects = status
        .contact
        .iter()
        .flat_map(|contact| Kind::ALL.into_iter().map(move |kind| (label(kind, "object"), contact.unreadable(kind))));
    page.gauges(
        "waggle_skipped",
        "Fields and whole objects that are not served because they are malformed, refused or another's",
        fields.chain(objects).map(|(labels, count)| (labels, whole(count))),
    )
}
