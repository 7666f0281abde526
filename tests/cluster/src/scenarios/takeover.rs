//! Another proxy replaces Waggle, and Waggle replaces it.

use std::{thread, time::Duration};

use anyhow::{Context as _, Result, ensure};

use super::{
    cluster::{Cluster, outside},
    load::Load,
    tutorial::{deployment, node_port},
    upgrade::needs_waggle,
};
use crate::{families::Host, folders::source, process, proxy};

/// How long netfilter remembers a connection that has ended (nf_conntrack_tcp_timeout_time_wait), and a little more.
const MEMORY: Duration = Duration::from_secs(125);

/// Waggle is removed while kube-proxy serves, and installed again: pods and clients outside notice nothing.
pub fn kube_proxy_and_waggle_take_over_from_each_other_under_load(cluster: &Cluster) -> Result<()> {
    needs_waggle(cluster)?;
    deployment(cluster, "web", 3)?;
    let port = node_port(cluster, "web")?;
    cluster.client("client")?;
    cluster.backends("client", "http://web", 3)?;
    let url = format!("http://{}:{port}", cluster.node_address(1));
    outside("curl", &["-gsS", "-m", "5", &url])?;
    let loads = [Load::start(cluster, "client", "http://web")?, Load::start_outside(&url)?];
    let outcome = kube_proxy_takes_over(cluster);
    // Runs even after a failure, since the other scenarios need Waggle.
    waggle_takes_over(cluster)?;
    // All loads are ended, even after a failure.
    let ends = loads.map(Load::end);
    outcome?;
    ends.into_iter().collect()
}

/// Removes Waggle as `deploy/README.md` says.
fn kube_proxy_takes_over(cluster: &Cluster) -> Result<()> {
    proxy::start_kube_proxies(&cluster.programs, cluster.members)?;
    let overlay = proxy::overlay(cluster.members.device_mode);
    cluster.kubectl_outside(&["delete", "-k", &overlay, "--cascade=foreground", "--timeout=120s"])?;
    let cleanup = source().join("../../deploy/cleanup").display().to_string();
    cluster.kubectl_outside(&["apply", "-k", &cleanup])?;
    cluster.daemons_run("waggle-cleanup")?;
    cluster.kubectl_outside(&["delete", "-k", &cleanup, "--cascade=foreground", "--timeout=120s"])?;
    cluster.members.numbers().map(Host::Node).try_for_each(nothing_is_left)
}

fn nothing_is_left(host: Host) -> Result<()> {
    let list = |program: &str, arguments: &[&str]| {
        let mut command = process::on(host, "system", program)?;
        crate::command::output(command.args(arguments)).with_context(|| host.name())
    };
    let pins = list("find", &["/sys/fs/bpf", "-path", "*waggle/*"])?;
    ensure!(pins.is_empty(), "{} has pins: {pins}", host.name());
    let links = list("ip", &["-details", "link", "show", "dev", "eth0"])?;
    ensure!(!links.contains("prog/xdp"), "{} has a program: {links}", host.name());
    Ok(())
}

/// Replaces kube-proxy by Waggle as `deploy/README.md` says.
fn waggle_takes_over(cluster: &Cluster) -> Result<()> {
    cluster.kubectl_outside(&["apply", "-k", &proxy::overlay(cluster.members.device_mode)])?;
    cluster.daemons_run("waggle")?;
    thread::sleep(MEMORY);
    proxy::remove_kube_proxies(&cluster.programs, cluster.members)
}
