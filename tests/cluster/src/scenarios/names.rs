//! Services by name: DNS, and the variables of pods.

use anyhow::{Result, ensure};

use super::{
    cluster::{Cluster, eventually},
    tutorial::exposed,
};

/// A headless Service names its pods, an ExternalName another Service; pods that start later find a Service in their environment.
pub fn services_have_names_and_variables(cluster: &Cluster) -> Result<()> {
    exposed(cluster, 2)?;
    cluster.kubectl(&["expose", "deployment", "web", "--name=pods", "--cluster-ip=None", "--port=8080"])?;
    cluster.kubectl(&["create", "service", "externalname", "alias", "--external-name=web.default.invalid"])?;
    cluster.client("client")?;
    // Clients take the first address that suits them, so the pod asks DNS itself.
    eventually("both pods' addresses", || {
        let addresses = cluster.in_pod("client", "dig +short +search pods; dig +short +search pods AAAA")?;
        let found = addresses.lines().count();
        ensure!(found == 2, "pods is {addresses}");
        Ok(())
    })?;
    let alias = eventually("the alias", || {
        let name = cluster.in_pod("client", "dig +short +search alias CNAME")?;
        ensure!(!name.trim().is_empty(), "alias is no name");
        Ok(name)
    })?;
    ensure!(alias.trim() == "web.default.invalid.", "alias is {alias}");
    let variables = cluster.in_pod("client", "echo $WEB_SERVICE_HOST:$WEB_SERVICE_PORT")?;
    let address = cluster.kubectl(&["get", "service", "web", "-o", "jsonpath={.spec.clusterIP}"])?;
    ensure!(variables.trim() == format!("{address}:80"), "the environment says {variables}");
    Ok(())
}
