//! Keys, certificates and kubeconfigs, made by kubeadm as in other clusters.

use std::{fs, path::PathBuf, process::Command};

use anyhow::{Context as _, Result};
use serde_json::json;

use crate::{command::output, families::Host, folders::state, members::Members, programs::Programs};

/// A file of the cluster's own certificate authorities.
pub fn file(name: &str) -> PathBuf {
    state("pki").join(name)
}

/// The host name of the API server, as in `/etc/hosts` of every node.
pub const CONTROL: &str = "control";

/// Makes all keys, certificates and kubeconfigs.
pub fn make(programs: &Programs, members: Members) -> Result<()> {
    let config = state("kubeadm.json");
    let address = members.families.addresses(Host::Control)[0];
    let join = |networks: Vec<String>| networks.join(",");
    let documents = [
        json!({
            "apiVersion": "kubeadm.k8s.io/v1beta4",
            "kind": "InitConfiguration",
            "localAPIEndpoint": { "advertiseAddress": address, "bindPort": 6443 },
            "nodeRegistration": { "name": CONTROL, "criSocket": "unix:///run/containerd/containerd.sock" },
        }),
        json!({
            "apiVersion": "kubeadm.k8s.io/v1beta4",
            "kind": "ClusterConfiguration",
            "kubernetesVersion": programs.version(),
            "certificatesDir": state("pki"),
            "networking": {
                "serviceSubnet": join(members.families.service_networks()),
                "podSubnet": join(members.families.cluster_networks()),
            },
            "apiServer": { "certSANs": [CONTROL] },
        }),
    ];
    let text: Vec<_> = documents.iter().map(ToString::to_string).collect();
    fs::write(&config, text.join("\n---\n")).with_context(|| format!("write {}", config.display()))?;
    let kubeadm = || Command::new(programs.path("kubeadm"));
    output(kubeadm().args(["init", "phase", "certs", "all", "--config"]).arg(&config))?;
    for who in ["admin", "super-admin", "controller-manager", "scheduler"] {
        let mut command = kubeadm();
        command.args(["init", "phase", "kubeconfig", who, "--config"]).arg(&config);
        output(command.arg("--kubeconfig-dir").arg(state("")))?;
    }
    for number in members.numbers() {
        user(programs, &config, &format!("system:node:{}", Host::Node(number).name()), Some("system:nodes"))?;
    }
    user(programs, &config, "system:kube-proxy", None)
}

/// The kubeconfig of a user.
pub fn kubeconfig(user: &str) -> PathBuf {
    state(format!("{}.conf", user.replace(':', "-")))
}

fn user(programs: &Programs, config: &PathBuf, name: &str, group: Option<&str>) -> Result<()> {
    let mut command = Command::new(programs.path("kubeadm"));
    command.args(["kubeconfig", "user", "--client-name", name, "--config"]).arg(config);
    command.args(group.iter().flat_map(|group| ["--org", group]));
    let path = kubeconfig(name);
    fs::write(&path, output(&mut command)?).with_context(|| format!("write {}", path.display()))
}
