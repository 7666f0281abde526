//! The command line. It says what can be asked for; `main` does it.

mod devices;
mod flows;
mod kube_proxy;
mod metrics;
mod run;
mod sizes;

use clap::{Args, Parser, Subcommand, ValueEnum};

pub use self::{
    devices::DeviceArgs, flows::FlowArgs, kube_proxy::KubeProxyArgs, metrics::MetricsArgs, run::RunArgs,
    sizes::SizeArgs,
};

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
    #[command(after_help = kube_proxy::HELP)]
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
    fn bad_instances_are_refused() {
        assert!(instance("a.b").is_err() && instance("").is_err() && instance("lab-1_x").is_ok());
    }
}
