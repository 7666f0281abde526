//! kubeadm's own ConfigMap `kube-proxy` as the configuration of the agents.

use anyhow::{Context as _, Result, ensure};
use lab::typed::Page;

use super::{
    cluster::Cluster,
    helm::{self, deploy},
    terminal::Terminal,
    tutorial::exposed_under_load,
    upgrade::needs_waggle,
};
use crate::{certificates, folders, kubectl, proxy};

/// The namespace of the agents and of kube-proxy.
const SYSTEM: &str = "--namespace=kube-system";

/// kubeadm installs kube-proxy, whose DaemonSet goes and whose ConfigMap stays, as the pages say. The agents start with that
/// ConfigMap as it is, and keep serving: those that Helm installs, and those of `deploy/overlays/kubeadm`.
pub fn kubeadms_config_map_configures_the_agents(cluster: &Cluster) -> Result<()> {
    needs_waggle(cluster)?;
    let terminal = Terminal::new(cluster)?;
    install_kube_proxy(&terminal)?;
    let load = exposed_under_load(cluster, 3)?;
    let mut outcome = by_helm(cluster, &terminal);
    // Even after a failure: other scenarios need the cluster's own agents.
    let _ = helm::uninstall(&terminal);
    if outcome.is_ok() {
        outcome = by_kustomize(cluster);
    }
    cluster.kubectl_outside(&["apply", "-k", &proxy::overlay(cluster.members.device_mode)])?;
    cluster.daemons_run("waggle")?;
    let end = load.end();
    outcome.and(end)
}

/// Installs kube-proxy's DaemonSet, its account, and the ConfigMap, by the page's command. The flags are for a control plane that
/// `kubeadm init` has not made as a whole.
pub fn install_kube_proxy(terminal: &Terminal) -> Result<()> {
    let [addon] = Page::Install.commands("Go back", "kubeadm ")?;
    let (config, administrator) = (folders::state("kubeadm.json"), certificates::kubeconfig("super-admin"));
    let flags = format!("--config {} --kubeconfig {}", config.display(), administrator.display());
    terminal.run(&format!("{addon} {flags}")).map(drop)
}

/// The commands under "kubeadm" for a cluster that has kube-proxy. The kubeconfig in the ConfigMap is then all that says where the
/// API server is.
fn by_helm(cluster: &Cluster, terminal: &Terminal) -> Result<()> {
    let [of_a_new_cluster, install] = Page::Install.commands("kubeadm", "helm ")?;
    let [usual] = Page::Install.commands("With Helm", "helm install")?;
    ensure!(of_a_new_cluster == usual, "no scenario types {of_a_new_cluster}");
    let [wait, remove] = Page::Install.commands("kubeadm", "kubectl ")?;
    cluster.kubectl_outside(&[SYSTEM, "delete", "configmap/waggle-api-server"])?;
    terminal.run(&(install + &helm::differences(cluster)))?;
    terminal.run(&wait)?;
    terminal.run(&remove)?;
    configured(cluster)
}

/// Installs the agents of the overlay, but for what differs on nodes that share a machine.
fn by_kustomize(cluster: &Cluster) -> Result<()> {
    let text = cluster.kubectl_outside(&["kustomize", &deploy("overlays/kubeadm").display().to_string()])?;
    let (own, shared) = ("path: /sys/fs/cgroup\n", "path: /run/node-cgroup\n");
    ensure!(text.matches(own).count() == 1, "the overlay names the cgroup in another way: {text}");
    kubectl::apply(&cluster.programs, &text.replace(own, shared))?;
    cluster.daemons_run("waggle")?;
    configured(cluster)
}

/// Checks that every agent has read the ConfigMap.
fn configured(cluster: &Cluster) -> Result<()> {
    let pods = ["get", "pods", "--selector=app.kubernetes.io/name=waggle", "-o", "name"];
    let pods = cluster.kubectl_outside(&[&[SYSTEM], &pods[..]].concat())?;
    ensure!(pods.lines().count() == usize::from(cluster.members.nodes), "agents: {pods}");
    for pod in pods.lines() {
        let log = cluster.kubectl_outside(&[SYSTEM, "logs", pod])?;
        let mut warnings = log.lines().filter(|line| line.contains("/var/lib/kube-proxy/config.conf"));
        let warning = warnings.next().with_context(|| format!("no warning about the file: {log}"))?;
        // What kubeadm's file says and Waggle ignores, and nothing unknown.
        ensure!(warning.contains("clusterCIDR") && !warning.contains("unknown="), "{warning}");
        ensure!(warnings.next().is_none(), "several lines about the file: {log}");
    }
    cluster.backends("client", "http://web", 3)
}
