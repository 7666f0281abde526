//! Writes metrics one after the other in the OpenMetrics text format. Knows no particular metric.

use std::fmt;

use prometheus_client::{
    encoding::{DescriptorEncoder, EncodeLabelSet, NoLabelSet},
    metrics::MetricType,
};

use crate::agent::durations::Histogram;

/// A page of metrics.
pub(super) struct Page<'a>(pub(super) DescriptorEncoder<'a>);

impl Page<'_> {
    pub(super) fn gauge(&mut self, name: &str, help: &str, value: f64) -> fmt::Result {
        self.0.encode_descriptor(name, help, None, MetricType::Gauge)?.encode_gauge(&value)
    }

    /// Writes a gauge with one series for each set of labels.
    pub(super) fn gauges<L: EncodeLabelSet>(
        &mut self,
        name: &str,
        help: &str,
        series: impl IntoIterator<Item = (L, f64)>,
    ) -> fmt::Result {
        let mut metric = self.0.encode_descriptor(name, help, None, MetricType::Gauge)?;
        series.into_iter().try_for_each(|(labels, value)| metric.encode_family(&labels)?.encode_gauge(&value))
    }

    /// Writes a counter. `name` is without `_total`, which the format adds.
    pub(super) fn counter(&mut self, name: &str, help: &str, value: u64) -> fmt::Result {
        let mut metric = self.0.encode_descriptor(name, help, None, MetricType::Counter)?;
        metric.encode_counter::<NoLabelSet, _, u64>(&value, None)
    }

    /// Writes a [`counter`](Self::counter) with one series for each set of labels.
    pub(super) fn counters<L: EncodeLabelSet>(
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

    /// Writes a [`counter`](Self::counter) of seconds.
    pub(super) fn time(&mut self, name: &str, help: &str, seconds: f64) -> fmt::Result {
        let mut metric = self.0.encode_descriptor(name, help, None, MetricType::Counter)?;
        metric.encode_counter::<NoLabelSet, _, u64>(&seconds, None)
    }

    /// Writes [`counters`](Self::counters) of seconds.
    pub(super) fn times<L: EncodeLabelSet>(
        &mut self,
        name: &str,
        help: &str,
        series: impl IntoIterator<Item = (L, f64)>,
    ) -> fmt::Result {
        let mut metric = self.0.encode_descriptor(name, help, None, MetricType::Counter)?;
        let mut series = series.into_iter();
        series.try_for_each(|(labels, value)| {
            metric.encode_family(&labels)?.encode_counter::<NoLabelSet, _, u64>(&value, None)
        })
    }

    pub(super) fn histogram(&mut self, name: &str, help: &str, histogram: &Histogram) -> fmt::Result {
        let (buckets, count) = buckets(histogram);
        let mut metric = self.0.encode_descriptor(name, help, None, MetricType::Histogram)?;
        metric.encode_histogram::<NoLabelSet>(histogram.sum, count, &buckets, None)
    }

    /// Writes a histogram with one series for each set of labels.
    pub(super) fn histograms<'h, L: EncodeLabelSet>(
        &mut self,
        name: &str,
        help: &str,
        histograms: impl IntoIterator<Item = (L, &'h Histogram)>,
    ) -> fmt::Result {
        let mut metric = self.0.encode_descriptor(name, help, None, MetricType::Histogram)?;
        histograms.into_iter().try_for_each(|(labels, histogram)| {
            let (buckets, count) = buckets(histogram);
            metric.encode_family(&labels)?.encode_histogram::<NoLabelSet>(histogram.sum, count, &buckets, None)
        })
    }
}

fn buckets(histogram: &Histogram) -> (Vec<(f64, u64)>, u64) {
    let buckets: Vec<_> = histogram.buckets().collect();
    let count = buckets.iter().map(|(_, count)| count).sum();
    (buckets, count)
}

/// Converts a count to a float, exactly up to 2^53.
#[expect(clippy::cast_precision_loss, reason = "far below 2^53")]
pub(super) fn whole(number: u64) -> f64 {
    number as f64
}
