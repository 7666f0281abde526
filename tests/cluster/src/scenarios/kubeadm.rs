//! kubeadm's own ConfigMap `kube-proxy` as the configuration of the agents.

use std::process::Command;

use anyhow::{Context as _, Result, ensure};

use super::{cluster::Cluster, tutorial::exposed_under_load, upgrade::needs_waggle};
use crate::{certificates, command, folders, kubectl, network, proxy};

/// The namespace of the agents and of kube-proxy.
const SYSTEM: &str = "--namespace=kube-system";

/// kubeadm installs kube-proxy, whose DaemonSet goes and whose ConfigMap stays, as deploy/README.md says. The agents of
/// `deploy/overlays/kubeadm` start with that ConfigMap as it is, and serve on.
pub fn kubeadms_config_map_configures_the_agents(cluster: &Cluster) -> Result<()> {
    needs_waggle(cluster)?;
    install_kube_proxy(cluster)?;
    cluster.kubectl_outside(&[SYSTEM, "delete", "daemonset/kube-proxy", "--cascade=foreground"])?;
    let load = exposed_under_load(cluster, 3)?;
    let outcome = configured(cluster);
    // Even after a failure: other scenarios need the cluster's own agents.
    cluster.kubectl_outside(&["apply", "-k", &proxy::overlay(cluster.members.device_mode)])?;
    cluster.daemons_run("waggle")?;
    let end = load.end();
    outcome.and(end)
}

/// `kubeadm init phase addon kube-proxy`: the DaemonSet, its account, and the ConfigMap.
fn install_kube_proxy(cluster: &Cluster) -> Result<()> {
    let program = cluster.programs.path("kubeadm");
    let mut kubeadm: Command = network::within("control", &program.to_string_lossy());
    kubeadm.args(["init", "phase", "addon", "kube-proxy", "--config"]).arg(folders::state("kubeadm.json"));
    kubeadm.arg("--kubeconfig").arg(certificates::kubeconfig("super-admin"));
    command::output(&mut kubeadm).map(drop)
}

/// Replaces the agents by those of the overlay, but for what differs on nodes that share a machine. The kubeconfig in the
/// ConfigMap is then all that says where the API server is.
fn configured(cluster: &Cluster) -> Result<()> {
    let overlay = folders::source().join("../../deploy/overlays/kubeadm").display().to_string();
    let text = cluster.kubectl_outside(&["kustomize", &overlay])?;
    let (own, shared) = ("path: /sys/fs/cgroup\n", "path: /run/node-cgroup\n");
    ensure!(text.matches(own).count() == 1, "the overlay names the cgroup in another way: {text}");
    cluster.kubectl_outside(&[SYSTEM, "delete", "configmap/waggle-api-server"])?;
    kubectl::apply(&cluster.programs, &text.replace(own, shared))?;
    cluster.daemons_run("waggle")?;
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
