//! The command line. Only parses it; `main` runs the commands.

mod capture;
mod check;
mod conntrack;
mod devices;
mod explain;
mod get;
mod go_values;
mod ignored;
mod kube_proxy;
mod metrics;
mod monitor;
mod nodeport_addresses;
mod page;
mod run;
mod sizes;
mod spelling;
mod status;
mod top;
mod validate;

use std::{ffi::OsString, path::PathBuf};

use clap::{Args, Parser, Subcommand, ValueEnum};

pub use self::{
    capture::{CaptureArgs, PacketVerdict},
    check::CheckArgs,
    conntrack::FlowArgs,
    devices::DeviceArgs,
    explain::{ClientKind, ExplainArgs, ExplainOutput, Transport},
    get::{GetArgs, NotOfKind, Output, Target, What},
    kube_proxy::KubeProxyArgs,
    metrics::MetricsArgs,
    monitor::{EventType, MonitorArgs},
    nodeport_addresses::NodePortArgs,
    run::RunArgs,
    sizes::SizeArgs,
    status::StatusArgs,
    top::{TopArgs, TopOutput},
    validate::{Format, ValidateArgs},
};

/// Waggle: a Kubernetes service proxy in eBPF
#[derive(Debug, Parser)]
#[command(name = "waggle", version, about, max_term_width = 100)]
pub struct Cli {
    /// The command to run
    #[command(subcommand)]
    pub command: Command,
}

impl Cli {
    /// Parses a command line, whose first word is the program's name.
    pub fn read(line: impl IntoIterator<Item = impl Into<OsString>>) -> Result<Self, clap::Error> {
        Self::try_parse_from(spelling::with_hyphens(line))
    }
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the agent: follow the API server or a folder of manifests and keep the data plane in step with it
    #[command(after_help = kube_proxy::HELP, args_override_self = true)]
    Run(Box<RunArgs>),
    /// Say what the agent would refuse of manifests, without being root; the exit code is 0 if there is no error
    #[command(after_help = validate::EXAMPLES)]
    Validate(ValidateArgs),
    /// Show what is in force, read from the pinned maps; works without a running agent
    #[command(after_help = get::EXAMPLES)]
    Get(GetArgs),
    /// Follow the rates of Services, their backends, and what is refused, on the terminal; works without a running agent
    ///
    /// Keys: ↑ ↓ choose, Enter shows a Service's backends, Esc goes back, Tab shows refusals, s sorts, / filters, ? explains the
    /// numbers, q quits. If standard output is not a terminal, one frame is printed as plain text, as with --once.
    #[command(after_help = top::EXAMPLES)]
    Top(TopArgs),
    /// Follow what happens to connections, flows and packets of Services, as it happens: new, ended, refused; works without a
    /// running agent
    #[command(after_help = monitor::EXAMPLES)]
    Monitor(Box<MonitorArgs>),
    /// Print the commands of bpftool that dump an instance's maps and programs as the kernel has them
    Bpftool(InstanceArgs),
    /// Show on one screen how well an instance is: health, source, hooks, devices, maps, and what is not served
    #[command(after_help = status::AFTER_HELP)]
    Status(StatusArgs),
    /// Look whether this machine can run Waggle, and whether it will run well; changes nothing
    #[command(after_help = check::AFTER_HELP)]
    Check(Box<CheckArgs>),
    /// Say step by step what would happen to a new connection, read from the pinned maps; changes nothing, and works without a
    /// running agent
    #[command(after_help = explain::AFTER_HELP)]
    Explain(ExplainArgs),
    /// Write what XDP and TC receive and send to a pcapng file, with Service and verdict in a comment on each packet; works without
    /// a running agent
    #[command(after_help = capture::AFTER_HELP)]
    Capture(Box<CaptureArgs>),
    /// Tell by the exit code whether an instance's agent runs and serves, for startup probes
    Ready(InstanceArgs),
    /// Remove an instance's data plane (its hooks, then its maps), or what kube-proxy left on the node
    Cleanup(CleanupArgs),
    /// Print a script that completes waggle's commands and options in a shell
    #[command(after_help = COMPLETION_EXAMPLES)]
    Completion {
        /// The shell
        shell: Shell,
    },
}

/// A shell that completion is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
#[expect(missing_docs, reason = "each is the shell of its name")]
pub enum Shell {
    Bash,
    Zsh,
    Fish,
}

impl From<Shell> for clap_complete::Shell {
    fn from(shell: Shell) -> Self {
        match shell {
            Shell::Bash => Self::Bash,
            Shell::Zsh => Self::Zsh,
            Shell::Fish => Self::Fish,
        }
    }
}

const COMPLETION_EXAMPLES: &str = "\
Examples:
  source <(waggle completion bash)
  waggle completion zsh > \"${fpath[1]}/_waggle\"
  waggle completion fish > ~/.config/fish/completions/waggle.fish";

/// The flag that names an instance.
#[derive(Args, Clone, Debug)]
pub struct InstanceArgs {
    /// Name of the instance and of its folder in /sys/fs/bpf/waggle, so that several agents can share a machine
    #[arg(long, value_name = "NAME", default_value = "default", value_parser = instance)]
    pub instance: String,
}

/// `waggle cleanup`.
#[derive(Args, Clone, Debug)]
pub struct CleanupArgs {
    /// The instance to remove
    #[command(flatten)]
    pub instance: InstanceArgs,
    /// Remove the instance although its agent is running. With --kube-proxy: although kube-proxy is running, and also cut
    /// the connections that IPVS carries
    #[arg(long)]
    pub force: bool,
    /// Remove what kube-proxy left in this network namespace, in any of its modes, and nothing of Waggle: rules of nftables
    /// and iptables, ipsets, virtual servers, and the device kube-ipvs0. Connections that netfilter translates continue
    #[arg(long, conflicts_with = "instance")]
    pub kube_proxy: bool,
    /// With --kube-proxy: show what would be removed, but remove nothing
    #[arg(long, requires = "kube_proxy")]
    pub dry_run: bool,
    /// With --kube-proxy: the folder where the node's root file system is mounted in a container, to use the node's programs
    /// (iptables, ipvsadm) and see its processes
    #[arg(long, value_name = "FOLDER", requires = "kube_proxy")]
    pub root: Option<PathBuf>,
}

/// Checks the name of an instance, which becomes a folder in the BPF file system. The file system refuses dots.
fn instance(text: &str) -> Result<String, String> {
    let allowed = |character: char| character.is_ascii_alphanumeric() || character == '-' || character == '_';
    if !text.is_empty() && text.len() <= 63 && text.chars().all(allowed) {
        Ok(text.into())
    } else {
        Err("give 1 to 63 letters, digits, `-` and `_`".into())
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
    fn lines_of_prose_are_broken_by_the_terminals_width_alone() {
        for command in Cli::command().get_subcommands() {
            let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
            let is_prose = |line: &str| !line.is_empty() && !line.starts_with(' ') && !line.ends_with(':');
            let lines: Vec<_> = help.lines().collect();
            let broken = lines.windows(2).find(|pair| pair.iter().all(|line| is_prose(line)));
            assert_eq!(broken, None, "{}", command.get_name());
        }
    }

    #[test]
    fn what_cleans_up_after_kube_proxy_is_no_option_of_an_instances_cleanup() {
        let parse =
            |arguments: &str| Cli::try_parse_from(["waggle", "cleanup"].into_iter().chain(arguments.split(' ')));
        assert!(parse("--kube-proxy --dry-run --root /host").is_ok());
        for wrong in ["--dry-run", "--root /host", "--kube-proxy --instance a"] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn bad_instances_are_refused() {
        assert!(instance("a.b").is_err() && instance("").is_err() && instance("lab-1_x").is_ok());
    }
}
