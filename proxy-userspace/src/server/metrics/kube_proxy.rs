//! Metrics with kube-proxy's names, where they mean the same (pkg/proxy/metrics): dashboards and alerts go on working.

use std::{
    fmt,
    time::{SystemTime, UNIX_EPOCH},
};

use super::{super::health::Question, Page};
use crate::{agent::status::Status, objects::Kind, server::ports::Asked};

pub(super) fn write(page: &mut Page<'_>, status: &Status, asked: &Asked) -> fmt::Result {
    let buckets: Vec<(f64, u64)> = status.durations.buckets().collect();
    page.histogram(
        "kubeproxy_sync_proxy_rules_duration_seconds",
        "Seconds from taking changes until all of them were in force",
        (status.durations.sum, &buckets),
    )?;
    page.gauge(
        "kubeproxy_sync_proxy_rules_last_timestamp_seconds",
        "When changes were last in force, seconds since 1970",
        seconds(status.applied),
    )?;
    page.gauge(
        "kubeproxy_sync_proxy_rules_last_queued_timestamp_seconds",
        "When the changes that were last in force came, seconds since 1970",
        seconds(status.queued),
    )?;
    let events = |kind| status.events.get(&kind).copied().unwrap_or(0);
    page.counter(
        "kubeproxy_sync_proxy_rules_endpoint_changes",
        "Changes of EndpointSlices",
        events(Kind::EndpointSlice),
    )?;
    page.counter("kubeproxy_sync_proxy_rules_service_changes", "Changes of Services", events(Kind::Service))?;
    let codes = |question| asked.counts(question).map(|(code, count)| ([("code", code.as_str().to_owned())], count));
    page.counters("kubeproxy_proxy_healthz", "Responses of /healthz", codes(Question::Health))?;
    page.counters("kubeproxy_proxy_livez", "Responses of /livez", codes(Question::Life))
}

fn seconds(time: SystemTime) -> f64 {
    time.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64()
}
