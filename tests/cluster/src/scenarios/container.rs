//! A pod's container by its node's containerd, which works without the API server.

use std::process::Command;

use anyhow::{Context as _, Result};

use super::cluster::Cluster;
use crate::{families::Host, process};

/// A running container.
pub struct Container {
    host: Host,
    id: String,
}

impl Container {
    /// The first container of a pod.
    pub fn of(cluster: &Cluster, pod: &str) -> Result<Self> {
        let fields = "jsonpath={.spec.nodeName} {.status.containerStatuses[0].containerID}";
        let text = cluster.kubectl(&["get", "pod", pod, "-o", fields])?;
        let (node, id) =
            text.split_once(" containerd://").with_context(|| format!("pod {pod} does not run: {text}"))?;
        Ok(Self { host: Host::from_name(cluster.members, node)?, id: id.to_owned() })
    }

    /// A command that runs a script in the container; `name` distinguishes it from others there.
    pub fn script(&self, name: &str, script: &str) -> Result<Command> {
        let mut ctr = process::on(self.host, "system", "ctr")?;
        ctr.args(["--namespace", "k8s.io", "task", "exec", "--exec-id", name, &self.id, "sh", "-c", script]);
        Ok(ctr)
    }
}
