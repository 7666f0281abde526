//! How much is counted one by one.

/// The most things that have series of their own. What is above is left out, and how much that is is a series.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MetricsConfig {
    /// Service ports, each family counted.
    pub services: usize,
    /// Backends.
    pub backends: usize,
}

impl Default for MetricsConfig {
    fn default() -> Self {
        Self { services: 1000, backends: 100 }
    }
}
