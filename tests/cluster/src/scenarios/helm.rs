//! Helm and the plugin of kubectl, as docs/install.md and deploy/README.md say.

use std::{env, ffi::OsString, fs, path::PathBuf, process::Command};

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use super::{
    cluster::{Cluster, outside},
    tutorial::{exposed_to_client, exposed_under_load},
    upgrade::needs_waggle,
};
use crate::{certificates, command, device_mode::DeviceMode, families::Host, folders, network, proxy};

/// The namespace of the agents.
const SYSTEM: &str = "--namespace=kube-system";

/// A flag that an update adds to the agents' command line.
const ADDED: &str = "--reject-rate=999";

/// A file or folder of `deploy/`.
pub fn deploy(name: &str) -> PathBuf {
    folders::source().join("../../deploy").join(name)
}

/// The path of Helm.
pub fn program() -> Result<OsString> {
    env::var_os("HELM_BIN")
        .context("there is no Helm: `cargo xtask cluster test` builds it, and says above why it could not")
}

/// Helm adopts the agents that kustomize has installed, updates them, goes back, and removes them. Then kustomize installs them
/// again. Clients notice none of it, since programs and maps serve on without agents.
pub fn helm_installs_updates_and_removes_the_agents_under_load(cluster: &Cluster) -> Result<()> {
    needs_waggle(cluster)?;
    let load = exposed_under_load(cluster, 3)?;
    let outcome = by_helm(cluster);
    // Even after a failure: other scenarios need the cluster's own agents.
    if outcome.is_err() {
        let _ = documented("helm uninstall").and_then(|words| helm(&words));
    }
    cluster.kubectl_outside(&["apply", "-k", &proxy::overlay(cluster.members.device_mode)])?;
    cluster.daemons_run("waggle")?;
    let end = load.end();
    outcome.and(end)
}

fn by_helm(cluster: &Cluster) -> Result<()> {
    let mut install = documented("helm install waggle deploy/chart")?;
    // What differs here: agents are there already, and nodes share a machine, as in deploy/overlays/cluster.
    install.extend(["--take-ownership", "--set", "cgroup=/run/node-cgroup"].map(str::to_owned));
    match cluster.members.device_mode {
        DeviceMode::Auto => (),
        DeviceMode::Tc => install.extend(["--set", "extraArgs={--device-mode=tc}"].map(str::to_owned)),
        DeviceMode::Xdp => install.extend(["--set", "extraArgs={--device-mode=xdp}"].map(str::to_owned)),
    }
    helm(&install)?;
    verify(cluster)?;
    let mut upgrade = documented("helm upgrade")?;
    upgrade.extend(["--set".to_owned(), format!("extraArgs={{{ADDED}}}")]);
    helm(&upgrade)?;
    cluster.daemons_run("waggle")?;
    ensure!(arguments(cluster)?.contains(ADDED), "the update has not changed the agents");
    helm(&documented("helm rollback")?)?;
    cluster.daemons_run("waggle")?;
    ensure!(!arguments(cluster)?.contains(ADDED), "the agents are still those of the update");
    helm(&documented("helm uninstall")?)?;
    let left = ["get", "all,configmaps,serviceaccounts", "--selector=app.kubernetes.io/name=waggle", "-o", "name"];
    let left = cluster.kubectl_outside(&[&[SYSTEM], &left[..]].concat())?;
    ensure!(left.is_empty(), "Helm has left {left}");
    cluster.backends("client", "http://web", 3)
}

/// The commands under the heading "Verify".
fn verify(cluster: &Cluster) -> Result<()> {
    for what in [
        "rollout status",
        "exec daemonset/waggle -- waggle get services",
        "exec daemonset/waggle -- waggle get devices",
    ] {
        let words = documented(&format!("kubectl -n kube-system {what}"))?;
        cluster.kubectl_outside(&words.iter().map(String::as_str).collect::<Vec<_>>())?;
    }
    for url in documented("curl http://NODE")? {
        outside("curl", &["-gfsS", "-m", "5", &url.replace("NODE", &cluster.node_address(1))])?;
    }
    cluster.backends("client", "http://web", 3)
}

/// The words behind the program in the first line of docs/install.md that begins so. The names that the page takes as examples are
/// replaced by this cluster's.
fn documented(start: &str) -> Result<Vec<String>> {
    let page = deploy("../docs/install.md");
    let text = fs::read_to_string(&page).with_context(|| format!("read {}", page.display()))?;
    let line = text.lines().find(|line| line.trim().starts_with(start));
    let line = line.with_context(|| format!("docs/install.md has no line that begins with `{start}`"))?;
    let chart = deploy("chart").display().to_string();
    let names =
        [("REGISTRY/waggle", "waggle"), ("192.0.2.10", "control"), ("deploy/chart", &chart), ("=TAG", "=0.1.0")];
    let line = names.iter().fold(line.to_owned(), |line, (example, own)| line.replace(example, own));
    Ok(line.split_whitespace().skip(1).map(str::to_owned).collect())
}

/// The command lines of the agents that run.
fn arguments(cluster: &Cluster) -> Result<String> {
    let pods = [
        "get",
        "pods",
        "--selector=app.kubernetes.io/name=waggle",
        "-o",
        "jsonpath={.items[*].spec.containers[*].args}",
    ];
    cluster.kubectl_outside(&[&[SYSTEM], &pods[..]].concat())
}

/// Runs Helm as the cluster's administrator.
fn helm(arguments: &[String]) -> Result<String> {
    let mut helm = network::within("control", &program()?.to_string_lossy());
    helm.args(arguments).arg("--kubeconfig").arg(certificates::kubeconfig("super-admin"));
    command::output(&mut helm)
}

/// `kubectl waggle` asks the agent of a node, and names the nodes if none is given.
pub fn the_plugin_of_kubectl_asks_the_agent_of_a_node(cluster: &Cluster) -> Result<()> {
    needs_waggle(cluster)?;
    exposed_to_client(cluster, 1)?;
    let address = cluster.kubectl(&["get", "service", "web", "-o", "jsonpath={.spec.clusterIP}"])?;
    for number in cluster.members.numbers() {
        let node = Host::Node(number).name();
        let text = command::output(plugin(cluster)?.args([
            "--node",
            &node,
            "get",
            "services",
            "--all-namespaces",
            "-o",
            "json",
        ]))?;
        let services: Value = serde_json::from_str(&text).with_context(|| text.clone())?;
        ensure!(services.to_string().contains(&format!("\"{address}:80\"")), "{node} serves no {address}:80: {text}");
        command::output(plugin(cluster)?.args(["--node", &node, "status"]))?;
    }
    if cluster.members.nodes > 1 {
        let error =
            command::output(plugin(cluster)?.arg("status")).err().context("one of several nodes has been asked")?;
        let nodes = cluster.members.numbers().map(|number| Host::Node(number).name()).collect::<Vec<_>>();
        ensure!(nodes.iter().all(|node| error.to_string().contains(node)), "{error}");
    }
    Ok(())
}

/// `kubectl waggle`, with kubectl and the plugin in the PATH.
fn plugin(cluster: &Cluster) -> Result<Command> {
    let programs = cluster.programs.path("kubectl").parent().context("kubectl is in no folder")?.to_owned();
    let own = env::var_os("PATH").unwrap_or_default();
    let path = env::join_paths([programs, deploy("")].into_iter().chain(env::split_paths(&own)))?;
    let mut kubectl = network::within("control", "kubectl");
    kubectl.arg("waggle").env("PATH", path).env("KUBECONFIG", certificates::kubeconfig("super-admin"));
    Ok(kubectl)
}
