//! `/metrics` in OpenMetrics' text format. Nothing is registered: each scrape reads the published status and the maps' counters,
//! so a series is there as long as what it counts.

mod kube_proxy;
mod waggle;

use std::{fmt, sync::Arc};

use aya::maps::{MapData, PerCpuArray};
use http::StatusCode;
use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeLabelSet, NoLabelSet, text::encode},
    metrics::MetricType,
    registry::Registry,
};
use tokio::sync::watch;
use tracing::warn;

use super::{listener::Answer, ports::Asked, respond::text};
use crate::{
    agent::status::Status,
    logging::errors::Report,
    maps::{PinFolder, open_read_only},
};

const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// All metrics.
#[derive(Clone)]
pub(super) struct Metrics(Arc<Registry>);

impl Metrics {
    /// Those of this agent, whose maps are pinned in `folder`.
    pub(super) fn new(status: watch::Receiver<Status>, asked: Arc<Asked>, folder: &PinFolder) -> Self {
        let counters = open_read_only(folder, "COUNTERS");
        let counters =
            counters.inspect_err(|error| warn!(error = %Report(error), "metrics lack what the programs count")).ok();
        let mut registry = Registry::default();
        registry.register_collector(Box::new(Sources { status, asked, counters }));
        Self(Arc::new(registry))
    }

    /// A scrape.
    pub(super) fn response(&self) -> Answer {
        let mut body = String::new();
        match encode(&mut body, &self.0) {
            Ok(()) => text(StatusCode::OK, OPEN_METRICS, body),
            Err(error) => text(StatusCode::INTERNAL_SERVER_ERROR, super::respond::PLAIN, format!("{error}\n")),
        }
    }
}

/// Where the numbers come from.
struct Sources {
    status: watch::Receiver<Status>,
    asked: Arc<Asked>,
    counters: Option<PerCpuArray<MapData, u64>>,
}

impl fmt::Debug for Sources {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sources").finish_non_exhaustive()
    }
}

impl Collector for Sources {
    fn encode(&self, encoder: DescriptorEncoder) -> fmt::Result {
        let status = self.status.borrow().clone();
        let mut page = Page(encoder);
        kube_proxy::write(&mut page, &status, &self.asked)?;
        waggle::write(&mut page, &status, self.counters.as_ref())
    }
}

/// Writes metrics one after the other.
struct Page<'a>(DescriptorEncoder<'a>);

impl Page<'_> {
    fn gauge(&mut self, name: &str, help: &str, value: f64) -> fmt::Result {
        self.0.encode_descriptor(name, help, None, MetricType::Gauge)?.encode_gauge(&value)
    }

    /// One series for each set of labels.
    fn gauges<L: EncodeLabelSet>(
        &mut self,
        name: &str,
        help: &str,
        series: impl IntoIterator<Item = (L, f64)>,
    ) -> fmt::Result {
        let mut metric = self.0.encode_descriptor(name, help, None, MetricType::Gauge)?;
        series.into_iter().try_for_each(|(labels, value)| metric.encode_family(&labels)?.encode_gauge(&value))
    }

    /// The name lacks `_total`, which the format adds.
    fn counter(&mut self, name: &str, help: &str, value: u64) -> fmt::Result {
        let mut metric = self.0.encode_descriptor(name, help, None, MetricType::Counter)?;
        metric.encode_counter::<NoLabelSet, _, u64>(&value, None)
    }

    /// As [`counter`](Self::counter), one series for each set of labels.
    fn counters<L: EncodeLabelSet>(
        &mut self,
        name: &str,
        help: &str,
        series: impl IntoIterator<Item = (L, u64)>,
    ) -> fmt::Result {
        let mut metric = self.0.encode_descriptor(name, help, None, MetricType::Counter)?;
        let mut series = series.into_iter();
        series.try_for_each(|(labels, value)| {
            metric.encode_family(&labels)?.encode_counter::<NoLabelSet, _, u64>(&value, None)
        })
    }

    fn histogram(&mut self, name: &str, help: &str, (sum, buckets): (f64, &[(f64, u64)])) -> fmt::Result {
        let count = buckets.iter().map(|(_, count)| count).sum();
        let mut metric = self.0.encode_descriptor(name, help, None, MetricType::Histogram)?;
        metric.encode_histogram::<NoLabelSet>(sum, count, buckets, None)
    }
}
