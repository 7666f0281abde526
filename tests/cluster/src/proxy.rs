//! The proxies that can serve Services.

use anyhow::Result;
use clap::ValueEnum;
use serde_json::json;

use crate::{
    certificates,
    device_mode::DeviceMode,
    families::Host,
    folders::{source, state},
    kubectl,
    members::Members,
    process::{self, start},
    programs::Programs,
};

/// The proxy that serves Services.
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

/// Starts the service proxy on every node.
pub fn start_all(programs: &Programs, members: Members) -> Result<()> {
    match members.proxy {
        Proxy::Waggle => {
            let overlay = overlay(members.device_mode);
            kubectl::output(programs, &["apply", "-k", &overlay]).map(drop)
        }
        Proxy::Kubernetes => start_kube_proxies(programs, members),
        Proxy::None => Ok(()),
    }
}

/// The overlay with the differences of nodes that share a machine.
pub fn overlay(mode: DeviceMode) -> String {
    source().join("../../deploy/overlays").join(mode.overlay()).display().to_string()
}

/// Starts kube-proxy on every node, and waits until each serves.
fn start_kube_proxies(programs: &Programs, members: Members) -> Result<()> {
    let mut hosts = members.numbers().map(Host::Node);
    hosts.clone().try_for_each(|host| start_kube_proxy(programs, members, host, "nftables"))?;
    // kube-proxy is healthy once its rules are in the kernel.
    hosts.try_for_each(|host| {
        process::wait(host, "kube-proxy", || {
            let mut curl = process::on(host, "system", "curl")?;
            curl.args(["-fsS", "-m", "5", "http://localhost:10256/healthz"]);
            Ok(curl)
        })
    })
}

/// Ends a node's kube-proxy; its rules stay.
pub fn stop_kube_proxy(host: Host) -> Result<()> {
    process::stop(&kube_proxy(host))
}

/// The name of a node's kube-proxy as a process.
fn kube_proxy(host: Host) -> String {
    format!("{}-kube-proxy", host.name())
}

/// Starts kube-proxy on a node.
pub fn start_kube_proxy(programs: &Programs, members: Members, host: Host, mode: &str) -> Result<()> {
    let config = state(host.name()).join("kube-proxy.json");
    let value = json!({
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "mode": mode,
        "hostnameOverride": host.name(),
        "clusterCIDR": members.families.cluster_networks().join(","),
        "clientConnection": { "kubeconfig": certificates::kubeconfig("system:kube-proxy") },
        // A setting of the whole machine, not of one node.
        "conntrack": { "maxPerCore": 0, "min": 0 },
    });
    std::fs::write(&config, value.to_string())?;
    let flag = format!("--config={}", config.display());
    start(host, &kube_proxy(host), &programs.path("kube-proxy"), &[flag])
}
