//! Parts of the cluster fail for a while.

use std::{thread, time::Duration};

use anyhow::{Context as _, Result, ensure};

use super::{
    backends::web_under_load,
    cluster::{Cluster, eventually, outside},
    load::Load,
    tutorial::{deployment, node_port},
};
use crate::{control_plane, node};

/// How long the second outage of the API server takes.
const OUTAGE: Duration = Duration::from_mins(5);

/// The API server restarts, and later is away for minutes: the node serves what it served, and follows later changes
/// at once.
pub fn the_api_server_is_restarted_and_away_under_load(cluster: &Cluster) -> Result<()> {
    let load = web_under_load(cluster, 2)?;
    for (outage, replicas) in [(Duration::ZERO, 3), (OUTAGE, 4)] {
        control_plane::stop_kubernetes()?;
        thread::sleep(outage);
        control_plane::start_kubernetes(&cluster.programs, cluster.members)?;
        cluster.kubectl(&["scale", "deployment/web", &format!("--replicas={replicas}")])?;
        cluster.rolled_out("deployment/web")?;
        cluster.backends("client", "http://web", replicas)?;
    }
    load.end()?;
    dns_knows_new_services(cluster)
}

/// Waits until every DNS server knows a Service that is new. While the API server refuses connections, clients of Kubernetes' own
/// library (client-go) try more and more seldom: CoreDNS may notice a minute late that the API server is back. What runs next
/// in the cluster would find its names missing.
fn dns_knows_new_services(cluster: &Cluster) -> Result<()> {
    cluster.kubectl(&["create", "service", "clusterip", "late", "--tcp=80"])?;
    let pods =
        ["get", "pods", "--namespace=kube-system", "-l", "k8s-app=kube-dns", "-o", "jsonpath={.items[*].status.podIP}"];
    for server in cluster.kubectl_outside(&pods)?.split_whitespace() {
        eventually(&format!("DNS server {server}"), || {
            let answer = cluster.in_pod(
                "client",
                &format!("dig +short +search late @{server}; dig +short +search late AAAA @{server}"),
            )?;
            ensure!(!answer.trim().is_empty(), "{server} does not know the Service");
            Ok(())
        })?;
    }
    Ok(())
}

/// A node loses power and starts again: the kernel has forgotten everything, and no other proxy runs there. Other nodes continue
/// to serve.
pub fn a_node_reboots(cluster: &Cluster) -> Result<()> {
    let number = cluster.members.nodes;
    let name = format!("node-{number}");
    // All pods are on other nodes, but one that starts again with the node.
    cluster.kubectl(&["cordon", &name])?;
    let outcome = reboot_under_load(cluster, number);
    cluster.kubectl(&["uncordon", &name])?;
    outcome
}

fn reboot_under_load(cluster: &Cluster, number: u8) -> Result<()> {
    let name = format!("node-{number}");
    deployment(cluster, "web", 2)?;
    let port = node_port(cluster, "web")?;
    cluster.client("client")?;
    let place = format!(r#"{{ "apiVersion": "v1", "spec": {{ "nodeName": "{name}" }} }}"#);
    cluster.client_with("there", &["--overrides", &place])?;
    cluster.backends("there", "http://web", 2)?;
    let load = Load::start(cluster, "client", "http://web")?;
    node::reboot(&cluster.programs, cluster.members, number)?;
    load.end().context("from another node")?;
    let url = format!("http://{}:{port}/hostname", cluster.node_address(number));
    eventually(&url, || outside("curl", &["-gsS", "-m", "5", &url]))?;
    cluster.client_with("there-again", &["--overrides", &place])?;
    cluster.backends("there-again", "http://web", 2)
}
