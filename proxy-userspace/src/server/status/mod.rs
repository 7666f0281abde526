//! `/status`: what the agent knows of itself and of its data plane, as one JSON document. `waggle status` reads and prints it.

mod report;
mod summary;
mod time;

use std::{
    collections::BTreeMap,
    time::{Instant, SystemTime},
};

use aya::util::nr_cpus;
use http::StatusCode;
use proxy_common::{MAPS, SizedBy};
use tokio::{sync::watch, task::block_in_place};
use tracing::debug;

pub(super) use self::summary::Identity;
use self::summary::Observed;
pub use self::time::Time;
pub use self::{
    report::{
        AgentReport, DeviceReport, Health, HookReport, InForce, LogReport, MapReport, MissingReport, SkippedReport,
        SourceReport, StatusReport, WatchReport,
    },
    summary::{devices, hooks},
};
use super::{listener::HttpResponse, metrics::LastCount, respond::json, scraped::Scraped};
use crate::{
    agent::status::Status,
    attach::Attached,
    config::MapSizes,
    logging::{errors::Report, recent},
    maps::{PinFolder, census::per_element, layouts},
};

/// The path of the document.
pub const PATH: &str = "/status";

/// The sources of the document.
#[derive(Clone)]
pub(super) struct StatusPage {
    identity: Identity,
    status: watch::Receiver<Status>,
    folder: PinFolder,
    map_limits: MapSizes,
    /// How many backends a count returns, for metrics.
    backends: usize,
    count: LastCount,
}

impl StatusPage {
    /// `count` is shared with the metrics, so that maps are not counted more often for both.
    pub(super) fn new(scraped: &Scraped, count: LastCount) -> Self {
        Self {
            identity: scraped.identity.clone(),
            status: scraped.status.clone(),
            folder: scraped.folder.clone(),
            map_limits: scraped.map_limits.clone(),
            backends: scraped.limits.backends,
            count,
        }
    }

    /// Responds with the document, whatever the health.
    pub(super) fn response(&self) -> HttpResponse {
        let status = self.status.borrow().clone();
        // Counting may take a while.
        let observed = block_in_place(|| self.observe(&status));
        let now = (Instant::now(), SystemTime::now());
        json(StatusCode::OK, &StatusReport::of_agent(&self.identity, &status, observed, now))
    }

    /// Reads the data plane. What can't be read is left out: there may be no pins before the first plan.
    fn observe(&self, status: &Status) -> Observed {
        let attached = Attached::read(&self.folder)
            .inspect_err(|error| debug!(error = %Report(error), "can't read the hooks"))
            .unwrap_or_default();
        Observed { attached, maps: self.maps(status), log: recent::lines() }
    }

    fn maps(&self, status: &Status) -> Vec<MapReport> {
        let counted = self.count.get(&self.folder, self.backends);
        let counted = counted.inspect_err(|error| debug!(error = %Report(error), "can't count the maps"));
        let Ok(census) = counted.map(|counted| counted.census) else { return Vec::new() };
        let capacities: BTreeMap<&str, u32> = census.capacities.into_iter().collect();
        let limits = limits(&self.map_limits);
        let known = status.usage.into_iter().filter(|(map, _)| !map.is_empty()).chain(census.entries);
        let report = |(name, entries): (&'static str, u64)| {
            let capacity = u64::from(*capacities.get(name)?);
            Some(MapReport::new(name, entries, capacity, limits.get(name).copied()))
        };
        known.filter_map(report).collect()
    }
}

/// Returns how many entries each map may get room for.
fn limits(sizes: &MapSizes) -> BTreeMap<&'static str, u64> {
    let largest = layouts(sizes, nr_cpus().unwrap_or(1));
    let limited = MAPS.iter().zip(largest).filter(|(map, _)| map.sized_by != SizedBy::Nothing);
    limited.map(|(map, layout)| (map.name, u64::from(layout.max_entries) * u64::from(per_element(map.name)))).collect()
}
