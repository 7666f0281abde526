//! What every metric is, for docs/metrics.md and for the checks of names and help texts.

use std::{collections::BTreeSet, sync::Mutex};

use prometheus_client::metrics::MetricType;
use tokio::sync::watch;

use super::*;
use crate::{
    agent::labels::ServiceLabels,
    attach::LoadedPrograms,
    config::{MapSizes, MetricsConfig},
    maps::PinFolder,
    server::status::Identity,
};

/// A metric: all of it but its series.
#[derive(Clone, Debug)]
pub(crate) struct Metric {
    /// The name as Prometheus has it: that of a counter ends with `_total`.
    pub(crate) name: String,
    /// The type, as in the metric's `# TYPE`.
    pub(crate) kind: String,
    pub(crate) labels: Vec<&'static str>,
    /// What it means, in plain text.
    pub(crate) help: String,
}

impl Metric {
    pub(super) fn new(name: &str, help: &str, labels: &[&'static str], kind: MetricType) -> Self {
        let suffix = if matches!(kind, MetricType::Counter) { "_total" } else { "" };
        Self {
            name: format!("{name}{suffix}"),
            kind: kind.as_str().to_owned(),
            labels: labels.to_vec(),
            help: help.to_owned(),
        }
    }
}

/// Notes the metrics of a part of the page instead of serving them.
#[derive(Debug)]
struct Recorder {
    sources: Sources,
    part: Part,
    metrics: Arc<Mutex<Vec<Metric>>>,
}

impl Collector for Recorder {
    fn encode(&self, encoder: DescriptorEncoder) -> fmt::Result {
        let mut page = Page::new(encoder);
        self.sources.write(&mut page, self.part)?;
        *self.metrics.lock().unwrap() = page.described;
        Ok(())
    }
}

/// Returns the metrics of a part of the page, in its order. The agent's maps do not exist.
pub(crate) fn metrics(part: Part) -> Vec<Metric> {
    let (_, status) = watch::channel(Status::new());
    let identity = Identity {
        instance: "there-is-no-such-instance".to_owned(),
        node_name: "n1".to_owned(),
        folder: None,
        started: SystemTime::now(),
    };
    let scraped = Scraped {
        identity,
        status,
        labels: ServiceLabels::default(),
        programs: LoadedPrograms::default(),
        folder: PinFolder::new("there-is-no-such-instance"),
        limits: MetricsConfig::default(),
        map_limits: MapSizes::default(),
        configuration: Bytes::new(),
    };
    let sources = Sources::new(scraped, Arc::default(), LastCount::default());
    let metrics = Arc::new(Mutex::new(Vec::new()));
    let mut registry = Registry::default();
    registry.register_collector(Box::new(Recorder { sources, part, metrics: Arc::clone(&metrics) }));
    encode(&mut String::new(), &registry).unwrap();
    let metrics = metrics.lock().unwrap();
    metrics.clone()
}

#[test]
fn names_and_help_texts_follow_the_conventions_of_prometheus() {
    let mut names = BTreeSet::new();
    for metric in Part::ALL.into_iter().flat_map(metrics) {
        let Metric { name, kind, help, .. } = &metric;
        assert!(names.insert(name.clone()), "{name} is written twice");
        assert!(name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_'), "{name}");
        // kube-proxy's gauge, whose name is wrong there, too.
        let is_total = name.ends_with("_total") && name != "kubeproxy_sync_proxy_rules_no_local_endpoints_total";
        assert_eq!(is_total, kind == "counter", "{metric:?}");
        assert!(help.starts_with(|start: char| start.is_uppercase() || start == '1'), "{metric:?}");
        assert!(!help.ends_with('.') && !help.contains('`') && !help.contains("  "), "{metric:?}");
        for (suffix, unit) in [("_seconds", "econds"), ("_bytes", "ytes")] {
            let is_named = name.trim_end_matches("_total").ends_with(suffix);
            assert!(!is_named || help.contains(unit), "no unit: {metric:?}");
        }
    }
    assert!(names.len() > 50, "{names:?}");
}
