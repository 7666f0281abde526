//! How many Services and backends have metric series of their own.

/// The most objects that have metric series of their own. The rest is left out; a further series says how many that are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MetricsConfig {
    /// Service ports; a dual-stack port counts twice.
    pub services: usize,
    /// Backends.
    pub backends: usize,
}

impl Default for MetricsConfig {
    fn default() -> Self {
        Self { services: 1000, backends: 100 }
    }
}
