//! kubectl and kustomize, as deploy/README.md says, and the commands with kubectl of other pages.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result, ensure};
use lab::typed::{self, Page};

use super::{
    cluster::Cluster,
    helm::{ADDED, arguments},
    kubeadm::install_kube_proxy,
    terminal::Terminal,
    tutorial::exposed_under_load,
    upgrade::needs_waggle,
};
use crate::{command, folders, proxy};

/// The line of the DaemonSet with the agents' arguments begins so.
const ARGUMENTS: &str = "args: [run, ";

/// The agents are removed, installed, updated and set back by the commands of the pages. Clients notice none of it, since programs
/// and maps keep serving without agents.
pub fn kubectl_installs_updates_and_removes_the_agents_under_load(cluster: &Cluster) -> Result<()> {
    needs_waggle(cluster)?;
    let load = exposed_under_load(cluster, 3)?;
    let outcome = by_kubectl(cluster);
    // Even after a failure: other scenarios need the cluster's own agents.
    cluster.kubectl_outside(&["apply", "-k", &proxy::overlay(cluster.members.device_mode)])?;
    cluster.daemons_run("waggle")?;
    let end = load.end();
    outcome.and(end)
}

fn by_kubectl(cluster: &Cluster) -> Result<()> {
    let folder = edited(cluster)?;
    let terminal = Terminal::within(cluster, &folder)?;
    let [remove] = Page::Deploy.commands("Upgrade and removal", "kubectl delete -k deploy --")?;
    terminal.run(&remove)?;
    // The cluster's own overlay has created it; `deploy/` does not contain it.
    terminal.run("kubectl -n kube-system delete configmap/waggle-api-server")?;
    install(&terminal)?;
    cluster.backends("client", "http://web", 3)?;
    look(cluster, &terminal)?;
    update(cluster, &terminal, &folder)?;
    cluster.backends("client", "http://web", 3)
}

/// A folder with a copy of `deploy/`, in which is changed what differs on nodes that share a machine.
fn edited(cluster: &Cluster) -> Result<PathBuf> {
    let folder = folders::state("edited");
    if folder.exists() {
        fs::remove_dir_all(&folder).with_context(|| format!("remove {}", folder.display()))?;
    }
    fs::create_dir_all(&folder).with_context(|| format!("create {}", folder.display()))?;
    command::output(Command::new("cp").arg("-r").arg(typed::repository().join("deploy")).arg(&folder))?;
    edit(&folder, "path: /sys/fs/cgroup\n", "path: /run/node-cgroup\n")?;
    if let Some(flag) = cluster.members.device_mode.flag() {
        edit(&folder, ARGUMENTS, &format!("{ARGUMENTS}{flag}, "))?;
    }
    Ok(folder)
}

/// Replaces a text in the DaemonSet.
fn edit(folder: &Path, old: &str, new: &str) -> Result<()> {
    let file = folder.join("deploy/base/daemonset.yaml");
    let text = fs::read_to_string(&file).with_context(|| format!("read {}", file.display()))?;
    ensure!(text.matches(old).count() == 1, "{} has not exactly one {old:?}", file.display());
    fs::write(&file, text.replace(old, new)).with_context(|| format!("write {}", file.display()))
}

/// The steps under "Install". The API server's address is what the page's command shows.
fn install(terminal: &Terminal) -> Result<()> {
    let [ask] = Page::Install.commands("Before you begin", "kubectl ")?;
    let url = terminal.run(&ask)?;
    let host = url.strip_prefix("https://").and_then(|rest| rest.strip_suffix(":6443"));
    let host = host.with_context(|| format!("{ask} shows {url}"))?.trim_matches(['[', ']']);
    let [name, apply, wait, status, services, remove_kube_proxy] = Page::Deploy.commands("Install", "kubectl ")?;
    terminal.run(&name.replace("192.0.2.10", host))?;
    terminal.run(&apply)?;
    terminal.run(&wait)?;
    let printed = terminal.run(&status)?;
    ensure!(printed.contains("applied"), "{status}: {printed}");
    let printed = terminal.run(&services)?;
    ensure!(printed.contains("web"), "{services}: {printed}");
    install_kube_proxy(terminal)?;
    terminal.run(&remove_kube_proxy).map(drop)
}

/// The commands with kubectl of pages that explain what is seen.
fn look(cluster: &Cluster, terminal: &Terminal) -> Result<()> {
    let client = cluster.kubectl(&["get", "pod", "client", "-o", "jsonpath={.status.podIP}"])?;
    let namespace = cluster.kubectl(&["get", "service", "web", "-o", "jsonpath={.metadata.namespace}"])?;
    let [explain] = Page::Explain.commands("Explaining a connection", "kubectl ")?;
    let explain = explain.replace("10.244.1.3", &client).replace("svc/web", &format!("{namespace}/web"));
    let printed = terminal.run(&explain)?;
    ensure!(printed.contains(&format!("Service {namespace}/web")), "{explain}: {printed}");
    let [pods, services] = Page::Troubleshoot.commands("Troubleshoot", "kubectl ")?;
    let printed = terminal.run(&pods)?;
    ensure!(printed.lines().count() == 1 + usize::from(cluster.members.nodes), "{pods}: {printed}");
    let pod = printed.lines().nth(1).and_then(|line| line.split(' ').next()).context("find an agent's pod")?;
    ensure!(terminal.run(&services.replace("POD", pod))?.contains("web"), "{services}");
    // The agent's own program stands for that of the administrator's machine. The cluster's ranges need not be the default.
    let [validate] = Page::Reference.commands("`waggle validate`", "kubectl ")?;
    let ranges = cluster.members.families.service_networks().join(",");
    let validate = validate.replace("| waggle", "| kubectl -n kube-system exec -i daemonset/waggle -- waggle");
    let printed = terminal.run(&format!("{validate} --service-cidr={ranges}"))?;
    ensure!(printed.contains("would be served"), "{validate}: {printed}");
    Ok(())
}

/// The commands with kubectl under "Update": an update adds a flag, and goes back.
fn update(cluster: &Cluster, terminal: &Terminal, folder: &Path) -> Result<()> {
    let [apply, undo] = Page::Install.commands("Update", "kubectl ")?;
    edit(folder, ARGUMENTS, &format!("{ARGUMENTS}{ADDED}, "))?;
    for (line, has_flag) in [(apply, true), (undo, false)] {
        terminal.run(&line)?;
        cluster.daemons_run("waggle")?;
        ensure!(arguments(cluster)?.contains(ADDED) == has_flag, "{line}: the agents have other arguments");
    }
    Ok(())
}
