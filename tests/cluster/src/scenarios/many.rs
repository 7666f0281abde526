//! Very many Services.

use anyhow::{Result, ensure};

use super::{cluster::Cluster, tutorial::exposed_under_load};

const COUNT: u32 = 1000;

/// Thousands of Services are created, changed and deleted while connections to another one run.
pub fn a_thousand_services_come_and_go_under_load(cluster: &Cluster) -> Result<()> {
    let load = exposed_under_load(cluster, 2)?;
    for port in [80, 81] {
        cluster.apply(&services(port))?;
        let url = format!("http://many-{COUNT}:{port}");
        cluster.backends("client", &url, 2)?;
    }
    cluster.kubectl(&["delete", "service", "--selector=many=yes", "--wait=false"])?;
    let left = cluster.kubectl(&["get", "service", "--selector=many=yes", "-o", "name"])?;
    ensure!(left.trim().is_empty(), "Services are left: {left}");
    load.end()
}

fn services(port: u16) -> String {
    let one = |number: u32| {
        format!(
            "apiVersion: v1\nkind: Service\nmetadata: {{ name: many-{number}, labels: {{ many: \"yes\" }} }}\n\
             spec: {{ selector: {{ app: web }}, ports: [{{ port: {port}, targetPort: 8080 }}] }}\n"
        )
    };
    (1..=COUNT).map(one).collect::<Vec<_>>().join("---\n")
}
