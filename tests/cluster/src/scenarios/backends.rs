//! Backends come and go while requests are made. As users write them, each is ready before it gets requests, and waits
//! a moment before it ends.

use anyhow::Result;

use super::{
    cluster::{Cluster, IMAGE, eventually},
    load::Load,
};

/// A Deployment and its Service; `version` is what an update changes.
fn web(cluster: &Cluster, replicas: u8, version: u8) -> Result<()> {
    cluster.apply(&format!(
        r#"
apiVersion: apps/v1
kind: Deployment
metadata: {{ name: web }}
spec:
  replicas: {replicas}
  selector: {{ matchLabels: {{ app: web }} }}
  template:
    metadata: {{ labels: {{ app: web }} }}
    spec:
      containers:
        - name: web
          image: {IMAGE}
          args: [netexec, --http-port=8080, --delay-shutdown=5]
          env: [{{ name: VERSION, value: "{version}" }}]
          readinessProbe: {{ httpGet: {{ path: /healthz, port: 8080 }}, periodSeconds: 1 }}
          lifecycle: {{ preStop: {{ exec: {{ command: [sleep, "5"] }} }} }}
---
apiVersion: v1
kind: Service
metadata: {{ name: web }}
spec:
  selector: {{ app: web }}
  ports: [{{ port: 80, targetPort: 8080 }}]
"#
    ))
}

/// Starts version 1 of the Deployment, and requests to its Service from the pod `client`.
pub fn web_under_load(cluster: &Cluster, replicas: u8) -> Result<Load> {
    web(cluster, replicas, 1)?;
    cluster.rolled_out("deployment/web")?;
    cluster.client("client")?;
    cluster.backends("client", "http://web", replicas.into())?;
    Load::start(cluster, "client", "http://web")
}

/// A Deployment is scaled from one to twenty and back, and at last to none.
pub fn backends_are_scaled_up_and_down_under_load(cluster: &Cluster) -> Result<()> {
    let load = web_under_load(cluster, 1)?;
    for replicas in ["20", "1"] {
        cluster.kubectl(&["scale", "deployment/web", &format!("--replicas={replicas}")])?;
        cluster.rolled_out("deployment/web")?;
    }
    load.end()?;
    cluster.kubectl(&["scale", "deployment/web", "--replicas=0"])?;
    // curl's exit code for a connection that is refused at once is 7.
    eventually("a refusal", || cluster.in_pod("client", "curl -s -m 5 http://web; [ $? = 7 ]")).map(drop)
}

/// Every backend is replaced.
pub fn backends_are_updated_under_load(cluster: &Cluster) -> Result<()> {
    let load = web_under_load(cluster, 4)?;
    web(cluster, 4, 2)?;
    cluster.rolled_out("deployment/web")?;
    load.end()
}
