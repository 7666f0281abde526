//! The arguments of `waggle get`.

use clap::{Args, ValueEnum};

use super::InstanceArgs;

pub(super) const EXAMPLES: &str = "\
Examples:
  waggle get services -n kube-system
  waggle get services web -o wide
  waggle get backends 10.244.1.7 -o yaml
  waggle get flows 192.0.2.9
  waggle get endpoints web --watch --output-watch-events
  waggle get drops --watch";

/// `waggle get`.
#[derive(Args, Clone, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "flags are independent of each other")]
pub struct GetArgs {
    /// What to show
    pub what: What,
    /// Show only these: names of Services, devices, maps and reasons, addresses of backends and clients. If one isn't there,
    /// the exit code is 1
    #[arg(value_name = "NAME")]
    pub names: Vec<String>,
    /// Show only what belongs to this namespace; by default every namespace is shown. Devices, drops and maps belong to
    /// none and are shown in any case
    #[arg(long, short, conflicts_with = "all_namespaces")]
    pub namespace: Option<String>,
    /// Show every namespace, which is the default
    #[arg(long, short = 'A')]
    pub all_namespaces: bool,
    /// The instance to look at
    #[command(flatten)]
    pub instance: InstanceArgs,
    /// Output format
    #[arg(long, short, value_name = "FORMAT", default_value = "table")]
    pub output: Output,
    /// Leave out the titles of tables
    #[arg(long)]
    pub no_headers: bool,
    /// After printing all rows, look every second, and print those that are new or have changed, and those that are gone as they
    /// were last. Ends with exit code 1 when the instance is removed
    #[arg(long, short)]
    pub watch: bool,
    /// With --watch: say of each row whether it was ADDED, MODIFIED or DELETED, in a column, or as `type` beside `object`
    #[arg(long, requires = "watch")]
    pub output_watch_events: bool,
}

/// What `waggle get` shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum What {
    /// Frontends and their Services
    #[value(alias = "service", alias = "svc")]
    Services,
    /// Service ports and their backends
    #[value(alias = "endpoint", alias = "ep")]
    Endpoints,
    /// Backends and the Services that use them
    #[value(alias = "backend")]
    Backends,
    /// Flows of packets with their states, and sockets of this node that are connected to a Service
    #[value(alias = "flow")]
    Flows,
    /// Clients that keep their backends by session affinity
    Affinity,
    /// Reasons for which packets and calls were rejected or dropped, and how often
    #[value(alias = "drop")]
    Drops,
    /// Devices and their programs
    #[value(alias = "device")]
    Devices,
    /// Pinned maps and how full they are
    #[value(alias = "map")]
    Maps,
}

/// The output formats of `waggle get`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Output {
    /// Aligned columns
    Table,
    /// Aligned columns, with more of them
    Wide,
    /// One JSON array
    Json,
    /// One YAML sequence
    Yaml,
}
