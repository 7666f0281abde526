//! The flags for metrics.

use clap::Args;

use crate::config::MetricsConfig;

/// Limits for the number of series.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Metrics")]
pub struct MetricsArgs {
    /// The most service ports that have series for their connections, packets and bytes: three each, twice for a port of both
    /// families. The oldest ports take precedence
    #[arg(long, value_name = "N", default_value_t = MetricsConfig::default().services)]
    pub metrics_services: usize,
    /// The most backends that have series for their source ports: three each. Backends for which ports are hardest to find take
    /// precedence
    #[arg(long, value_name = "N", default_value_t = MetricsConfig::default().backends)]
    pub metrics_backends: usize,
}

impl From<MetricsArgs> for MetricsConfig {
    fn from(args: MetricsArgs) -> Self {
        Self { services: args.metrics_services, backends: args.metrics_backends }
    }
}
