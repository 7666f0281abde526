//! `cargo xtask cluster up`.

use std::{
    fs,
    path::PathBuf,
    process::{Command, ExitCode},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};

use crate::{
    certificates, cgroups, command, control_plane,
    device_mode::DeviceMode,
    down,
    folders::{self, STATE, state},
    images, kubectl,
    members::Members,
    network, node, process,
    programs::Programs,
    proxy::{self, Proxy},
};

/// How long nodes and DNS may take to be ready.
const WAIT_LIMIT: Duration = Duration::from_mins(5);

/// A file that a cluster has once it is complete. A start that was killed leaves none.
const COMPLETE: &str = "complete";

/// The command. Removes what an interrupted start left, and a cluster whose processes have ended.
pub fn run(members: Members, source: &images::Source) -> Result<ExitCode> {
    if members.proxy != Proxy::Waggle && members.device_mode != DeviceMode::Auto {
        bail!("--device-mode is for Waggle, and --proxy selects another proxy");
    }
    let _lock = folders::lock()?;
    if state(COMPLETE).exists() && cgroups::have_processes()? {
        bail!("a cluster runs already: `cargo xtask cluster down` removes it");
    }
    let programs = Programs::build()?;
    let started = Instant::now();
    let step = |text: &str| println!("{:6.1} s  {text}", started.elapsed().as_secs_f64());
    let archives = images::make(&programs, source)?;
    step(&format!("{} images, Waggle's of {} MB", archives.len(), size_of_waggles(&archives)?));
    let made = make(&programs, members, &archives, &step);
    if made.is_err() {
        println!("removing what was made; the logs stay in {STATE}/logs until the next start");
        down::remove(true)?;
        made?;
    }
    fs::write(state(COMPLETE), "").with_context(|| format!("write {STATE}/{COMPLETE}"))?;
    println!("\n`cargo xtask cluster kubectl get pods -A` looks inside; logs are in {STATE}/logs");
    Ok(ExitCode::SUCCESS)
}

/// The size of Waggle's image as a registry would have it, megabytes.
fn size_of_waggles(archives: &[(String, PathBuf)]) -> Result<u64> {
    let (_, path) =
        archives.iter().find(|(name, _)| name.ends_with("/waggle")).context("there is no image of Waggle")?;
    Ok(fs::metadata(path).with_context(|| format!("read {}", path.display()))?.len().div_ceil(1_000_000))
}

fn make(programs: &Programs, members: Members, archives: &[(String, PathBuf)], step: &dyn Fn(&str)) -> Result<()> {
    down::remove(false)?;
    for folder in ["", "logs", "processes", "pki", "ns"] {
        fs::create_dir_all(state(folder)).with_context(|| format!("create {STATE}/{folder}"))?;
    }
    members.write()?;
    // Namespaces are named by mounts, which must not be passed on to other mount namespaces.
    command::output(Command::new("mount").args(["--bind"]).arg(state("ns")).arg(state("ns")))?;
    command::output(Command::new("mount").arg("--make-private").arg(state("ns")))?;
    cgroups::make(members)?;
    network::make(members)?;
    members.device_mode.prepare(members.hosts())?;
    for number in members.numbers() {
        node::make(members, number)?;
    }
    step(&format!("{} nodes and the control plane have their namespaces", members.nodes));
    certificates::make(programs, members)?;
    control_plane::start_all(programs, members)?;
    step("the API server is ready");
    for manifest in ["administrators.yaml", "coredns.yaml"] {
        let path = folders::source().join("manifests").join(manifest);
        let text = fs::read_to_string(&path).with_context(|| format!("read {}", path.display()))?;
        kubectl::apply(programs, &adapted(&text, members))?;
    }
    for number in members.numbers() {
        node::start_all(programs, members, number, archives)?;
    }
    node::register(programs, members)?;
    step("the nodes have joined");
    proxy::start_all(programs, members)?;
    kubectl::output(programs, &["wait", "node", "--all", "--for=condition=Ready", &patience()])?;
    step("the nodes are ready");
    if members.proxy == Proxy::Waggle {
        let daemons = ["-n", "kube-system", "rollout", "status", "daemonset/waggle", &patience()];
        kubectl::output(programs, &daemons)?;
        step("waggle is ready on every node");
    }
    if members.proxy != Proxy::None {
        kubectl::output(programs, &["-n", "kube-system", "rollout", "status", "deployment/coredns", &patience()])?;
        step("DNS is ready");
    }
    process::check_all()
}

fn patience() -> String {
    format!("--timeout={}s", WAIT_LIMIT.as_secs())
}

/// A manifest in which DNS's addresses are filled in.
fn adapted(text: &str, members: Members) -> String {
    let dns = members.families.dns();
    let quoted: Vec<_> = dns.iter().map(|address| format!("\"{address}\"")).collect();
    let quoted = quoted.join(", ");
    text.replace("CLUSTER_IPS", &quoted).replace("CLUSTER_IP", &dns[0])
}
