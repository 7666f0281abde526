//! The arguments of `waggle status`.

use std::net::{Ipv4Addr, SocketAddr};

use clap::Args;

use super::{InstanceArgs, Output};
use crate::config::METRICS_PORT;

pub(super) const AFTER_HELP: &str = "\
Examples:
  waggle status
  waggle status -o wide
  waggle status -o json | jq .reasons
  waggle status --watch

Exit code: 0 if the instance is healthy or degraded, as /livez sees it, 1 if it is unhealthy, has no agent that answers, or \
is not on this machine.";

/// Where an agent serves its metrics and status by default.
pub(super) const AGENT: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), METRICS_PORT);

/// `waggle status`.
#[derive(Args, Clone, Debug)]
pub struct StatusArgs {
    /// Where the agent serves its metrics and status: the address of `waggle run --metrics-bind-address`
    #[arg(long, value_name = "IP:PORT", default_value_t = AGENT)]
    pub address: SocketAddr,
    /// The instance to look at
    #[command(flatten)]
    pub instance: InstanceArgs,
    /// Output format
    #[arg(long, short, value_name = "FORMAT", default_value = "table")]
    pub output: Output,
    /// Look again every second: a terminal shows the latest status, a pipe gets each, in JSON on a line of its own. Ends with exit
    /// code 1 when the instance is removed
    #[arg(long, short)]
    pub watch: bool,
}
