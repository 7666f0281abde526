//! The flags of `waggle top`.

use std::time::Duration;

use clap::Args;

use super::InstanceArgs;

pub(super) const EXAMPLES: &str = "\
Examples:
  waggle top
  waggle top -n kube-system --interval 5
  waggle top --once";

/// `waggle top`.
#[derive(Args, Clone, Debug)]
pub struct TopArgs {
    /// The instance to look at
    #[command(flatten)]
    pub instance: InstanceArgs,
    /// Time between two looks at the maps, in seconds
    #[arg(long, short = 'd', value_name = "SECONDS", default_value = "1",
        value_parser = clap::value_parser!(u16).range(1..=3600))]
    interval: u16,
    /// Show only Services of this namespace, and only what they add up to. Refusals belong to no namespace and are shown in any
    /// case
    #[arg(long, short)]
    pub namespace: Option<String>,
    /// Look twice, print one frame as plain text, and end
    #[arg(long)]
    pub once: bool,
}

impl TopArgs {
    /// Returns the time between two looks.
    pub fn interval(&self) -> Duration {
        Duration::from_secs(self.interval.into())
    }
}
