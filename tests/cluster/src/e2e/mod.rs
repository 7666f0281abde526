//! `cargo xtask cluster e2e`: those of Kubernetes' own end-to-end tests that a service proxy is responsible for.

mod report;
mod table;

use std::{
    env,
    fs::{self, File},
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::{Context as _, Result, bail};
use clap::Args;

use self::report::Results;
use crate::{
    certificates,
    folders::{log, source, state},
    members::Members,
    network,
    programs::Programs,
    proxy::Proxy,
};

/// Which tests run, and how.
#[derive(Args)]
pub struct Arguments {
    /// Run the tests whose names this regular expression matches, instead of a small set
    #[arg(value_name = "FOCUS", conflicts_with = "all")]
    focus: Option<String>,
    /// Run all tests that this cluster can serve
    #[arg(long)]
    all: bool,
    /// Record the results as kube-proxy's; later runs are compared with them
    #[arg(long, requires = "all")]
    record: bool,
    /// How many tests run at the same time
    #[arg(long, value_name = "N", default_value_t = 4)]
    processes: u8,
}

/// The areas that a service proxy is responsible for.
const ALL: &str = r"\[sig-network\] (Services|Networking Granular|Conntrack|EndpointSlice|HostPort|Traffic Distribution|KubeProxy|Connectivity Pod|API Server|\[Feature:IPv6DualStack\])";

/// One test of each kind; they take some minutes in all.
const SMOKE: &str = r"\[sig-network\] (Services should (serve a basic endpoint|be able to create a functioning NodePort|support externalTrafficPolicy=Local|fail health check node port|have session affinity work for service|be rejected when no endpoints|allow pods to hairpin|preserve source pod IP)|Networking Granular Checks: Services should function for (pod|node)-Service: (http|udp)|Conntrack should be able to preserve UDP traffic when server pod cycles for a ClusterIP service$)";

/// The command. Exit code 1 if a test has failed that does not fail with kube-proxy.
pub fn run(arguments: &Arguments) -> Result<ExitCode> {
    let members = Members::read()?;
    if arguments.record && members.proxy != Proxy::Kubernetes {
        bail!("--record notes kube-proxy's results: start the cluster with `--proxy kube-proxy`");
    }
    let focus = arguments.focus.as_deref().unwrap_or(if arguments.all { ALL } else { SMOKE });
    let not_applicable = Exclusions::read()?;
    println!("Kubernetes' tests run; their output is in {}", log("e2e").display());
    let results = Results::read(&ginkgo(members, focus, &not_applicable.pattern(), arguments.processes)?)?;
    if results.is_empty() {
        bail!("no test matches {focus}: see {}", log("e2e").display());
    }
    let recorded = recorded_file();
    if arguments.record {
        fs::write(&recorded, results.to_text()).with_context(|| format!("write {}", recorded.display()))?;
    }
    let text = fs::read_to_string(&recorded).with_context(|| format!("read {}", recorded.display()))?;
    let theirs = Results::from_text(&text);
    print!("{}", table::table(&results, &theirs));
    Ok(if results.new_failures(&theirs).next().is_none() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn recorded_file() -> PathBuf {
    source().join("e2e/kube-proxy.txt")
}

/// Runs the tests to the end and returns the path of their report.
fn ginkgo(members: Members, focus: &str, skip: &str, processes: u8) -> Result<PathBuf> {
    let programs = Programs::find()?;
    let output = File::create(log("e2e")).context("create the log of the tests")?;
    let errors = output.try_clone().context("open the log of the tests again")?;
    let report = state("e2e.json");
    let _ = fs::remove_file(&report);
    let mut command = network::within("control", &programs.path("ginkgo").to_string_lossy());
    command.args([&format!("--procs={processes}"), "--no-color", "--timeout=2h", "--keep-going"]);
    command.args(["--json-report=e2e.json", "--output-dir"]).arg(state(""));
    command.arg(format!("--focus={focus}")).arg(format!("--skip={skip}"));
    command.arg(programs.path("e2e.test")).arg("--");
    command.arg("--kubeconfig").arg(certificates::kubeconfig("super-admin"));
    command.arg("--kubectl-path").arg(programs.path("kubectl"));
    command.args(["--provider=skeleton", "--allowed-not-ready-nodes=0", &format!("--num-nodes={}", members.nodes)]);
    command.current_dir(state("")).stdout(output).stderr(errors);
    command.env("PATH", path_with(&programs.path(""))?);
    // The exit code only says whether tests have failed; the report says which.
    command.status().context("start ginkgo")?;
    if !report.exists() {
        bail!("the tests have not run: see {}", log("e2e").display());
    }
    Ok(report)
}

/// `PATH` with one more folder: tests call kubectl.
fn path_with(folder: &Path) -> Result<std::ffi::OsString> {
    let path = env::var_os("PATH").unwrap_or_default();
    env::join_paths(std::iter::once(folder.to_owned()).chain(env::split_paths(&path))).context("PATH")
}

/// Tests that this cluster can't serve: parts of their names.
struct Exclusions(Vec<String>);

impl Exclusions {
    fn read() -> Result<Self> {
        let path = source().join("e2e/not-applicable.txt");
        let text = fs::read_to_string(&path).with_context(|| format!("read {}", path.display()))?;
        let mut parts = Self::parse(&text);
        // A kernel without the protocol refuses its sockets.
        if !Path::new("/proc/net/sctp").exists() {
            parts.push("SCTP".to_owned());
        }
        if Members::read()?.families.addresses(crate::families::Host::Control).len() < 2 {
            parts.push("[Feature:IPv6DualStack]".to_owned());
        }
        Ok(Self(parts))
    }

    fn parse(text: &str) -> Vec<String> {
        let lines = text.lines().filter(|line| !line.starts_with('#') && !line.trim().is_empty());
        lines.filter_map(|line| Some(line.split_once(" : ")?.0.to_owned())).collect()
    }

    /// A regular expression that matches each of these parts.
    fn pattern(&self) -> String {
        let quote = |part: &String| {
            let escape = |c: char| if "\\.+*?()|[]{}^$".contains(c) { format!("\\{c}") } else { c.to_string() };
            part.chars().map(escape).collect::<String>()
        };
        self.0.iter().map(quote).collect::<Vec<_>>().join("|")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exclusions_are_names_with_reasons() {
        let parts = Exclusions::parse("# why\n[Slow] : takes long\n\nHostPort x : lab\n");
        assert_eq!(Exclusions(parts).pattern(), r"\[Slow\]|HostPort x");
    }
}
