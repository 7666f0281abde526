//! What serves Services.

use std::path::Path;

use anyhow::Result;
use clap::ValueEnum;
use serde_json::json;

use crate::{
    certificates,
    families::Host,
    folders::{source, state},
    kubectl,
    members::Members,
    process::start,
    programs::Programs,
};

/// What serves Services.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Proxy {
    /// Waggle, deployed as users do: `kubectl apply -k`
    Waggle,
    /// kube-proxy with nftables
    #[value(name = "kube-proxy")]
    Kubernetes,
    /// Nothing
    None,
}

/// Starts it on every node.
pub fn start_all(programs: &Programs, members: Members) -> Result<()> {
    match members.proxy {
        Proxy::Waggle => {
            let overlay = overlay();
            kubectl::output(programs, &["apply", "-k", &overlay]).map(drop)
        }
        Proxy::Kubernetes => members.numbers().try_for_each(|number| kube_proxy(programs, members, Host::Node(number))),
        Proxy::None => Ok(()),
    }
}

/// The overlay that says what differs on nodes that share a machine.
fn overlay() -> String {
    source().join("../../deploy/overlays/cluster").display().to_string()
}

fn kube_proxy(programs: &Programs, members: Members, host: Host) -> Result<()> {
    let config = state(host.name()).join("kube-proxy.json");
    let value = json!({
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "mode": "nftables",
        "hostnameOverride": host.name(),
        "clusterCIDR": members.families.cluster_networks().join(","),
        "clientConnection": { "kubeconfig": certificates::kubeconfig("system:kube-proxy") },
        // Of the whole machine, not of one of its nodes.
        "conntrack": { "maxPerCore": 0, "min": 0 },
    });
    std::fs::write(&config, value.to_string())?;
    let flag = format!("--config={}", config.display());
    start(host, &format!("{}-kube-proxy", host.name()), Path::new(&programs.path("kube-proxy")), &[flag])
}
