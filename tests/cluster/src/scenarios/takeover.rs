//! Another proxy replaces Waggle, and Waggle replaces it.

use std::{thread, time::Duration};

use anyhow::{Result, ensure};
use lab::typed::Page;

use super::{
    cluster::{Cluster, eventually, outside},
    load::Load,
    rules::{has_node_port, list, rules},
    terminal::Terminal,
    tutorial::{deployment, node_port},
    upgrade::needs_waggle,
};
use crate::{families::Host, proxy};

/// How long netfilter remembers a connection that has ended (nf_conntrack_tcp_timeout_time_wait), and a little more.
const MEMORY: Duration = Duration::from_secs(125);

/// The mode of a node's kube-proxy: they take turns. That of IPVS needs modules that many kernels lack.
const fn mode(number: u8) -> &'static str {
    if number % 2 == 1 { "iptables" } else { "nftables" }
}

/// Waggle is removed while kube-proxy serves, and installed again: pods and clients outside notice nothing.
pub fn kube_proxy_and_waggle_take_over_from_each_other_under_load(cluster: &Cluster) -> Result<()> {
    needs_waggle(cluster)?;
    deployment(cluster, "web", 3)?;
    let port = node_port(cluster, "web")?;
    cluster.client("client")?;
    cluster.backends("client", "http://web", 3)?;
    let url = format!("http://{}:{port}", cluster.node_address(1));
    outside("curl", &["-gsS", "-m", "5", &url])?;
    let hosts = || cluster.members.numbers().map(Host::Node);
    let before = hosts().map(rules).collect::<Result<Vec<_>>>()?;
    ensure!(before.iter().flatten().any(|rule| rule.contains("KUBELET")), "the kubelet has no chains: {before:?}");
    let loads = [Load::start(cluster, "client", "http://web")?, Load::start_outside(&url)?];
    let outcome = kube_proxy_takes_over(cluster, &port);
    // Runs even after a failure, since the other scenarios need Waggle.
    waggle_takes_over(cluster)?;
    // All loads are ended, even after a failure.
    let ends = loads.map(Load::end);
    outcome?;
    ends.into_iter().collect::<Result<()>>()?;
    for (host, before) in hosts().zip(before) {
        let after = rules(host)?;
        let lacks = before.iter().find(|rule| !after.contains(rule));
        // The kubelet maintains its own chains meanwhile.
        let is_left = |rule: &&String| !before.contains(rule) && !rule.contains("KUBE-FIREWALL");
        let left = after.iter().find(is_left);
        ensure!(lacks.is_none() && left.is_none(), "{} lacks {lacks:?}, has {left:?}", host.name());
    }
    Ok(())
}

/// Removes Waggle as `deploy/README.md` says.
fn kube_proxy_takes_over(cluster: &Cluster, port: &str) -> Result<()> {
    for number in cluster.members.numbers() {
        proxy::start_kube_proxy(&cluster.programs, cluster.members, Host::Node(number), mode(number))?;
    }
    for number in cluster.members.numbers() {
        eventually("kube-proxy's rules", || has_node_port(Host::Node(number), mode(number), port))?;
    }
    let terminal = Terminal::new(cluster)?;
    let removal: [String; 4] = Page::Deploy.commands("Upgrade and removal", "kubectl ")?;
    removal.iter().try_for_each(|line| terminal.run(line).map(drop))?;
    cluster.members.numbers().map(Host::Node).try_for_each(nothing_is_left)
}

fn nothing_is_left(host: Host) -> Result<()> {
    let pins = list(host, "find", &["/sys/fs/bpf", "-path", "*waggle/*"])?;
    ensure!(pins.is_empty(), "{} has pins: {pins}", host.name());
    let links = list(host, "ip", &["-details", "link", "show", "dev", "eth0"])?;
    ensure!(!links.contains("prog/xdp"), "{} has a program: {links}", host.name());
    Ok(())
}

/// Replaces kube-proxy by Waggle as `deploy/README.md` says.
fn waggle_takes_over(cluster: &Cluster) -> Result<()> {
    cluster.kubectl_outside(&["apply", "-k", &proxy::overlay(cluster.members.device_mode)])?;
    cluster.daemons_run("waggle")?;
    thread::sleep(MEMORY);
    cluster.members.numbers().map(Host::Node).try_for_each(proxy::stop_kube_proxy)?;
    let terminal = Terminal::new(cluster)?;
    let [apply, wait, log, delete] = Page::Deploy.commands("Remove what kube-proxy has left", "kubectl ")?;
    terminal.run(&apply)?;
    terminal.run(&wait)?;
    let printed = terminal.run(&log)?;
    terminal.run(&delete)?;
    ensure!(printed.contains("removed "), "{log}: {printed}");
    Ok(())
}
