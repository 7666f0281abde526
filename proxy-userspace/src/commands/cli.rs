//! The command line. It says what can be asked for; `main` does it.

use std::{ops::RangeInclusive, path::PathBuf, str::FromStr};

use clap::{Args, Parser, Subcommand, ValueEnum};
use ipnet::IpNet;

use crate::config::{MapSizes, NodePortAddresses, conntrack::FlowArgs, devices::DeviceArgs};

/// Waggle: a Kubernetes service proxy in eBPF
#[derive(Debug, Parser)]
#[command(name = "waggle", version, about, max_term_width = 100)]
pub struct Cli {
    /// What to do
    #[command(subcommand)]
    pub command: Command,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the agent: follow the API server or a folder of manifests and keep the data plane equal to it
    Run(Box<RunArgs>),
    /// Show what is in force, from the pinned maps; the agent need not run
    Get(GetArgs),
    /// Say by the exit code whether an instance's agent runs and serves: for start-up probes
    Ready(InstanceArgs),
    /// Remove an instance's data plane: its hooks, then its maps
    Cleanup(CleanupArgs),
}

/// Which instance.
#[derive(Args, Clone, Debug)]
pub struct InstanceArgs {
    /// Instance: names the folder under /sys/fs/bpf/waggle, so that several agents can share a machine
    #[arg(long, value_name = "NAME", default_value = "default", value_parser = instance)]
    pub instance: String,
}

/// `waggle cleanup`.
#[derive(Args, Clone, Debug)]
pub struct CleanupArgs {
    /// The instance to remove
    #[command(flatten)]
    pub instance: InstanceArgs,
    /// Remove it although its agent is running
    #[arg(long)]
    pub force: bool,
}

/// `waggle get`.
#[derive(Args, Clone, Debug)]
pub struct GetArgs {
    /// What to show
    pub what: What,
    /// The instance to look at
    #[command(flatten)]
    pub instance: InstanceArgs,
    /// Output format
    #[arg(long, short, value_name = "FORMAT", default_value = "table")]
    pub output: Output,
}

/// What `waggle get` shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum What {
    /// Frontends with their Services
    #[value(alias = "service", alias = "svc")]
    Services,
    /// Backends with the Services they answer for
    #[value(alias = "backend")]
    Backends,
    /// Devices with the programs on them
    #[value(alias = "device")]
    Devices,
}

/// How `waggle get` shows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Output {
    /// Aligned columns
    Table,
    /// One JSON array
    Json,
}

/// `waggle run`.
#[derive(Args, Clone, Debug)]
pub struct RunArgs {
    /// Where objects come from
    #[command(flatten)]
    pub source: SourceArgs,
    /// Name of this node as Kubernetes knows it [default: the host name in lower case]
    #[arg(long, env = "NODE_NAME", value_name = "NAME")]
    pub node_name: Option<String>,
    /// cgroup v2 folder whose processes are served [default: the root of the mounted hierarchy]
    #[arg(long, value_name = "PATH")]
    pub cgroup: Option<PathBuf>,
    /// The instance to run
    #[command(flatten)]
    pub instance: InstanceArgs,
    /// Where node ports are served: `primary` (the Node object's addresses) or a list of CIDRs. `healthCheckNodePort` is
    /// answered on every address, or on those in the CIDRs
    #[arg(long, value_name = "primary|CIDR,…", default_value = "primary")]
    pub nodeport_addresses: NodePortAddresses,
    /// Destroy connected UDP sockets whose backend is gone, so that the application redials
    #[arg(long, value_name = "BOOL", default_value_t = true, num_args = 0..=1, default_missing_value = "true", action = clap::ArgAction::Set)]
    pub udp_termination: bool,
    /// Devices whose packets are served
    #[command(flatten)]
    pub devices: DeviceArgs,
    /// Flows of packets
    #[command(flatten)]
    pub flows: FlowArgs,
    /// Sizes of the maps
    #[command(flatten)]
    pub sizes: MapSizes,
    /// Log format
    #[arg(long, value_name = "FORMAT", default_value = "text", help_heading = "Logging")]
    pub log_format: LogFormat,
    /// Log level, or tracing directives such as `info,proxy_userspace=debug`
    #[arg(long, env = "WAGGLE_LOG", value_name = "LEVEL", default_value = "info", help_heading = "Logging")]
    pub log_level: String,
}

/// API server or folder.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Source")]
pub struct SourceArgs {
    /// Kubeconfig of the API server [default: the pod's service account]
    #[arg(long, value_name = "FILE", conflicts_with = "manifests")]
    pub kubeconfig: Option<PathBuf>,
    /// URL of the API server, instead of the one in the kubeconfig or the pod's environment
    #[arg(long, value_name = "URL", conflicts_with = "manifests")]
    pub api_server: Option<String>,
    /// Folder of YAML and JSON manifests to follow instead of an API server
    #[arg(long, value_name = "DIR")]
    pub manifests: Option<PathBuf>,
    /// With --manifests: ranges that cluster IPs are allocated from
    #[arg(long, value_name = "CIDR,…", value_delimiter = ',', default_value = "10.96.0.0/16", requires = "manifests")]
    pub service_cidr: Vec<IpNet>,
    /// With --manifests: ports that node ports are allocated from
    #[arg(long, value_name = "FIRST-LAST", default_value = "30000-32767", requires = "manifests")]
    pub service_node_port_range: PortRange,
    /// With --manifests: file that remembers allocations over a restart
    /// [default: /var/lib/waggle/INSTANCE.json]
    #[arg(long, value_name = "FILE", requires = "manifests")]
    pub allocations: Option<PathBuf>,
}

/// A range of ports, `FIRST-LAST`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PortRange(pub RangeInclusive<u16>);

impl FromStr for PortRange {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let parse = |part: &str| part.trim().parse::<u16>().ok().filter(|port| *port != 0);
        let (first, last) = text.split_once('-').ok_or("want FIRST-LAST, for example 30000-32767")?;
        match (parse(first), parse(last)) {
            (Some(first), Some(last)) if first <= last => Ok(Self(first..=last)),
            _ => Err("want two ports from 1 to 65535, the smaller one first".into()),
        }
    }
}

/// How log lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// For people
    Text,
    /// One JSON object a line
    Json,
}

/// An instance's name becomes a bpffs folder, which refuses dots.
fn instance(text: &str) -> Result<String, String> {
    let allowed = |character: char| character.is_ascii_alphanumeric() || character == '-' || character == '_';
    if !text.is_empty() && text.len() <= 63 && text.chars().all(allowed) {
        Ok(text.into())
    } else {
        Err("want 1 to 63 letters, digits, `-` and `_`".into())
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_option_says_what_it_is_without_its_neighbours() {
        for command in Cli::command().get_subcommands() {
            for argument in command.get_arguments() {
                let help = argument.get_help().map(ToString::to_string).unwrap_or_default();
                let stands_alone = !help.is_empty() && !help.starts_with('…');
                assert!(stands_alone, "{} --{}: {help:?}", command.get_name(), argument.get_id());
            }
        }
    }

    #[test]
    fn bad_values_are_refused() {
        for bad in ["30000", "0-5", "6-5", "a-b", "1-65536"] {
            assert!(bad.parse::<PortRange>().is_err(), "{bad}");
        }
        assert_eq!("30000-32767".parse(), Ok(PortRange(30000..=32767)));
        assert!(instance("a.b").is_err() && instance("").is_err() && instance("lab-1_x").is_ok());
    }
}
