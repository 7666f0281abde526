//! `cargo xtask cluster`: a real Kubernetes cluster on one machine, without a container engine. The control plane and
//! each node have network namespaces on one bridge, and run what other clusters run: etcd, kube-apiserver, kubelet,
//! containerd, CNI, CoreDNS, pods. Uplinks are veths with the kernel's own settings, as in kind.

use std::{path::PathBuf, process::ExitCode};

use anyhow::Result;
use clap::{Parser, Subcommand};

use crate::{device_mode::DeviceMode, families::Families, members::Members, programs::Programs, proxy::Proxy};

mod certificates;
mod cgroups;
mod command;
mod control_plane;
mod device_mode;
mod down;
mod e2e;
mod families;
mod folders;
mod images;
mod kubectl;
mod members;
mod network;
mod node;
mod process;
mod programs;
mod proxy;
mod scenarios;
mod status;
mod up;

/// A real Kubernetes cluster in network namespaces of this machine
#[derive(Parser)]
#[command(bin_name = "cargo xtask cluster")]
struct Arguments {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Start the cluster; the first time this builds Kubernetes' programs, for about a quarter of an hour
    Up {
        /// Number of nodes
        #[arg(long, value_name = "N", default_value_t = 2, value_parser = clap::value_parser!(u8).range(1..=9))]
        nodes: u8,
        /// The proxy that serves Services
        #[arg(long, value_enum, default_value_t = Proxy::Waggle)]
        proxy: Proxy,
        /// IP families of nodes, pods and Services
        #[arg(long, value_enum, default_value_t = Families::Dual)]
        families: Families,
        /// How Waggle serves the nodes' uplinks
        #[arg(long, value_enum, default_value_t = DeviceMode::Auto)]
        device_mode: DeviceMode,
        /// Build Waggle's image as deploy/Containerfile says, by buildah and from base images of registries
        #[arg(long)]
        containerfile: bool,
        /// The program for Waggle's image, unless buildah builds the image
        #[arg(long, env = "WAGGLE_BIN", value_name = "FILE", hide = true)]
        program: Option<PathBuf>,
    },
    /// Stop the cluster and remove everything: processes, namespaces, mounts, control groups, files
    Down,
    /// Write Waggle's image as an archive in OCI's layout, for `cargo xtask dist`
    #[command(hide = true)]
    Image {
        /// The archive
        archive: PathBuf,
        /// The program in the image
        #[arg(long, env = "WAGGLE_BIN", value_name = "FILE", hide = true)]
        program: PathBuf,
    },
    /// Print where Kubernetes' programs are; fail if they are not built yet
    Programs,
    /// Run kubectl in the cluster
    Kubectl {
        /// kubectl's arguments
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
    /// List the processes of the cluster, and where their logs are
    Status,
    /// Run Kubernetes' own tests of service proxies
    E2e(e2e::Arguments),
    /// Run scenarios of what users do with Services
    Test(scenarios::Arguments),
    /// Run a command on a node, or a shell
    Shell {
        /// The node's name, or `control`
        node: String,
        /// The command
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        command: Vec<String>,
    },
}

fn main() -> ExitCode {
    run(Arguments::parse().task).unwrap_or_else(|error| {
        eprintln!("error: {error:#}");
        ExitCode::FAILURE
    })
}

fn run(task: Task) -> Result<ExitCode> {
    match task {
        Task::Up { nodes, proxy, families, device_mode, containerfile, program } => {
            let source = images::Source::new(containerfile, program)?;
            up::run(Members { nodes, proxy, families, device_mode }, &source)
        }
        Task::Down => down::run(),
        Task::Image { archive, program } => images::write(&program, &archive),
        Task::Programs => Programs::show(),
        Task::Kubectl { arguments } => kubectl::run(&arguments),
        Task::Status => status::run(),
        Task::E2e(arguments) => e2e::run(&arguments),
        Task::Test(arguments) => scenarios::run(&arguments),
        Task::Shell { node, command } => process::shell(&node, &command),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_readmes_commands_can_be_parsed() {
        let commands = lab::typed::all("README.md").unwrap().into_iter().map(|command| command.line);
        let own: Vec<_> = commands.filter(|line| line.starts_with("cargo xtask cluster ")).collect();
        assert!(own.len() >= 4, "{own:?}");
        for line in own {
            let words = line.split(' ').skip(2);
            assert!(Arguments::try_parse_from(words).is_ok(), "{line}");
        }
    }
}
