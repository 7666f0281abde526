//! The arguments of `waggle check`.

use std::path::PathBuf;

use clap::Args;

use super::{DeviceArgs, Output, run::PortRange};

pub(super) const AFTER_HELP: &str = "\
Examples:
  waggle check
  waggle check --devices eth0,eth1 --device-mode xdp
  waggle check -o json | jq '.[] | select(.level != \"ok\")'

Run it as root, in the network namespace that the agent will run in: without root, some of it can't be seen, and the lines \
say so. Exit code: 0, or 1 if something is missing that the agent needs.";

/// `waggle check`.
#[derive(Args, Clone, Debug)]
pub struct CheckArgs {
    /// cgroup v2 folder whose processes would be served [default: the root of the mounted hierarchy]
    #[arg(long, value_name = "PATH")]
    pub cgroup: Option<PathBuf>,
    /// Ports that the API server allocates node ports from
    #[arg(long, value_name = "FIRST-LAST", default_value = "30000-32767")]
    pub service_node_port_range: PortRange,
    /// Output format
    #[arg(long, short, value_name = "FORMAT", default_value = "table")]
    pub output: Output,
    /// Devices whose packets would be served
    #[command(flatten)]
    pub devices: DeviceArgs,
}
