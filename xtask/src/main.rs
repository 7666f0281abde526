//! `cargo xtask`: parses the command line and dispatches. Each command has a file or folder, and prints what it runs.

mod bench;
mod cargo;
mod cluster;
mod command;
mod dist;
mod docs;
mod ebpf_toolchain;
mod fuzz;
mod libtest;
mod lint;
mod machine;
mod markdown;
mod package_tools;
mod programs;
mod run;
mod setup;
mod soak;
mod test;
mod vm;

use std::process::ExitCode;

use anyhow::Result;
use cargo::Profile;
use clap::{Parser, Subcommand};

/// The project's commands.
#[derive(Parser)]
#[command(bin_name = "cargo xtask")]
struct Arguments {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Install what building, linting and testing need
    Setup {
        /// Only print what is missing; exit code 1 if anything is
        #[arg(long)]
        check: bool,
        /// Install only what this purpose needs; may be repeated
        #[arg(long = "for", value_name = "PURPOSE")]
        purposes: Vec<setup::Purpose>,
    },
    /// Check formatting, lints, docs, dependencies, source files, links, and the rules that tests cite
    Lint,
    /// Write docs/reference.md and the tables of docs/metrics.md from the code and, if mdbook is there, make the book of all pages
    Docs {
        /// Only make the book; compile mdbook if it is missing
        #[arg(long)]
        book: bool,
    },
    /// Run every test that this machine can run
    Test {
        /// Run only tests whose name contains one of these
        filters: Vec<String>,
    },
    /// Run the demo or, with arguments after `--`, the agent
    Run {
        /// Stop the demo after its first table
        #[arg(long, conflicts_with = "agent")]
        once: bool,
        /// Build in release mode: takes longer, but the agent is much faster with thousands of Services
        #[arg(long)]
        release: bool,
        /// Arguments for `waggle run`
        #[arg(last = true)]
        agent: Vec<String>,
    },
    /// Send random packets through the packet programs or, with the name of a target, random input through the agent's readers
    Fuzz {
        /// Arguments for the fuzzer: `--packets N`, `--seed N`; or a target, and `--minutes N`
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
    /// Disturb an agent and its machine under load, and count lost connections and packets
    Soak {
        /// Arguments for the soak: `--minutes N`, `--seed NUMBER`, `--only KIND,…`, `--json FILE`
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
    /// Measure connects and throughput against direct connections and nftables
    Bench {
        /// Arguments for the benchmark: `--quick`, `--json FILE`
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
    /// Run a real Kubernetes cluster on this machine, with Waggle in it
    #[command(disable_help_flag = true)]
    Cluster {
        /// What to do: `up`, `down`, `kubectl …`, `status`, `shell NODE`, `e2e`, `test`; `--help` says more
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
    /// Make a release: the program, an SBOM, an OCI image, a Debian package, the Helm chart, the manifests, checksums
    Dist(dist::Arguments),
    /// Boot other kernels in an emulated machine and run the tests that depend on the kernel
    Vm(vm::Arguments),
}

fn main() -> ExitCode {
    dispatch(Arguments::parse().task).unwrap_or_else(|error| {
        // Printed here, since a returned error would be buried below a backtrace if `RUST_BACKTRACE` is set.
        eprintln!("error: {error:#}");
        ExitCode::FAILURE
    })
}

fn dispatch(task: Task) -> Result<ExitCode> {
    match task {
        Task::Setup { check, purposes } => setup::command(check, &purposes),
        Task::Lint => lint::command(),
        Task::Docs { book } => docs::command(book),
        Task::Test { filters } => test::command(&filters),
        Task::Run { once, release, agent } => {
            run::command(once, if release { Profile::Release } else { Profile::Dev }, &agent)
        }
        Task::Fuzz { arguments } => fuzz::command(&arguments),
        Task::Soak { arguments } => soak::command(&arguments),
        Task::Bench { arguments } => bench::command(&arguments),
        Task::Cluster { arguments } => cluster::command(&arguments),
        Task::Dist(arguments) => dist::command(&arguments),
        Task::Vm(arguments) => vm::command(&arguments),
    }
}
