//! What a scrape reads.

use bytes::Bytes;
use tokio::sync::watch;

use crate::{
    agent::status::Status,
    attach::LoadedPrograms,
    config::{Config, MapSizes, MetricsConfig, published},
    maps::PinFolder,
};

/// Where the numbers come from, and the configuration in force.
pub struct Scraped {
    /// What the agent says.
    pub(super) status: watch::Receiver<Status>,
    /// What it has loaded.
    pub(super) programs: LoadedPrograms,
    /// The pinned maps that serve.
    pub(super) folder: PinFolder,
    /// How much has series of its own.
    pub(super) limits: MetricsConfig,
    /// How large the maps may become.
    pub(super) map_limits: MapSizes,
    /// `/configz`.
    pub(super) configuration: Bytes,
}

impl Scraped {
    /// Of an agent with this configuration on the node of this name.
    pub fn new(config: &Config, node_name: &str, status: watch::Receiver<Status>, programs: LoadedPrograms) -> Self {
        let configuration = published::configuration(config, node_name).to_string().into();
        let (folder, limits) = (PinFolder::new(&config.instance), config.metrics);
        Self { status, programs, folder, limits, map_limits: config.sizes.clone(), configuration }
    }
}
