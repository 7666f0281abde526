//! Metrics with kube-proxy's names, where they mean the same as there (pkg/proxy/metrics), so that dashboards and alerts keep
//! working.

use std::{
    fmt,
    time::{SystemTime, UNIX_EPOCH},
};

use super::{
    super::health::Probe,
    IP_FAMILY,
    page::{Page, whole},
};
use crate::{agent::status::Status, objects::Kind, server::ports::HealthCounts};

/// kube-proxy's labels for the IP families.
const FAMILIES: [&str; 2] = ["IPv4", "IPv6"];

pub(super) fn write(page: &mut Page<'_>, status: &Status, health: &HealthCounts) -> fmt::Result {
    durations(page, status)?;
    page.gauge(
        "kubeproxy_sync_proxy_rules_last_timestamp_seconds",
        "When changes last came into force, in seconds since 1970; 0 before the first ones. It stands still while writes fail",
        seconds(status.applied),
    )?;
    page.gauge(
        "kubeproxy_sync_proxy_rules_last_queued_timestamp_seconds",
        "When changes were last received, in seconds since 1970; 0 before the first ones. They may not be in force yet",
        seconds(status.queued),
    )?;
    changes(page, status)?;
    let internal =
        FAMILIES.into_iter().zip(status.no_local.internal).map(|(family, count)| (family, "internal", count));
    let external =
        FAMILIES.into_iter().zip(status.no_local.external).map(|(family, count)| (family, "external", count));
    page.gauges(
        "kubeproxy_sync_proxy_rules_no_local_endpoints_total",
        "Service ports whose internal or external traffic policy is Local and whose endpoints are all on other nodes. A gauge in \
         spite of its name, as in kube-proxy",
        [IP_FAMILY, "traffic_policy"],
        internal.chain(external).map(|(family, policy, count)| ([family, policy], f64::from(count))),
    )?;
    let codes = |probe| health.counts(probe).map(|(code, count)| ([code.as_str().to_owned()], count));
    page.counters("kubeproxy_proxy_healthz", "Responses of /healthz", ["code"], codes(Probe::Healthz))?;
    page.counters("kubeproxy_proxy_livez", "Responses of /livez", ["code"], codes(Probe::Livez))
}

fn durations(page: &mut Page<'_>, status: &Status) -> fmt::Result {
    page.histogram(
        "kubeproxy_sync_proxy_rules_duration_seconds",
        "Seconds from the start of a plan until all of its changes were in force",
        &status.durations.plans,
    )?;
    page.histograms(
        "kubeproxy_network_programming_duration_seconds",
        "Seconds from a change of a Pod or Service, by the annotation endpoints.kubernetes.io/last-change-trigger-time of its \
         EndpointSlice, until it was in force. Only changes that happen while the agent runs count (N11)",
        IP_FAMILY,
        FAMILIES.into_iter().zip(&status.durations.changes),
    )
}

/// Writes how many changes were received, and how many no plan has taken yet.
fn changes(page: &mut Page<'_>, status: &Status) -> fmt::Result {
    for (kind, total, pending) in [
        (
            Kind::EndpointSlice,
            "kubeproxy_sync_proxy_rules_endpoint_changes",
            "kubeproxy_sync_proxy_rules_endpoint_changes_pending",
        ),
        (
            Kind::Service,
            "kubeproxy_sync_proxy_rules_service_changes",
            "kubeproxy_sync_proxy_rules_service_changes_pending",
        ),
    ] {
        let of = |events: &std::collections::BTreeMap<Kind, u64>| events.get(&kind).copied().unwrap_or(0);
        let (taken, served) = (of(&status.events), of(&status.events_served));
        page.counter(total, &format!("Changes of {kind}s that were received"), taken)?;
        page.gauge(pending, &format!("Changes of {kind}s that no plan has taken yet"), whole(taken - served))?;
    }
    Ok(())
}

fn seconds(time: Option<SystemTime>) -> f64 {
    time.and_then(|time| time.duration_since(UNIX_EPOCH).ok()).unwrap_or_default().as_secs_f64()
}
