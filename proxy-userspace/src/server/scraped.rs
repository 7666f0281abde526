//! The inputs of a scrape.

use std::time::SystemTime;

use bytes::Bytes;
use tokio::sync::watch;

use super::status::Identity;
use crate::{
    agent::{labels::ServiceLabels, status::Status},
    attach::LoadedPrograms,
    config::{Config, MapSizes, MetricsConfig, SourceConfig, published},
    maps::PinFolder,
};

/// The sources that a scrape reads, and the configuration in force.
pub struct Scraped {
    /// Which agent this is.
    pub(super) identity: Identity,
    /// The status that the agent publishes.
    pub(super) status: watch::Receiver<Status>,
    /// The labels of Services that the agent keeps.
    pub(super) labels: ServiceLabels,
    /// The programs that the agent has loaded.
    pub(super) programs: LoadedPrograms,
    /// The folder of the pinned maps in use.
    pub(super) folder: PinFolder,
    /// How many objects have series of their own.
    pub(super) limits: MetricsConfig,
    /// How large the maps may become.
    pub(super) map_limits: MapSizes,
    /// The body of `/configz`.
    pub(super) configuration: Bytes,
}

impl Scraped {
    /// Returns the sources of an agent with this configuration, on the node `node_name`.
    pub fn new(
        config: &Config,
        node_name: &str,
        status: watch::Receiver<Status>,
        labels: ServiceLabels,
        programs: LoadedPrograms,
    ) -> Self {
        let configuration = published::configuration(config, node_name).to_string().into();
        let (folder, limits) = (PinFolder::new(&config.instance), config.metrics);
        let manifests = match &config.source {
            SourceConfig::Manifests { folder, .. } => Some(folder.clone()),
            SourceConfig::Kube { .. } => None,
        };
        let identity = Identity {
            instance: config.instance.clone(),
            node_name: node_name.to_owned(),
            folder: manifests,
            started: SystemTime::now(),
        };
        Self { identity, status, labels, programs, folder, limits, map_limits: config.sizes.clone(), configuration }
    }
}
