//! Checks that docs/metrics.md names every metric.

use std::collections::BTreeMap;

use tokio::sync::watch;

use super::*;
use crate::{
    agent::labels::ServiceLabels,
    attach::LoadedPrograms,
    config::{MapSizes, MetricsConfig},
    maps::PinFolder,
    server::status::Identity,
};

/// Returns the types of an agent's metrics by name. The agent's maps do not exist.
fn metrics() -> BTreeMap<String, String> {
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
    let page = Metrics::new(scraped, Arc::default(), LastCount::default()).page(Instant::now()).unwrap();
    let page = Format::Text.of(page);
    let types = page.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' '));
    types.map(|(name, kind)| (name.to_owned(), kind.to_owned())).collect()
}

#[test]
fn the_page_of_metrics_has_every_metric_and_its_type() {
    let text = include_str!("../../../../docs/metrics.md");
    let rows = text.lines().filter_map(|line| line.strip_prefix("| `")?.split_once("` | "));
    let documented: BTreeMap<String, String> = rows
        .filter_map(|(name, rest)| Some((name.to_owned(), rest.split_once(" |")?.0.to_owned())))
        .filter(|(_, kind)| ["counter", "gauge", "histogram"].contains(&kind.as_str()))
        .collect();
    assert_eq!(documented, metrics());
}
