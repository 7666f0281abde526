//! Flags for metrics.

use clap::Args;

use crate::config::MetricsConfig;

/// How many series a scrape may get.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Metrics")]
pub struct MetricsArgs {
    /// Service ports, each family counted, whose connections, packets and bytes have series of their own: three for each. The
    /// oldest come first
    #[arg(long, value_name = "N", default_value_t = MetricsConfig::default().services)]
    pub metrics_services: usize,
    /// Backends whose source ports have series of their own: three for each. Those come first for which ports are hardest to
    /// find
    #[arg(long, value_name = "N", default_value_t = MetricsConfig::default().backends)]
    pub metrics_backends: usize,
}

impl From<MetricsArgs> for MetricsConfig {
    fn from(args: MetricsArgs) -> Self {
        Self { services: args.metrics_services, backends: args.metrics_backends }
    }
}
