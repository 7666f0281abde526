//! Helm and the plugin of kubectl, as docs/install.md and deploy/README.md say.

use std::{env, ffi::OsString, path::PathBuf};

use anyhow::{Context as _, Result, ensure};
use lab::typed::{self, Page};
use serde_json::Value;

use super::{
    cluster::{Cluster, eventually, outside},
    terminal::{Terminal, own_programs},
    tutorial::{exposed_to_client, exposed_under_load},
    upgrade::needs_waggle,
};
use crate::{families::Host, proxy};

/// The namespace of the agents.
const SYSTEM: &str = "--namespace=kube-system";

/// A flag that an update adds to the agents' command line.
pub const ADDED: &str = "--reject-rate=999";

/// A file or folder of `deploy/`.
pub fn deploy(name: &str) -> PathBuf {
    typed::repository().join("deploy").join(name)
}

/// The path of Helm.
pub fn program() -> Result<OsString> {
    env::var_os("HELM_BIN")
        .context("there is no Helm: `cargo xtask cluster test` builds it, and says above why it could not")
}

/// Helm adopts the agents that kustomize has installed, updates them, goes back, and removes them. Then kustomize installs them
/// again. Clients notice none of it, since programs and maps keep serving without agents.
pub fn helm_installs_updates_and_removes_the_agents_under_load(cluster: &Cluster) -> Result<()> {
    needs_waggle(cluster)?;
    let terminal = Terminal::new(cluster)?;
    let load = exposed_under_load(cluster, 3)?;
    let outcome = by_helm(cluster, &terminal);
    // Even after a failure: other scenarios need the cluster's own agents.
    if outcome.is_err() {
        let _ = uninstall(&terminal);
    }
    cluster.kubectl_outside(&["apply", "-k", &proxy::overlay(cluster.members.device_mode)])?;
    cluster.daemons_run("waggle")?;
    let end = load.end();
    outcome.and(end)
}

fn by_helm(cluster: &Cluster, terminal: &Terminal) -> Result<()> {
    let [install, show] = Page::Install.commands("With Helm", "helm ")?;
    ensure!(terminal.run(&show)?.contains("apiServer:"), "{show}");
    terminal.run(&format!("{install} --set page.enabled=true{}", differences(cluster)))?;
    verify(cluster, terminal)?;
    page(cluster, terminal)?;
    let [upgrade, rollback] = Page::Install.commands("Update", "helm ")?;
    terminal.run(&format!("{upgrade} --set 'extraArgs={{{ADDED}}}'"))?;
    cluster.daemons_run("waggle")?;
    ensure!(arguments(cluster)?.contains(ADDED), "the update has not changed the agents");
    terminal.run(&rollback)?;
    cluster.daemons_run("waggle")?;
    ensure!(!arguments(cluster)?.contains(ADDED), "the agents are still those of the update");
    uninstall(terminal)?;
    let left = ["get", "all,configmaps,serviceaccounts", "--selector=app.kubernetes.io/name=waggle", "-o", "name"];
    let left = cluster.kubectl_outside(&[&[SYSTEM], &left[..]].concat())?;
    ensure!(left.is_empty(), "Helm has left {left}");
    cluster.backends("client", "http://web", 3)
}

/// What Helm's command line has beside the page's words: agents are there already, and nodes share a machine, as in
/// deploy/overlays/cluster.
pub fn differences(cluster: &Cluster) -> String {
    let flag = cluster.members.device_mode.flag().map(|flag| format!(" --set 'extraArgs={{{flag}}}'"));
    format!(" --take-ownership --set cgroup=/run/node-cgroup{}", flag.unwrap_or_default())
}

/// Removes what Helm has installed.
pub fn uninstall(terminal: &Terminal) -> Result<()> {
    let [uninstall] = Page::Install.commands("Go back", "helm ")?;
    terminal.run(&uninstall).map(drop)
}

/// The commands under the heading "Verify".
fn verify(cluster: &Cluster, terminal: &Terminal) -> Result<()> {
    let [wait, services, devices, log]: [String; 4] = Page::Install.commands("Verify", "kubectl ")?;
    for (line, shown) in [(wait, "rolled out"), (services, "web"), (devices, "eth0"), (log, "serving")] {
        let printed = terminal.run(&line)?;
        ensure!(printed.contains(shown), "{line}: {printed}");
    }
    let [health] = Page::Install.commands("Verify", "curl ")?;
    // Responses that are no success are failures, too.
    terminal.run(&format!("{} -gfsS -m 5", health.replace("NODE", &cluster.node_address(1))))?;
    cluster.backends("client", "http://web", 3)
}

/// The page of an agent, at a port of the administrator's machine.
fn page(cluster: &Cluster, terminal: &Terminal) -> Result<()> {
    let [forward] = Page::Install.commands("The page", "kubectl ")?;
    let first = ["get", "pods", "--selector=app.kubernetes.io/name=waggle", "-o", "jsonpath={.items[0].metadata.name}"];
    let pod = cluster.kubectl_outside(&[&[SYSTEM], &first[..]].concat())?;
    let mut forwarding = terminal.start(&forward.replace("POD", &pod))?;
    let html = eventually("the page", || outside("curl", &["-fsS", "-m", "5", "http://localhost:10247/"]));
    let _ = forwarding.kill();
    let _ = forwarding.wait();
    let html = html?;
    ensure!(html.contains("<title>"), "this is no page: {html}");
    Ok(())
}

/// The command lines of the agents that run.
pub fn arguments(cluster: &Cluster) -> Result<String> {
    let pods = [
        "get",
        "pods",
        "--selector=app.kubernetes.io/name=waggle",
        "-o",
        "jsonpath={.items[*].spec.containers[*].args}",
    ];
    cluster.kubectl_outside(&[&[SYSTEM], &pods[..]].concat())
}

/// `kubectl waggle` asks the agent of a node, and names the nodes if none is given.
pub fn the_plugin_of_kubectl_asks_the_agent_of_a_node(cluster: &Cluster) -> Result<()> {
    needs_waggle(cluster)?;
    exposed_to_client(cluster, 1)?;
    let terminal = Terminal::new(cluster)?;
    let [install] = Page::Deploy.commands("kubectl waggle", "install ")?;
    terminal.run(&install.replace("/usr/local/bin/", &own_programs().display().to_string()))?;
    let [get] = Page::Deploy.commands("kubectl waggle", "kubectl ")?;
    let printed = terminal.run(&get)?;
    ensure!(printed.contains("kubernetes"), "{get}: {printed}");
    let address = cluster.kubectl(&["get", "service", "web", "-o", "jsonpath={.spec.clusterIP}"])?;
    for number in cluster.members.numbers() {
        let node = Host::Node(number).name();
        let text = terminal.run(&format!("kubectl waggle --node {node} get services --all-namespaces -o json"))?;
        let services: Value = serde_json::from_str(&text).with_context(|| text.clone())?;
        ensure!(services.to_string().contains(&format!("\"{address}:80\"")), "{node} serves no {address}:80: {text}");
        terminal.run(&format!("kubectl waggle --node {node} status"))?;
    }
    if cluster.members.nodes > 1 {
        let error = terminal.run("kubectl waggle status").err().context("one of several nodes has been asked")?;
        let nodes = cluster.members.numbers().map(|number| Host::Node(number).name()).collect::<Vec<_>>();
        ensure!(nodes.iter().all(|node| error.to_string().contains(node)), "{error}");
    }
    Ok(())
}
