//! `/metrics`. No metric is registered: each scrape reads the published status and the maps, so a series exists as long as its
//! object. One scrape runs at a time, and scrapes that wait for it share the next page.

mod counted;
mod kube_proxy;
mod maps;
mod page;
mod process;
mod programs;
mod services;
mod text;
mod waggle;
mod watch;

use std::{
    fmt,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Instant, SystemTime},
};

use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, text::encode},
    registry::Registry,
};
use tokio::task::block_in_place;
use tracing::warn;

pub(super) use self::counted::LastCount;
use self::{page::Page, text::Format};
use super::{listener::HttpResponse, ports::HealthCounts, respond, scraped::Scraped};
use crate::{agent::status::Status, logging::errors::Report};

/// The label for the IP family, as kube-proxy has it.
const IP_FAMILY: &str = "ip_family";

/// A part of the page, which has a table of its own in docs/metrics.md.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    /// Metrics with names that kube-proxy has, too.
    KubeProxy,
    /// The agent's own state.
    Agent,
    /// Services and backends.
    Services,
    /// Programs and maps.
    Programs,
}

impl Part {
    /// Every part, in the order of the page.
    pub(crate) const ALL: [Self; 4] = [Self::KubeProxy, Self::Agent, Self::Services, Self::Programs];
}

/// All metrics of this agent.
#[derive(Clone)]
pub(super) struct Metrics {
    registry: Arc<Registry>,
    configuration: Bytes,
    /// The last page, and when its scrape began.
    last: Arc<Mutex<Option<(Instant, String)>>>,
}

impl Metrics {
    pub(super) fn new(scraped: Scraped, health: Arc<HealthCounts>, count: LastCount) -> Self {
        let configuration = scraped.configuration.clone();
        let mut registry = Registry::default();
        registry.register_collector(Box::new(Sources::new(scraped, health, count)));
        Self { registry: Arc::new(registry), configuration, last: Arc::default() }
    }

    /// Responds with a page in the format that the request asks for.
    pub(super) fn response(&self, headers: &HeaderMap) -> HttpResponse {
        let asked = Instant::now();
        match block_in_place(|| self.page(asked)) {
            Ok(page) => {
                let format = Format::asked_for(headers);
                respond::text(StatusCode::OK, format.media_type(), format.of(page))
            }
            Err(error) => respond::text(StatusCode::INTERNAL_SERVER_ERROR, respond::PLAIN, format!("{error}\n")),
        }
    }

    /// Returns the body of `/configz`.
    pub(super) fn configuration(&self) -> Bytes {
        self.configuration.clone()
    }

    /// Returns a page whose scrape began at `asked` or later.
    fn page(&self, asked: Instant) -> Result<String, fmt::Error> {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((began, page)) = &*last
            && *began >= asked
        {
            return Ok(page.clone());
        }
        let (began, mut page) = (Instant::now(), String::new());
        encode(&mut page, &self.registry)?;
        *last = Some((began, page.clone()));
        Ok(page)
    }
}

/// The sources that a scrape reads.
struct Sources {
    scraped: Scraped,
    health: Arc<HealthCounts>,
    /// When the agent started.
    started: SystemTime,
    /// The last count of what is slow to count.
    count: LastCount,
    /// Whether the warning about unreadable maps has been logged.
    is_logged: AtomicBool,
}

impl Sources {
    fn new(scraped: Scraped, health: Arc<HealthCounts>, count: LastCount) -> Self {
        Self { scraped, health, started: SystemTime::now(), count, is_logged: AtomicBool::default() }
    }

    /// Writes a part of the page.
    fn write(&self, page: &mut Page<'_>, part: Part) -> fmt::Result {
        let status = self.scraped.status.borrow().clone();
        match part {
            Part::KubeProxy => {
                kube_proxy::write(page, &status, &self.health)?;
                watch::requests(page, &status)?;
                process::write(page, self.started)
            }
            Part::Agent => {
                waggle::write(page, &status)?;
                watch::write(page, &status)
            }
            Part::Services => self.write_services(page, &status),
            Part::Programs => {
                self.write_maps(page, &status)?;
                programs::write(page, &self.scraped.programs.statistics())
            }
        }
    }

    /// Returns what was read, or the default if that failed. Logs the first failure, unless no plan has been written yet: there
    /// may be no maps before.
    fn or_nothing<T: Default, E: std::error::Error + 'static>(&self, status: &Status, read: Result<T, E>) -> T {
        read.unwrap_or_else(|error| {
            if status.generation != 0 && !self.is_logged.swap(true, Ordering::Relaxed) {
                warn!(error = %Report(&error), "can't read the maps: their metrics are missing");
            }
            T::default()
        })
    }
}

impl fmt::Debug for Sources {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sources").finish_non_exhaustive()
    }
}

impl Collector for Sources {
    fn encode(&self, encoder: DescriptorEncoder) -> fmt::Result {
        let mut page = Page::new(encoder);
        Part::ALL.into_iter().try_for_each(|part| self.write(&mut page, part))
    }
}

#[cfg(test)]
pub(crate) mod tests;
