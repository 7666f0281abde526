//! Writes metrics one after the other in the OpenMetrics text format. Knows no particular metric.

use std::fmt;

use prometheus_client::{
    encoding::{DescriptorEncoder, EncodeLabel as _, EncodeLabelSet, LabelSetEncoder, MetricEncoder, NoLabelSet},
    metrics::MetricType,
};

use crate::agent::durations::Histogram;

/// A page of metrics. Each metric has a name, a help text, and the names of its labels; of a counter the name is without `_total`,
/// which the format adds. A help text is plain: docs/metrics.md, which shows it, marks up flags and names by itself.
pub(super) struct Page<'a> {
    encoder: DescriptorEncoder<'a>,
    /// What has been written, for docs/metrics.md.
    #[cfg(test)]
    pub(super) described: Vec<super::tests::Metric>,
}

impl<'a> Page<'a> {
    pub(super) const fn new(encoder: DescriptorEncoder<'a>) -> Self {
        Self {
            encoder,
            #[cfg(test)]
            described: Vec::new(),
        }
    }

    /// Begins a metric.
    #[cfg_attr(not(test), expect(unused_variables, reason = "each series is written with its labels"))]
    fn metric<'s>(
        &'s mut self,
        name: &'s str,
        help: &str,
        labels: &[&'static str],
        kind: MetricType,
    ) -> Result<MetricEncoder<'s>, fmt::Error> {
        #[cfg(test)]
        self.described.push(super::tests::Metric::new(name, help, labels, kind));
        self.encoder.encode_descriptor(name, help, None, kind)
    }

    pub(super) fn gauge(&mut self, name: &str, help: &str, value: f64) -> fmt::Result {
        self.metric(name, help, &[], MetricType::Gauge)?.encode_gauge(&value)
    }

    /// Writes a gauge with one series for each set of labels.
    pub(super) fn gauges<V: AsRef<str>, const N: usize>(
        &mut self,
        name: &str,
        help: &str,
        labels: [&'static str; N],
        series: impl IntoIterator<Item = ([V; N], f64)>,
    ) -> fmt::Result {
        let mut metric = self.metric(name, help, &labels, MetricType::Gauge)?;
        series
            .into_iter()
            .try_for_each(|(values, value)| metric.encode_family(&Labels(labels, values))?.encode_gauge(&value))
    }

    pub(super) fn counter(&mut self, name: &str, help: &str, value: u64) -> fmt::Result {
        let mut metric = self.metric(name, help, &[], MetricType::Counter)?;
        metric.encode_counter::<NoLabelSet, _, u64>(&value, None)
    }

    /// Writes a counter with one series for each set of labels.
    pub(super) fn counters<V: AsRef<str>, const N: usize>(
        &mut self,
        name: &str,
        help: &str,
        labels: [&'static str; N],
        series: impl IntoIterator<Item = ([V; N], u64)>,
    ) -> fmt::Result {
        let mut metric = self.metric(name, help, &labels, MetricType::Counter)?;
        series.into_iter().try_for_each(|(values, value)| {
            metric.encode_family(&Labels(labels, values))?.encode_counter::<NoLabelSet, _, u64>(&value, None)
        })
    }

    /// Writes a counter of seconds.
    pub(super) fn time(&mut self, name: &str, help: &str, seconds: f64) -> fmt::Result {
        let mut metric = self.metric(name, help, &[], MetricType::Counter)?;
        metric.encode_counter::<NoLabelSet, _, u64>(&seconds, None)
    }

    /// Writes a counter of seconds with one series for each set of labels.
    pub(super) fn times<V: AsRef<str>, const N: usize>(
        &mut self,
        name: &str,
        help: &str,
        labels: [&'static str; N],
        series: impl IntoIterator<Item = ([V; N], f64)>,
    ) -> fmt::Result {
        let mut metric = self.metric(name, help, &labels, MetricType::Counter)?;
        series.into_iter().try_for_each(|(values, value)| {
            metric.encode_family(&Labels(labels, values))?.encode_counter::<NoLabelSet, _, u64>(&value, None)
        })
    }

    pub(super) fn histogram(&mut self, name: &str, help: &str, histogram: &Histogram) -> fmt::Result {
        let (buckets, count) = buckets(histogram);
        let mut metric = self.metric(name, help, &[], MetricType::Histogram)?;
        metric.encode_histogram::<NoLabelSet>(histogram.sum, count, &buckets, None)
    }

    /// Writes a histogram with one series for each value of the label.
    pub(super) fn histograms<'h>(
        &mut self,
        name: &str,
        help: &str,
        label: &'static str,
        histograms: impl IntoIterator<Item = (&'static str, &'h Histogram)>,
    ) -> fmt::Result {
        let mut metric = self.metric(name, help, &[label], MetricType::Histogram)?;
        histograms.into_iter().try_for_each(|(value, histogram)| {
            let (buckets, count) = buckets(histogram);
            let labels = Labels([label], [value]);
            metric.encode_family(&labels)?.encode_histogram::<NoLabelSet>(histogram.sum, count, &buckets, None)
        })
    }
}

/// The labels of a series: their names and, in the same order, their values.
struct Labels<V, const N: usize>([&'static str; N], [V; N]);

impl<V: AsRef<str>, const N: usize> EncodeLabelSet for Labels<V, N> {
    fn encode(&self, encoder: &mut LabelSetEncoder<'_>) -> fmt::Result {
        let Self(names, values) = self;
        names.iter().zip(values).try_for_each(|(name, value)| (*name, value.as_ref()).encode(encoder.encode_label()))
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
