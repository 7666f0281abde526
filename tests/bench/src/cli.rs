//! The command line, and how long each figure is measured.

use std::{
    env,
    net::{Ipv4Addr, SocketAddr},
    path::PathBuf,
    time::Duration,
};

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::{manifests, outside, scale};

/// Compares connections through a ClusterIP with direct ones.
#[derive(Debug, Parser)]
pub struct Cli {
    /// The role of this process; without one it is the benchmark.
    #[command(subcommand)]
    pub role: Option<Role>,
    /// Arguments of the benchmark.
    #[command(flatten)]
    pub options: Options,
}

/// The processes that the benchmark starts from its own executable, inside the lab.
#[derive(Debug, Subcommand)]
pub enum Role {
    /// Measures as the orders on stdin say.
    #[command(hide = true)]
    Client,
    /// Accepts, echoes and discards.
    #[command(hide = true)]
    Server {
        /// Where to listen.
        address: Ipv4Addr,
    },
    /// Dials until connections end as the lines on stdin say.
    #[command(hide = true)]
    Probe {
        /// The address to dial.
        to: SocketAddr,
    },
}

/// Where the client runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Place {
    /// In the node's own namespace, one pair of devices from the server.
    Node,
    /// In a second pod, two pairs of devices from the server.
    Pod,
}

/// The parts that can be measured by themselves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Part {
    /// Single packets through the packet programs.
    Packets,
    /// Connections of this machine's sockets.
    Sockets,
    /// Packets and connections of clients outside, by way of a node.
    Outside,
    /// The agent itself as the cluster grows.
    Scale,
}

/// Arguments of the benchmark.
#[derive(Debug, Args)]
pub struct Options {
    /// Run every measurement with fewer samples, within a minute
    #[arg(long)]
    pub quick: bool,
    /// Write all numbers as one flat JSON object
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
    /// Write the charts of connections, packets and growing clusters into this folder [default: the build folder]
    #[arg(long, value_name = "FOLDER")]
    pub charts: Option<PathBuf>,
    /// Print the table as Markdown
    #[arg(long)]
    pub markdown: bool,
    /// Where the client runs
    #[arg(long, value_enum, default_value = "pod")]
    pub client: Place,
    /// Number of Services in the large scenarios
    #[arg(long, value_name = "N", default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(2..=60_000))]
    pub services: u32,
    /// Endpoints of every Service but the measured one [default: 10; quick: 2]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=200))]
    pub endpoints: Option<u32>,
    /// Measure only these parts
    #[arg(long, value_enum, value_name = "PART", value_delimiter = ',')]
    pub only: Vec<Part>,
    /// Measure Waggle only
    #[arg(long)]
    pub no_nftables: bool,
}

/// How long each figure is measured, in each scenario.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// TCP connects.
    pub connect: Duration,
    /// TCP turns.
    pub turn: Duration,
    /// Bulk.
    pub throughput: Duration,
    /// UDP turns, of each kind.
    pub udp: Duration,
}

impl Options {
    /// Whether a part should be measured.
    pub fn measures(&self, part: Part) -> bool {
        self.only.is_empty() || self.only.contains(&part)
    }

    /// Durations for connections on this machine, with `--quick` or without.
    pub fn plan(&self) -> Plan {
        let [connect, turn, throughput, udp] =
            if self.quick { [1.8, 1.2, 1.8, 0.5] } else { [16.0, 12.0, 14.0, 3.0] }.map(Duration::from_secs_f64);
        Plan { connect, turn, throughput, udp }
    }

    /// Durations for clients outside, with `--quick` or without.
    pub fn outside_plan(&self) -> outside::Plan {
        let (rounds, seconds) = if self.quick { (3, [0.1, 0.5, 0.5]) } else { (15, [0.25, 8.0, 8.0]) };
        let [flood, connects, bulk] = seconds.map(Duration::from_secs_f64);
        outside::Plan { rounds, flood, connects, bulk }
    }

    /// How much of the agent itself is measured, with `--quick` or without.
    pub fn scale_plan(&self) -> scale::Plan {
        if self.quick { scale::Plan::quick() } else { scale::Plan::full() }
    }

    /// The number of Services with node ports: loading rules for many takes very long.
    pub fn node_port_services(&self) -> u32 {
        self.services.min(if self.quick { 1_000 } else { manifests::MAX_NODE_PORTS })
    }

    /// The number of measurements of each packet program.
    pub fn rounds(&self) -> u32 {
        if self.quick { 2 } else { 15 }
    }

    /// Endpoints of every Service but the measured one: loading rules for them takes long.
    pub fn endpoints(&self) -> u32 {
        self.endpoints.unwrap_or(if self.quick { 2 } else { 10 })
    }

    /// The path of a chart: in the folder above this executable's, unless another is given.
    pub fn chart_path(&self, file: &str) -> PathBuf {
        let build_folder = || {
            let own = env::current_exe().unwrap_or_default();
            own.ancestors().nth(2).map(PathBuf::from).unwrap_or_default()
        };
        self.charts.clone().unwrap_or_else(build_folder).join(file)
    }
}

/// The line below the table, with what a reader must know to compare.
pub fn conditions(options: &Options) -> String {
    let place = match options.client {
        Place::Node => "the node's own namespace",
        Place::Pod => "a pod of the same node",
    };
    format!(
        "Client in {place}, pinned to CPU 0; server in a pod, pinned to CPU 1. Direct and ClusterIP take turns in \
         blocks of a few ms; ratios are medians of neighbouring blocks. {} endpoints for each Service but the measured one. nftables: its direct connections \
         pass the same rule set.",
        options.endpoints()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quick_leaves_time_for_the_setups() {
        let options = Cli::parse_from(["bench", "--quick"]).options;
        let plan = options.plan();
        let measured = plan.connect + plan.turn + plan.throughput + 2 * plan.udp;
        assert!(4 * measured < Duration::from_secs(40), "{measured:?}");
        let outside = options.outside_plan();
        let floods = 5 * outside.rounds * outside.flood;
        assert!(floods + outside.connects + outside.bulk < Duration::from_secs(4), "{outside:?}");
    }
}
