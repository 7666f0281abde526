//! Services as in the first pages of tutorials.

use anyhow::{Context as _, Result, bail, ensure};
use std::{
    io::{BufRead as _, BufReader},
    time::Duration,
};

use super::{
    cluster::{Cluster, IMAGE, eventually, outside},
    load::Load,
};

/// Makes a Deployment of servers, and waits until it is ready.
pub fn deployment(cluster: &Cluster, name: &str, replicas: usize) -> Result<()> {
    let (image, replicas) = (format!("--image={IMAGE}"), format!("--replicas={replicas}"));
    cluster.kubectl(&[
        "create",
        "deployment",
        name,
        &image,
        &replicas,
        "--",
        "/agnhost",
        "netexec",
        "--http-port=8080",
    ])?;
    cluster.rolled_out(&format!("deployment/{name}"))
}

/// Makes a Service of the Deployment of that name, and returns its node port.
pub fn node_port(cluster: &Cluster, name: &str) -> Result<String> {
    cluster.kubectl(&["create", "service", "nodeport", name, "--tcp=80:8080"])?;
    cluster.kubectl(&["get", "service", name, "-o", "jsonpath={.spec.ports[0].nodePort}"])
}

/// `kubectl expose`: makes the Deployment `web` and its Service.
pub fn exposed(cluster: &Cluster, replicas: usize) -> Result<()> {
    deployment(cluster, "web", replicas)?;
    cluster.kubectl(&["expose", "deployment", "web", "--port=80", "--target-port=8080"]).map(drop)
}

/// Makes what [`exposed`] makes, and the pod `client`, which then reaches every pod of `web` by the Service's name.
pub fn exposed_to_client(cluster: &Cluster, replicas: usize) -> Result<()> {
    exposed(cluster, replicas)?;
    cluster.client("client")?;
    cluster.backends("client", "http://web", replicas)
}

/// Makes what [`exposed_to_client`] makes, and starts requests from `client` to `web`.
pub fn exposed_under_load(cluster: &Cluster, replicas: usize) -> Result<Load> {
    exposed_to_client(cluster, replicas)?;
    Load::start(cluster, "client", "http://web")
}

/// `kubectl expose`: a ClusterIP, by name and by address.
pub fn a_deployment_is_exposed(cluster: &Cluster) -> Result<()> {
    exposed_to_client(cluster, 3)?;
    let address = cluster.kubectl(&["get", "service", "web", "-o", "jsonpath={.spec.clusterIP}"])?;
    let address = if address.contains(':') { format!("[{address}]") } else { address };
    cluster.backends("client", &format!("http://{address}"), 3)
}

/// `kubectl create service nodeport`: at every node, from outside.
pub fn a_node_port_service_is_created(cluster: &Cluster) -> Result<()> {
    deployment(cluster, "web", 2)?;
    let port = node_port(cluster, "web")?;
    for number in cluster.members.numbers() {
        let url = format!("http://{}:{port}/hostname", cluster.node_address(number));
        let name = eventually(&url, || outside("curl", &["-gsS", "-m", "5", &url]))?;
        ensure!(name.starts_with("web-"), "{url} answered {name}");
    }
    Ok(())
}

/// `kubectl port-forward svc/…`.
pub fn a_service_is_forwarded_to_a_local_port(cluster: &Cluster) -> Result<()> {
    exposed(cluster, 1)?;
    let mut forward = cluster.start_kubectl(&["port-forward", "service/web", ":80"])?;
    let outcome = forwarded(&mut forward);
    let _ = forward.kill();
    let _ = forward.wait();
    outcome
}

fn forwarded(forward: &mut std::process::Child) -> Result<()> {
    let stdout = forward.stdout.take().context("kubectl has no output")?;
    // The pipe stays open until the end: kubectl ends when it can't write.
    let mut lines = BufReader::new(stdout).lines();
    let line = lines.next().context("kubectl forwards nothing")?.context("read what kubectl forwards")?;
    // kubectl prints: Forwarding from 127.0.0.1:40123 -> 8080
    let port =
        line.split_whitespace().nth(2).and_then(|from| from.rsplit(':').next()).context("kubectl names no port")?;
    let name = outside("curl", &["-sS", "-m", "5", &format!("http://localhost:{port}/hostname")])?;
    ensure!(name.starts_with("web-"), "the Service answered {name}");
    Ok(())
}

/// A namespace is deleted with its Services: their addresses refuse at once.
pub fn a_namespace_is_deleted(cluster: &Cluster) -> Result<()> {
    deployment(cluster, "web", 1)?;
    let port = node_port(cluster, "web")?;
    let url = format!("http://{}:{port}/hostname", cluster.node_address(1));
    let ask = || outside("curl", &["-gsS", "-m", "5", &url]);
    eventually(&url, ask)?;
    let namespace = cluster.kubectl(&["get", "service", "web", "-o", "jsonpath={.metadata.namespace}"])?;
    cluster.kubectl(&["delete", "namespace", &namespace, "--timeout=120s"])?;
    std::thread::sleep(Duration::from_secs(1));
    match ask() {
        Err(error) if format!("{error:#}").contains("(7)") => Ok(()),
        Err(error) => Err(error).context("not refused at once"),
        Ok(answer) => bail!("{url} still answers {answer}"),
    }
}
