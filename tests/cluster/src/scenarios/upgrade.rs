//! The agents are replaced.

use anyhow::{Result, ensure};

use super::{cluster::Cluster, tutorial::exposed_under_load};
use crate::proxy::Proxy;

/// Fails if another proxy serves Services.
pub fn needs_waggle(cluster: &Cluster) -> Result<()> {
    ensure!(cluster.members.proxy == Proxy::Waggle, "Services are not served by Waggle here");
    Ok(())
}

/// A rolling update of the DaemonSet: the data plane continues to serve.
pub fn the_agents_are_updated_under_load(cluster: &Cluster) -> Result<()> {
    needs_waggle(cluster)?;
    let load = exposed_under_load(cluster, 3)?;
    for _ in 0..2 {
        cluster.kubectl_outside(&["--namespace=kube-system", "rollout", "restart", "daemonset/waggle"])?;
        cluster.daemons_run("waggle")?;
    }
    load.end()
}
